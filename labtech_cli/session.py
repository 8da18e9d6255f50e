"""One execution of a plan: verify what it loads, start the runner, drive the loop, say how it ended."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labtech_cli.core.demands import Past
from labtech_cli.core.events import Event, Outcome, RunFinished, RunStarted, TaskFinished, Warned
from labtech_cli.core.plan import Action, Plan, Policy, Why, longest_paths, make_plan
from labtech_cli.core.present import render
from labtech_cli.core.schedule import Demands, Schedule
from labtech_cli.errors import DamagedResult, StaleResults
from labtech_cli.outcome import RunResult
from labtech_cli.report.base import FanOut
from labtech_cli.run.backends import make_runner
from labtech_cli.run.budget import Budget
from labtech_cli.run.claims import keeps
from labtech_cli.run.interrupts import Interrupts
from labtech_cli.run.loop import Loop, Rules
from labtech_cli.run.origin import Origin, command_line
from labtech_cli.run.resources import Resources
from labtech_cli.run.runner import Runner, Setting
from labtech_cli.run.shelf import Shelf
from labtech_cli.run.teller import Sinks, Teller
from labtech_cli.run.tracking import Tracking
from labtech_cli.runs import keeper
from labtech_cli.staleness import Staleness
from labtech_cli.store.blobs import Stored, verify
from labtech_cli.store.records import Timings

if TYPE_CHECKING:
    from labtech_cli.lab import Lab


@dataclass(slots=True)
class Prepared:
    """A plan with what was learned on the way: the plan you are shown is the plan that runs."""

    plan: Plan
    timings: Timings
    seconds: list[float]
    """An estimate of each task's duration, by number."""
    known: bool
    """Whether any estimate rests on experience."""
    present: dict[str, float]
    staleness: Staleness
    """The code behind the tasks, and the results that other code has made."""
    policy: Policy = field(default_factory=Policy)
    damaged: set[str] = field(default_factory=set)
    """The results that count as absent because files of theirs are gone, where that was looked up."""

    def replan(self) -> None:
        """Plan again, once other results are present."""
        self.plan = make_plan(self.plan.graph, self.present, self.policy, self.staleness.stale)

    def runs(self) -> bytearray:
        return bytearray([action is Action.RUN for action in self.plan.actions])

    def budget(self, resources: Resources, workers: int) -> Budget:
        """What its tasks take of what there is. Raises `LabError` where a task can never run."""
        past = Past(self.timings.memory_by_key, self.timings.memory_by_type)
        return Budget(self.plan.graph, self.runs(), resources, workers, past)

    def estimate(self, workers: int, demands: Demands = Demands()) -> tuple[float, float]:
        """Wall time with `workers`, and the critical path, in seconds. `demands`: what tasks take of what is scarce."""
        runs = self.runs()
        paths = longest_paths(self.plan.graph, runs, self.seconds.__getitem__)
        total = sum([self.seconds[number] for number in range(len(runs)) if runs[number]])
        critical = max(paths, default=0.0)
        return max(critical, total / max(1, workers), demands.least_seconds(self.seconds)), critical


class Session:
    """One execution of a plan."""

    def __init__(self, lab: Lab, prepared: Prepared, fan_out: FanOut, rules: Rules, names: tuple[str, ...]) -> None:
        self.lab, self.prepared, self.fan_out, self.rules, self.names = lab, prepared, fan_out, rules, names
        self.storage = lab.storage
        now = datetime.now(UTC)  # ids sort by time, on all machines; the last digit tells two of one microsecond apart
        self.run_id = f"{now:%Y%m%d-%H%M%S}-{now.microsecond:05x}{uuid.uuid4().hex[0]}"
        self.began = time.monotonic()
        self._where: str | None = None
        self._closures: list[int] = []
        self._digests: dict[int, str] = {}

    def execute(self, zygote: Any) -> RunResult:
        warnings = [*self._stale(), *self._verify_inputs()]
        counts = self.prepared.plan.counts
        if not counts[Action.RUN]:
            if counts[Action.LOAD]:
                self._keep_history(executes=False)
            self.storage.leave()  # what a dead run left; nothing else is written: it may be that nothing can be
            return self._run(zygote, warnings)
        self._budget = self._make_budget()  # what can never run is told before anything is done
        self.storage.check_writable()
        needs = [key for key, action in self._actions() if action is not Action.UNTOUCHED]
        self.storage.enter(needs)
        if not self.storage.alone():
            self._look_again()
        folders = [place.folder for place in self.lab.modules if getattr(place, "folder", "")]
        self.origin = Origin(folders[0] if folders else None)
        self._keep_history(executes=True)
        try:
            return self._run(zygote, warnings)
        finally:
            self.origin.close()
            self.storage.leave()

    def _keep_history(self, *, executes: bool) -> None:
        writer = keeper(self.storage, self.run_id, self.lab.keep_runs, self._emit, executes=executes)
        if writer is not None:
            self.fan_out.add(writer)

    def _look_again(self) -> None:
        """Somebody wrote to the storage after the plan was made: what was removed meanwhile must be computed."""
        present = self.storage.present()
        if any(action is Action.LOAD and key not in present for key, action in self._actions()):
            self.prepared.present = present
            self.prepared.replan()
            self._budget = self._make_budget()

    def _make_budget(self) -> Budget:
        return self.prepared.budget(self.lab.resources, self.lab.workers)

    def _stale(self) -> list[str]:
        """What to say of results that the plan loads though other code made them. Raises `StaleResults`."""
        choice = self.lab.on_code_change
        messages = self.prepared.staleness.messages(self.prepared.plan) if choice != "ignore" else []
        if messages and choice == "error":
            raise StaleResults(
                "; ".join(messages),
                hint="rerun them with --rerun-stale, or keep them with "
                "'labtech cache migrate --accept TYPE'; 'labtech why' shows what changed",
            )
        if messages:
            messages[-1] += "; 'labtech why' shows it, --rerun-stale computes again"
        return messages

    def _run(self, zygote: Any, warnings: list[str]) -> RunResult:
        plan, graph = self.prepared.plan, self.prepared.plan.graph
        runs = self.prepared.runs()
        self._emit_started(plan)
        for message in warnings:
            self._emit(Warned(self.run_id, time.time(), message))
        loaded = plan.numbers(Action.LOAD)
        for number in loaded:
            self._emit(TaskFinished(self.run_id, time.time(), graph.tasks[number], Outcome.LOADED))
        kept_here = [
            number for number in graph.targets if runs[number] and not keeps(self.storage, graph.tasks[number])
        ]
        shelf = Shelf(graph, self.storage, runs, kept_here, self.lab.trust)
        runner = make_runner(self.lab.runner, [graph.tasks[number] for number in plan.numbers(Action.RUN)], zygote)
        tracking: Tracking | None = None
        loop: Loop | None = None
        with Interrupts(self.fan_out) as interrupts:
            try:
                if any(runs):
                    tracking, tracker = self._track(plan)
                    runner.start(
                        Setting(
                            graph,
                            self.storage.spool(),
                            self.lab.context,
                            self.lab.workers,
                            [*(["mlflow"] if tracker else []), *self.lab.modules],
                            tracker,
                            self.lab.resources.cpus,
                        )
                    )
                    loop = self._loop(runs, runner, shelf, interrupts, tracking)
                    loop.teller.counts.add(Outcome.LOADED, len(loaded))
                    if loop.timeouts and not runner.ends_tasks:
                        loop.teller.warn(f"the runner {self._runner_name()!r} cannot end tasks: no timeout holds")
                    for message in self._budget.warnings(runner, self._runner_name()):
                        loop.teller.warn(message)
                    loop.run()
            except BaseException:
                if tracking is not None:
                    tracking.end(130)
                raise
            finally:
                runner.close()
            return self._finish(loop, loaded, shelf, interrupts, tracking)

    def _loop(
        self, runs: bytearray, runner: Runner, shelf: Shelf, interrupts: Interrupts, tracking: Tracking | None
    ) -> Loop:
        plan = self.prepared.plan
        sinks = Sinks(
            self.fan_out.handle,
            self.fan_out.reads,
            self.fan_out.tick,
            self.fan_out.interval,
            tracking.ended if tracking else None,
        )
        return Loop(
            plan.graph,
            self._schedule(runs),
            runner,
            self.storage,
            shelf,
            Teller(self.run_id, plan.graph, sinks),
            self.rules,
            interrupts,
            self._budget,
            runs,
            bytearray([why in (Why.RERUN, Why.RERUN_TARGET, Why.CODE_CHANGED) for why in plan.whys]),
            self._made,
            self.lab.trust,
        )

    def _made(self, number: int) -> tuple[str | None, str | None]:
        """The documents that say which code made a result and where; kept before the first result that names them."""
        codes = self.prepared.staleness.codes
        if self._where is None:
            self._where, text = self.origin.document(codes.packages(), command_line())
            self._closures = self.prepared.staleness.actual(self.prepared.plan)
            made = {self._closures[number] for number in self.prepared.plan.numbers(Action.RUN)}
            self.storage.keep({self._where: text, **codes.documents(made)})
            self._digests = {closure: codes.digest(closure) for closure in made}
        return self._digests[self._closures[number]], self._where

    def _actions(self) -> Iterator[tuple[str, Action]]:
        plan = self.prepared.plan
        for task, action in zip(plan.graph.tasks, plan.actions, strict=True):
            yield task._labtech_key, action

    def _finish(
        self,
        loop: Loop | None,
        loaded: list[int],
        shelf: Shelf,
        interrupts: Interrupts,
        tracking: Tracking | None,
    ) -> RunResult:
        graph = self.prepared.plan.graph
        counts = (
            loop.teller.counts.by if loop else {**dict.fromkeys([o.value for o in Outcome], 0), "loaded": len(loaded)}
        )
        failures = [(graph.tasks[number], failure) for number, failure in loop.failures.items()] if loop else []
        interrupted = interrupts.level > 0 and (counts[Outcome.CANCELLED] > 0 or (loop is not None and loop.gave_up))
        code = interrupts.exit_status if interrupted else 1 if failures else 0
        if tracking is not None and (warning := tracking.end(code)):
            self._emit(Warned(self.run_id, time.time(), warning))
        available, inputs = set(), {}
        for number in graph.targets:
            key = graph.tasks[number]._labtech_key
            if self.prepared.plan.actions[number] is Action.LOAD or (loop is not None and loop.done_well[number]):
                available.add(key)
                if (given := shelf.get(number)) is not None and not keeps(self.storage, graph.tasks[number]):
                    inputs[key] = given
        saved = sum(self.prepared.present.get(graph.tasks[number]._labtech_key, 0.0) for number in loaded)
        self._emit(
            RunFinished(self.run_id, time.time(), counts, code, time.monotonic() - self.began, saved, interrupted)
        )
        return RunResult(self.run_id, counts, failures, code, interrupted, self.lab, available, inputs)

    def _verify_inputs(self) -> list[str]:
        """Check every result the plan would load; what is damaged is set aside and planned to run."""
        messages: list[str] = []
        while True:
            plan = self.prepared.plan
            bad = []
            for task, stored in self.lab.stored([plan.graph.tasks[number] for number in plan.numbers(Action.LOAD)]):
                if stored is not None:
                    self.lab.trust.check(task._labtech_key, stored)
                    if _damage(stored) is not None:
                        bad.append(task)
            if not bad:
                return messages
            for task in bad:
                self.storage.set_aside(task._labtech_key)
                self.prepared.present.pop(task._labtech_key, None)
                messages.append(f"the result of {render(task, 100)} was damaged: set aside, computed again")
            self.prepared.replan()

    def _schedule(self, runs: bytearray) -> Schedule:
        graph = self.prepared.plan.graph
        priority = longest_paths(graph, runs, self.prepared.seconds.__getitem__)
        return Schedule(graph, runs, priority, self._budget.demands())

    def _track(self, plan: Plan) -> tuple[Tracking | None, Any]:
        tracked = any(type(plan.graph.tasks[n]).__labtech__.mlflow_run for n in plan.numbers(Action.RUN))
        if not tracked:
            return None, None
        tracking = Tracking(*self.lab._mlflow, self.run_id, " ".join(self.names) or os.path.basename(sys.argv[0]))
        self.fan_out.tick(time.time(), list)  # the first use of a tracking store takes seconds: show what is planned
        tracker, warning = tracking.begin(self.storage.spool())
        if warning:
            self._emit(Warned(self.run_id, time.time(), warning))
        return tracking, tracker

    def _emit_started(self, plan: Plan) -> None:
        run: dict[str, int] = {}
        load: dict[str, int] = {}
        for task, action in zip(plan.graph.tasks, plan.actions, strict=True):
            if action is not Action.UNTOUCHED:
                tally = run if action is Action.RUN else load
                label = type(task).__labtech__.label
                tally[label] = tally.get(label, 0) + 1
        wall = None
        if self.prepared.known and run:
            wall = self.prepared.estimate(self.lab.workers, self._budget.demands())[0]
        names = self.names or tuple(render(plan.graph.tasks[number], 60) for number in plan.graph.targets[:5])
        self._emit(RunStarted(self.run_id, time.time(), names, self.lab.workers, self._runner_name(), run, load, wall))

    def _runner_name(self) -> str:
        return self.lab.runner if isinstance(self.lab.runner, str) else getattr(self.lab.runner, "name", "custom")

    def _emit(self, event: Event) -> None:
        self.fan_out.handle(event)


def _damage(stored: Stored) -> str | None:
    try:
        verify(stored)
    except DamagedResult as error:
        return str(error)
    return None
