"""The only loop: fill the runner, wait, commit what arrived, advance the schedule, emit events.

Whatever has arrived is committed in one transaction before anything that depends on it starts and
before it is said to be done: no delay when little happens, large groups when much does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from labtech_cli.core.events import Failure, Outcome
from labtech_cli.core.graph import Graph
from labtech_cli.core.schedule import Schedule
from labtech_cli.core.units import duration
from labtech_cli.errors import LabtechError
from labtech_cli.run.budget import Budget
from labtech_cli.run.claims import Claims
from labtech_cli.run.commits import Commits
from labtech_cli.run.interrupts import Interrupts
from labtech_cli.run.retries import Retries
from labtech_cli.run.runner import Died, Note, Output, Report, Returned, Runner, Work
from labtech_cli.run.shelf import Shelf
from labtech_cli.run.teller import Teller
from labtech_cli.run.timeouts import Timeouts
from labtech_cli.run.worker import Input
from labtech_cli.run.worker import Outcome as Ended
from labtech_cli.store.owners import BEAT_SECONDS
from labtech_cli.store.records import Claim
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import Claiming, Storage

_IDLE_SECONDS = 0.25  # how often the clock is looked at when nothing arrives
_PATIENCE = 20  # looking for what others compute takes at most one part in so many of the time


@dataclass(slots=True)
class Rules:
    """What to do when tasks fail."""

    keep_going: bool = False
    max_failures: int | None = None
    retries: int = 0
    """Further attempts of a task whose type does not say how many."""
    retry_delay: float = 1.0
    """Seconds before the second attempt, doubled before each further one."""
    timeout: float | None = None
    """Seconds that one attempt may take, where the type does not say."""


@dataclass(slots=True)
class Loop:
    """One run of a schedule on a runner."""

    graph: Graph
    schedule: Schedule
    runner: Runner
    storage: Storage
    shelf: Shelf
    teller: Teller
    rules: Rules
    interrupts: Interrupts
    budget: Budget
    runs: bytearray
    """1 for each task that is to run, by number."""
    replaces: bytearray
    """1 for each task that runs though it had a result, by number."""
    made: Callable[[], tuple[Sequence[str], str | None]]
    """The documents that say which code has produced the results that are there now, by number, and where: kept when
    first asked for."""
    adopt: Callable[[Sequence[int]], Iterable[tuple[int, bool, Failure | None]]]
    """Of tasks that other runs have done meanwhile: whether the result may be used, or why the task fails."""
    trust: Trust = field(default_factory=Trust)
    failures: dict[int, Failure] = field(default_factory=dict)
    done_well: bytearray = field(init=False)
    """1 for each task that succeeded, by number."""
    claims: Claims = field(init=False)
    retries: Retries = field(init=False)
    timeouts: Timeouts = field(init=False)
    commits: Commits = field(init=False)
    gave_up: bool = False
    """Whether tasks failed that would have been tried again, had the run gone on."""
    _parked: list[int] = field(default_factory=list)  # tasks that another run computes
    _told: bool = False
    _look_again: float = 0.0
    _beaten: float = field(default_factory=time.monotonic)
    _ticked: float = 0.0
    _level: int = 0

    def __post_init__(self) -> None:
        self.done_well = bytearray(len(self.graph))
        self.claims = Claims(self.graph, self.storage, self.replaces)
        self.retries = Retries(self.graph, self.rules.retries, self.rules.retry_delay)
        self.timeouts = Timeouts(self.graph, self.runs, self.rules.timeout)
        self.commits = Commits(self.graph, self.storage, self.claims, self.replaces, self.made, self.trust)

    def run(self) -> None:
        """Until nothing runs and nothing more can start."""
        while not self.schedule.done:
            if self._obey():
                break
            self._fill()
            if not self.schedule.running:  # nothing to do but to wait for another run, or for the next attempt
                time.sleep(min(_IDLE_SECONDS / 4, self._until_due()))
            self._clock()
            reports = self.runner.wait(min(self._interval(), self._until_due()))
            if reports:
                self._take(reports)
        self.finish()

    def finish(self) -> None:
        """Give up what has not ended, also where the runner cannot go on. Then every task has had its last event."""
        for number, failure in self.retries.give_up():
            self.gave_up = True
            self._lose(number, failure, None)
        for number in self.schedule.unfinished():
            self.teller.end(number, Outcome.CANCELLED)

    def _interval(self) -> float:
        interval = self.teller.sinks.interval
        return min(interval or _IDLE_SECONDS, self.budget.look_seconds or _IDLE_SECONDS, _IDLE_SECONDS)

    def _until_due(self) -> float:
        """Seconds until a task that failed may be tried again."""
        due = self.retries.next_due()
        return _IDLE_SECONDS if due is None else max(0.0, due - time.monotonic())

    def _obey(self) -> bool:
        """Do what interrupts ask for; whether to leave what still runs behind."""
        level = self.interrupts.level
        if level == self._level:
            return False
        self._level = level
        self.schedule.stop()
        active = self.runner.active()
        if level == 1 and self.schedule.running:
            began = min([item.started for _, item in active], default=time.time())
            running = len(active) or self.schedule.running  # the others wait in their workers' queues, for a moment
            tasks = f"{running} running task{'s' * (running != 1)}"
            since = f"the longest has run for {duration(max(0.0, time.time() - began))}"
            self.teller.warn(f"interrupted: waiting for {tasks}, {since}; again to stop them")
        if level >= 2:
            self.runner.kill()
        return level >= 2

    def _fill(self) -> None:
        began = time.monotonic()
        if self._parked and began >= self._look_again:
            parked, self._parked = self._parked, []
            self.schedule.resume(parked)
        self.schedule.resume(self.retries.due(began))
        while self._hand_out():  # again, as long as others are found to have done what some wait for
            pass
        if began >= self._look_again:
            now = time.monotonic()
            self._look_again = now + max(_IDLE_SECONDS, _PATIENCE * (now - began))

    def _hand_out(self) -> bool:
        """Give the runner as much as it takes; whether another run has done some of it."""
        elsewhere: list[int] = []
        with self.storage.claiming() as claim:
            room = self.runner.room()
            while room > 0:
                number = self.schedule.take()
                if number is None:
                    self._follow(claim)
                    break
                if self._is_mine(number, claim, elsewhere) and self._start(number):
                    room -= 1
        for number, usable, failure in self.adopt(elsewhere) if elsewhere else ():
            if failure is not None:
                self._lose(number, failure, None)
            elif usable:
                self.shelf.done(number)
                self.schedule.succeeded(number)
                self.done_well[number] = 1
                self.teller.end(number, Outcome.LOADED)
            else:
                self.replaces[number] = 1
                self.schedule.put_back(number)
        return bool(elsewhere)

    def _is_mine(self, number: int, claim: Claiming, elsewhere: list[int]) -> bool:
        """Whether to compute a task here: not when another run has done it meanwhile, or is at it."""
        answer = self.claims.ask(number, claim)
        if answer is Claim.DONE:
            elsewhere.append(number)
        elif answer is Claim.HELD:
            self.schedule.hold(number)
            self._parked.append(number)
            if not self._told:
                self._told = True
                self.teller.warn("another run uses this storage: what it computes is waited for and loaded")
        return answer is Claim.MINE

    def _start(self, number: int) -> bool:
        try:
            inputs = self.shelf.take(number)
        except LabtechError as error:  # a result that was there when planned is gone now
            failure = Failure(type(error).__name__, f"an input cannot be loaded: {error}", final=True)
            self._fail(number, failure, None)
            return False
        self._submit(number, inputs)
        return True

    def _submit(self, number: int, inputs: dict[int, Input], after: tuple[int, ...] = ()) -> None:
        share = None if self.budget.plain else self.budget.give(number)
        timeout = self.timeouts.of(number)
        self.runner.submit(Work(number, self.retries.attempt(number), inputs, after, share, timeout))

    def _follow(self, claim: Claiming) -> None:
        """Give workers short tasks that wait only for what the same worker is about to do: a chain of them
        then costs no round trip each. Results are committed in order, so what is done is done all the same.
        Only where no other run could be at them: their claims are sure to be granted."""
        if not self.storage.alone():
            return
        for number, after in self.schedule.followers():
            if self.runner.can_follow(after):
                inputs = self.shelf.take(number, without=after)
                self.schedule.follow(number)
                self.claims.ask(number, claim)
                self._submit(number, inputs, tuple(after))

    def _take(self, reports: list[Report]) -> None:
        ended: list[Ended] = []
        for report in reports:
            kind = type(report)
            if kind is Ended:
                ended.append(report)  # type: ignore[arg-type]
            elif kind is Output:
                self.teller.output(report)  # type: ignore[arg-type]
            elif kind is Note:
                self.teller.notes[report.number] = report.value  # type: ignore[union-attr]
            elif kind is Returned:
                for number in report.numbers:  # type: ignore[union-attr]
                    self.teller.unbegin(number)
                    self.schedule.put_back(number)
                self.claims.release(report.numbers)  # type: ignore[union-attr]
                self.budget.back(report.numbers)  # type: ignore[union-attr]
        if ended:
            for number in self.commits.save(ended, self.rules.keep_going):
                self.schedule.stop()
                self.schedule.put_back(number)
            for outcome in ended:
                if self.schedule.is_open(outcome.number):  # else a task it followed could not be saved
                    self._advance(outcome)
        for report in reports:
            if type(report) is Died:
                others = sum([active.memory for _, active in self.runner.active()])
                failure = self.timeouts.ended(report.number) or self.budget.explain(report, others)
                self._learn(report.number, report.peak_memory)
                self._fail(report.number, failure, report)

    def _advance(self, outcome: Ended) -> None:
        number = outcome.number
        self.teller.begin(number, outcome.started_at)
        if not self.budget.plain or (outcome.peak_memory or 0) > self.budget.watched:
            self._learn(number, outcome.peak_memory)
        if self.timeouts:
            self.timeouts.ended(number)  # it was quicker than the signal that was to stop it
        if outcome.failure is not None:
            if self.interrupts.level < 2:
                self._fail(number, outcome.failure, outcome)
            return  # what was stopped in this very process did not fail, whatever it made of that: it is cancelled
        if self.shelf.wants(number):
            self._put(number, outcome)
        self.shelf.done(number)
        self.schedule.succeeded(number)
        self.done_well[number] = 1
        self.teller.end(number, Outcome.SUCCEEDED, outcome)

    def _learn(self, number: int, peak: int | None) -> None:
        """A task runs no more: what it had is free, and those like it may be known to take more than was thought."""
        demands = self.budget.ended(number, peak)
        if demands is not None:
            self.schedule.readmit(demands)

    def _put(self, number: int, outcome: Ended) -> None:
        """Keep a result at hand for the tasks that need it."""
        given = Input(outcome.stored, outcome.value, outcome.started_at, outcome.duration, True)
        task = self.graph.tasks[number]
        kept = self.claims.keeps(number)
        if kept and outcome.stored is not None and not outcome.stored.inline:
            given = given._replace(stored=self.storage.load([task._labtech_key]).popitem()[1])
        self.shelf.put(number, given, in_storage=kept)

    def _fail(self, number: int, failure: Failure, outcome: Ended | Died | None) -> None:
        """An attempt failed: there is another one, or the task is lost."""
        self.teller.begin(number, time.time())
        failure = self.teller.with_tail(number, failure)
        now, delay = time.monotonic(), None
        if not self.schedule.stopped:
            if type(outcome) is Died and self.budget.isolates(number, failure):
                self.schedule.isolate(number)
                self.retries.again(number, failure, now)
                failure, delay = replace(failure, message=f"{failure.message}; it runs once more, alone"), 0.0
            else:
                delay = self.retries.grant(number, failure, now)
        elif self.interrupts.level and self.retries.allows(number, failure):
            self.gave_up = True
        if delay is None:
            self._lose(number, failure, outcome)
            return
        self.schedule.hold(number)
        self.claims.release([number])
        self.teller.retry(number, failure, delay, outcome)

    def _lose(self, number: int, failure: Failure, outcome: Ended | Died | None) -> None:
        """A task failed for good, and with it all that depends on it."""
        self.failures[number] = failure
        self.shelf.done(number)
        lost = self.schedule.failed(number)
        self.claims.release([number, *lost])
        self.teller.end(number, Outcome.FAILED, outcome, failure)
        for skipped in lost:
            self.teller.end(skipped, Outcome.SKIPPED, because=self.graph.tasks[number])
        most = self.rules.max_failures if self.rules.keep_going or self.rules.max_failures else 1
        if most is not None and len(self.failures) >= most:
            self.schedule.stop()

    def _clock(self) -> None:
        """By the clock, not by tasks: say which long tasks have started, and let reporters draw."""
        now = time.monotonic()
        if now - self._ticked < self._interval():
            return
        self._ticked = now
        if self.timeouts:
            for number in self.timeouts.overdue(self.runner.active(), time.time()):
                self.runner.stop(number)
        if self.budget.look_seconds is not None:
            for number in self.budget.overdrawn(self.runner.active()):
                self.runner.stop(number)
        if now - self._beaten >= BEAT_SECONDS:
            self._beaten = now
            self.storage.beat()
        for number, active in self.runner.active():
            if not self.teller.has_begun(number) and time.time() - active.started > _IDLE_SECONDS / 2:
                self.teller.begin(number, active.started, active.worker)
        self.teller.sinks.tick(time.time(), lambda: [active for _, active in self.runner.active()])
