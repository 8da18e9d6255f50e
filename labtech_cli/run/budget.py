"""What a run's tasks take of the machine: admitted against what there is, by what is known of them and what is seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from labtech_cli.core.demands import Admission, Past, declared
from labtech_cli.core.graph import Graph
from labtech_cli.core.present import render
from labtech_cli.core.schedule import Demands
from labtech_cli.run.resources import Resources
from labtech_cli.run.runner import Runner
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
        self._watched = self._admission.watched
        self._shares = Shares(needs, devices)

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

    def give(self, number: int) -> Share | None:
        """What a task that starts is given."""
        return self._shares.give(number) if self._shares else None

    def back(self, numbers: Iterable[int]) -> None:
        """These tasks do not run any more, or not yet."""
        if self._shares:
            for number in numbers:
                self._shares.back(number)

    def ended(self, number: int, peak: int | None) -> Demands | None:
        """A task has run, and took so much memory. New demands, where those like it are now admitted with more."""
        if self._shares:
            self._shares.back(number)
        if peak is not None and peak > self._watched and self._admission.saw(number, peak):
            return self._admission.demands()
        return None
