"""What a run's tasks take of the machine: admitted against what there is, by what is known of them and what is seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from labtech_cli.core.demands import Admission, Past, declared
from labtech_cli.core.events import Active, Failure
from labtech_cli.core.graph import Graph
from labtech_cli.core.present import render
from labtech_cli.core.schedule import Demands
from labtech_cli.run.deaths import OUT_OF_MEMORY, Deaths
from labtech_cli.run.limits import LOOK_SECONDS, MemoryLimits
from labtech_cli.run.resources import Resources
from labtech_cli.run.runner import Died, Runner
from labtech_cli.run.shares import Share, Shares


class Budget:
    """The resources of one run. Raises `LabError` where a task can never run."""

    def __init__(
        self,
        graph: Graph,
        runs: Sequence[int] | bytearray,
        resources: Resources,
        workers: int,
        past: Past = Past(),
    ) -> None:
        self._graph = graph
        needs = declared(graph, runs)
        devices = resources.devices() if any(said.gpus for said in needs.values()) else ()
        self._totals = resources.totals(workers, len(devices))
        self._admission = Admission(graph, runs, self._totals, workers, needs, past)
        self.watched = self._admission.watched
        """A task that took less tells nothing."""
        self._shares = Shares(needs, devices)
        self._limits = MemoryLimits(needs if resources.enforce_memory else {})
        self._deaths = Deaths(resources.limit())
        self.plain = not self._shares and not self._limits
        """Whether tasks are given nothing, so that nobody need be asked."""
        self._alone: set[int] = set()  # those that died of memory, and run once more while nothing else does

    def demands(self) -> Demands:
        """What the schedule is to hold."""
        return self._admission.demands()

    def warnings(self, runner: Runner, name: str) -> Iterator[str]:
        """What the user should know before tasks run."""
        greedy = self._admission.greedy()
        if greedy:
            task = render(self._graph.tasks[greedy[0]], 100)
            others = f" and {len(greedy) - 1} more" if len(greedy) > 1 else ""
            yield f"{task}{others} ask for more CPUs than the {self._totals.cpus} there are: each runs alone"
        if self._shares.devices and not runner.parts_environment:
            yield f"the runner {name!r} cannot give tasks GPUs of their own: each sees all of them"
        if self._limits and not runner.watches_memory:
            yield f"the runner {name!r} cannot end tasks for their memory: enforce_memory does not hold"

    @property
    def look_seconds(self) -> float | None:
        """How often `overdrawn` is to be asked, if at all."""
        return LOOK_SECONDS if self._limits else None

    def overdrawn(self, active: Iterable[tuple[int, Active]]) -> list[int]:
        """The running tasks that take more memory than they may."""
        return self._limits.exceeded(active)

    def give(self, number: int) -> Share | None:
        """What a task that starts is given."""
        return self._shares.give(number)

    def back(self, numbers: Iterable[int]) -> None:
        """These tasks do not run any more, or not yet."""
        for number in numbers:
            self._shares.back(number)

    def ended(self, number: int, peak: int | None) -> Demands | None:
        """A task has run, and took so much memory. New demands, where those like it are now admitted with more."""
        self._shares.back(number)
        self._limits.ended(number)  # it was quicker than the signal that was to stop it
        if peak is not None and peak > self.watched and self._admission.saw(number, peak):
            return self._admission.demands()
        return None

    def explain(self, report: Died, others: int) -> Failure:
        """Why a task died; `others`: what those that still run were last seen to hold, in bytes."""
        return self._limits.ended(report.number) or self._deaths.describe(report, others, report.number in self._alone)

    def isolates(self, number: int, failure: Failure) -> bool:
        """Whether a task that died is to run once more, alone: the first time it dies of memory."""
        if failure.kind != OUT_OF_MEMORY or number in self._alone:
            return False
        self._alone.add(number)
        return True
