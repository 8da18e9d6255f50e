"""One execution of a plan: verify what it loads, start the runner, drive the loop, say how it ended."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labtech_cli.adoption import Adoption
from labtech_cli.core.events import Counts, Event, Outcome, RunFinished, RunStarted, TaskFinished, Warned
from labtech_cli.core.plan import Action, Plan, Why, longest_paths
from labtech_cli.core.present import render
from labtech_cli.core.schedule import Schedule
from labtech_cli.errors import RunnerError, StaleResults
from labtech_cli.inputs import verify_inputs
from labtech_cli.outcome import RunResult
from labtech_cli.prepared import Prepared
from labtech_cli.report.base import FanOut
from labtech_cli.run.backends import make_runner
from labtech_cli.run.budget import Budget
from labtech_cli.run.claims import keeps
from labtech_cli.run.interrupts import Interrupts
from labtech_cli.run.loop import Loop, Rules
from labtech_cli.run.origin import Origin, command_line
from labtech_cli.run.runner import Runner, Setting
from labtech_cli.run.shelf import Shelf
from labtech_cli.run.teller import Sinks, Teller
from labtech_cli.run.tracking import Tracking
from labtech_cli.runs import keeper
from labtech_cli.staleness import Staleness

if TYPE_CHECKING:
    from labtech_cli.lab import Lab


_IMPORTED_BEFORE = ("process", "fork", "fork-per-task", "thread", "serial")
"""Runners whose workers have, from the beginning, the modules that this process has imported, in the same state."""


class Session:
    """One execution of a plan."""

    def __init__(self, lab: Lab, prepared: Prepared, fan_out: FanOut, rules: Rules, names: tuple[str, ...]) -> None:
        self.lab, self.prepared, self.fan_out, self.rules, self.names = lab, prepared, fan_out, rules, names
        self.storage = lab.storage
        now = datetime.now(UTC)  # ids sort by time, on all machines; the last digit tells two of one microsecond apart
        self.run_id = f"{now:%Y%m%d-%H%M%S}-{now.microsecond:05x}{uuid.uuid4().hex[0]}"
        self.began = time.monotonic()
        self._where: str | None = None
        self._digests: list[str] = []

    def execute(self, zygote: Any) -> RunResult:
        stale, damaged = self._stale(), verify_inputs(self.lab, self.prepared)
        counts = self.prepared.plan.counts
        if not counts[Action.RUN]:
            if counts[Action.LOAD]:
                self._keep_history(executes=False)
            self.storage.leave()  # what a dead run left; nothing else is written: it may be that nothing can be
            return self._run(zygote, [*stale, *damaged])
        self._budget = self._make_budget()  # what can never run is told before anything is done
        self.storage.check_writable()
        needs = [key for key, action in self._actions() if action is not Action.UNTOUCHED]
        self.storage.enter(needs)
        if not self.storage.alone() and self._look_again():
            stale, damaged = self._stale(), [*damaged, *verify_inputs(self.lab, self.prepared)]
            self._budget = self._make_budget()
        folders = [place.folder for place in self.lab.modules if getattr(place, "folder", "")]
        self.origin = Origin(folders[0] if folders else None)
        self._keep_history(executes=True)
        try:
            return self._run(zygote, [*stale, *damaged])
        finally:
            self.origin.close()
            self.storage.leave()

    def _keep_history(self, *, executes: bool) -> None:
        writer = keeper(self.storage, self.run_id, self.lab.keep_runs, self._emit, executes=executes)
        if writer is not None:
            self.fan_out.add(writer)

    def _look_again(self) -> bool:
        """Somebody wrote to the storage after the plan was made: what was removed meanwhile must be computed. Whether
        there is another plan by that."""
        present = self.storage.present()
        if not any(action is Action.LOAD and key not in present for key, action in self._actions()):
            return False
        self.prepared.present = present
        self.prepared.staleness = Staleness.look(self.prepared.plan.graph, self.storage)
        self.prepared.replan()
        return True

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
        broken: RunnerError | None = None
        with Interrupts(self.fan_out) as interrupts:
            interrupts.last_words = lambda status: self.fan_out.abandon(self._broken_off(loop, loaded, status))
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
            except RunnerError as error:
                broken = error
                if loop is not None:
                    loop.finish()
            except BaseException as error:
                if loop is None or interrupts.level < 2 or not isinstance(error, KeyboardInterrupt):
                    if tracking is not None:
                        tracking.end(130)
                    raise
                loop.finish()  # it was raised in a task of this thread that was about to end
            finally:
                runner.close()
            done = self._finish(loop, loaded, shelf, interrupts, tracking, broken)
            if broken is not None and not done.interrupted:
                raise broken
            return done

    def _adopting(self) -> Adoption:
        reruns = self.prepared.policy.rerun_stale
        return Adoption(
            self.prepared.plan.graph,
            self.storage,
            self.lab.trust,
            self.prepared.staleness,
            "rerun" if reruns else self.lab.on_code_change,
            lambda message: self._emit(Warned(self.run_id, time.time(), message)),
        )

    def _loop(
        self, runs: bytearray, runner: Runner, shelf: Shelf, interrupts: Interrupts, tracking: Tracking | None
    ) -> Loop:
        plan = self.prepared.plan
        self._adoption = self._adopting()
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
            self._adoption.look,
            self.lab.trust,
        )

    def _made(self) -> tuple[list[str], str | None]:
        """The documents that say which code made the results that have arrived, by number, and where; they are kept
        before the first result that names them."""
        codes = self.prepared.staleness.codes
        if self._where is None:
            self._where, text = self.origin.document(codes.packages(), command_line())
            self.storage.keep({self._where: text})
        edited = codes.note_edits(imported=self.lab.runner not in _IMPORTED_BEFORE)
        if edited:
            names = ", ".join([name.rpartition(".")[2] for name in edited])
            what = "was changed while tasks run, and is imported only now: their results count as made by other code"
            self._emit(Warned(self.run_id, time.time(), f"the code of {names} {what}"))
        if not self._digests or self._adoption.changed or edited:
            self._adoption.changed = False
            self._digests = self._keep_codes()
        return self._digests, self._where

    def _keep_codes(self) -> list[str]:
        """The digests of the documents that say which code makes each task's result; they are kept."""
        staleness = self.prepared.staleness
        closures = staleness.actual(self.prepared.plan)
        made = {closures[number] for number in self.prepared.plan.numbers(Action.RUN)}
        self.storage.keep(staleness.codes.documents(made))
        digests = {closure: staleness.codes.digest(closure) for closure in set(closures)}
        return [digests[closure] for closure in closures]

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
        broken: RunnerError | None,
    ) -> RunResult:
        graph = self.prepared.plan.graph
        counts = self._counts(loop, loaded)
        failures = [(graph.tasks[number], failure) for number, failure in loop.failures.items()] if loop else []
        interrupted = interrupts.level > 0 and (counts[Outcome.CANCELLED] > 0 or (loop is not None and loop.gave_up))
        code = interrupts.exit_status if interrupted else 1 if failures else 0
        if broken is not None and interrupted:
            self._emit(Warned(self.run_id, time.time(), broken.message))
        elif broken is not None:
            code = broken.exit_status
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

    def _broken_off(self, loop: Loop | None, loaded: list[int], status: int) -> RunFinished:
        """How this run ends where it cannot come to its end: whatever has not ended is cancelled."""
        counts = self._counts(loop, loaded)
        return RunFinished(self.run_id, time.time(), counts, status, time.monotonic() - self.began, 0.0, True)

    def _counts(self, loop: Loop | None, loaded: list[int]) -> dict[str, int]:
        """How many tasks ended how. What has not ended is cancelled."""
        counts = dict(loop.teller.counts.by if loop is not None else Counts().by | {Outcome.LOADED: len(loaded)})
        runs = loop.runs if loop is not None else self.prepared.runs()
        counts[Outcome.CANCELLED] += len(loaded) + sum(runs) - sum(counts.values())
        return counts

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
