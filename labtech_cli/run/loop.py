"""The only loop: fill the runner, wait, commit what arrived, advance the schedule, emit events.

Whatever has arrived is committed in one transaction before anything that depends on it starts and
before it is said to be done: no delay when little happens, large groups when much does.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from labtech_cli.core.codec import encode_params
from labtech_cli.core.events import Failure, Outcome
from labtech_cli.core.graph import Graph
from labtech_cli.core.schedule import Schedule
from labtech_cli.errors import LabtechError
from labtech_cli.run.claims import Claims
from labtech_cli.run.interrupts import Interrupts
from labtech_cli.run.runner import Died, Note, Output, Report, Returned, Runner, Work
from labtech_cli.run.shelf import Shelf
from labtech_cli.run.teller import Teller
from labtech_cli.run.worker import Input
from labtech_cli.run.worker import Outcome as Ended
from labtech_cli.store.owners import BEAT_SECONDS
from labtech_cli.store.records import Claim, Record
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import Claiming, Storage

_IDLE_SECONDS = 0.25  # how often the clock is looked at when nothing arrives
_PATIENCE = 20  # looking for what others compute takes at most one part in so many of the time


@dataclass(slots=True)
class Rules:
    """What to do when tasks fail."""

    keep_going: bool = False
    max_failures: int | None = None


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
    replaces: bytearray
    """1 for each task that runs though it had a result, by number."""
    made: Callable[[int], tuple[str | None, str | None]]
    """The documents that say which code produces a task's result, and where: kept when first asked for."""
    trust: Trust = field(default_factory=Trust)
    failures: dict[int, Failure] = field(default_factory=dict)
    done_well: bytearray = field(init=False)
    """1 for each task that succeeded, by number."""
    claims: Claims = field(init=False)
    _told: bool = False
    _look_again: float = 0.0
    _beaten: float = field(default_factory=time.monotonic)
    _ticked: float = 0.0
    _level: int = 0

    def __post_init__(self) -> None:
        self.done_well = bytearray(len(self.graph))
        self.claims = Claims(self.graph, self.storage, self.replaces)

    def run(self) -> None:
        """Until nothing runs and nothing more can start. Then every task has had its last event."""
        while not self.schedule.done:
            if self._obey():
                break
            self._fill()
            if self.schedule.parked and not self.schedule.running:
                time.sleep(_IDLE_SECONDS / 4)  # nothing to do but to wait for another run
            reports = self.runner.wait(self._timeout())
            if reports:
                self._take(reports)
            self._clock()
        for number in self.schedule.unfinished():
            self.teller.end(number, Outcome.CANCELLED)

    def _timeout(self) -> float:
        interval = self.teller.sinks.interval
        return _IDLE_SECONDS if interval is None else min(interval, _IDLE_SECONDS)

    def _obey(self) -> bool:
        """Do what interrupts ask for; whether to leave what still runs behind."""
        level = self.interrupts.level
        if level == self._level:
            return False
        self._level = level
        self.schedule.stop()
        running = self.schedule.running
        if level == 1 and running:
            tasks = f"{running} running task{'s' * (running != 1)}"
            self.teller.warn(f"interrupted: waiting for {tasks}; again to stop them")
        if level >= 2:
            self.runner.kill()
        return level >= 2

    def _fill(self) -> None:
        began = time.monotonic()
        if self.schedule.parked and began >= self._look_again:
            self.schedule.unpark()
        with self.storage.claiming() as claim:
            room = self.runner.room()
            while room > 0:
                number = self.schedule.take()
                if number is None:
                    self._follow(claim)
                    break
                if self._is_mine(number, claim) and self._start(number):
                    room -= 1
        if began >= self._look_again:
            now = time.monotonic()
            self._look_again = now + max(_IDLE_SECONDS, _PATIENCE * (now - began))

    def _is_mine(self, number: int, claim: Claiming) -> bool:
        """Whether to compute a task here: not when another run has done it meanwhile, or is at it."""
        answer = self.claims.ask(number, claim)
        if answer is Claim.DONE:
            self.shelf.done(number)
            self.schedule.succeeded(number)
            self.done_well[number] = 1
            self.teller.end(number, Outcome.LOADED)
        elif answer is Claim.HELD:
            self.schedule.park(number)
            if not self._told:
                self._told = True
                self.teller.warn("another run uses this storage: what it computes is waited for and loaded")
        return answer is Claim.MINE

    def _start(self, number: int) -> bool:
        try:
            inputs = self.shelf.take(number)
        except LabtechError as error:  # a result that was there when planned is gone now
            self._fail(number, Failure(type(error).__name__, f"an input cannot be loaded: {error}"), None)
            return False
        self.runner.submit(Work(number, 1, inputs))
        return True

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
                self.runner.submit(Work(number, 1, inputs, tuple(after)))

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
        if ended:
            self._commit(ended)
            for outcome in ended:
                if self.schedule.is_open(outcome.number):  # else a task it followed could not be saved
                    self._advance(outcome)
        for report in reports:
            if type(report) is Died:
                self._fail(report.number, describe_death(report), None)

    def _commit(self, ended: list[Ended]) -> None:
        """Save the results that arrived; on failure try each alone, so that only its own task fails."""
        records = [(outcome, self._record(outcome)) for outcome in ended if outcome.failure is None]
        if not records:
            return
        try:
            self.storage.commit([record for _, record in records])
            self.claims.committed([outcome.number for outcome, _ in records])
        except LabtechError as error:
            if len(records) == 1:
                self._not_saved(ended, records[0][0], error)
                return
            full = False
            for outcome, record in records:
                if full and not self.rules.keep_going:  # one error tells it all: the others run again another time
                    ended.remove(outcome)
                    self.schedule.stop()
                    self.schedule.put_back(outcome.number)
                    continue
                try:
                    self.storage.commit([record])
                    self.claims.committed([outcome.number])
                except LabtechError as cause:
                    self._not_saved(ended, outcome, cause)
                    full = True

    def _not_saved(self, ended: list[Ended], outcome: Ended, error: LabtechError) -> None:
        failure = Failure(type(error).__name__, f"the result could not be saved: {error}")
        ended[ended.index(outcome)] = outcome._replace(failure=failure, stored=None)

    def _record(self, outcome: Ended) -> Record:
        task = self.graph.tasks[outcome.number]
        kind = type(task).__labtech__
        stored = None if kind.keeps_nothing else outcome.stored
        code = origin = None
        if stored is not None:
            code, origin = self.made(outcome.number)
            stored = self.trust.sign(task._labtech_key, stored)
        return Record(
            task._labtech_key,
            kind.name,
            task._labtech_version,
            outcome.params or encode_params(task),
            outcome.duration,
            outcome.started_at,
            stored,
            bool(self.replaces[outcome.number]),
            outcome.peak_memory,
            code,
            origin,
        )

    def _advance(self, outcome: Ended) -> None:
        number = outcome.number
        self.teller.begin(number, outcome.started_at)
        if outcome.failure is not None:
            self._fail(number, outcome.failure, outcome)
            return
        if self.shelf.wants(number):
            self._put(number, outcome)
        self.shelf.done(number)
        self.schedule.succeeded(number)
        self.done_well[number] = 1
        self.teller.end(number, Outcome.SUCCEEDED, outcome)

    def _put(self, number: int, outcome: Ended) -> None:
        """Keep a result at hand for the tasks that need it."""
        given = Input(outcome.stored, outcome.value, outcome.started_at, outcome.duration, True)
        task = self.graph.tasks[number]
        kept = self.claims.keeps(number)
        if kept and outcome.stored is not None and not outcome.stored.inline:
            given = given._replace(stored=self.storage.load([task._labtech_key]).popitem()[1])
        self.shelf.put(number, given, in_storage=kept)

    def _fail(self, number: int, failure: Failure, outcome: Ended | None) -> None:
        failure = self.failures[number] = self.teller.with_tail(number, failure)
        self.teller.begin(number, time.time())
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
        if now - self._ticked < self._timeout():
            return
        self._ticked = now
        if now - self._beaten >= BEAT_SECONDS:
            self._beaten = now
            self.storage.beat()
        for number, active in self.runner.active():
            if not self.teller.has_begun(number) and time.time() - active.started > _IDLE_SECONDS / 2:
                self.teller.begin(number, active.started, active.worker)
        self.teller.sinks.tick(time.time(), lambda: [active for _, active in self.runner.active()])


def describe_death(report: Died) -> Failure:
    """The end of a worker process in words."""
    code = report.exit_code
    if code is None:
        return Failure("TaskDied", "its worker process ended")
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return Failure("TaskDied", f"its worker process was killed by {name}")
    return Failure("TaskDied", f"its worker process ended with exit code {code} (the task may have called os._exit)")
