"""A plan with what was learned on the way: the plan you are shown is the plan that runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from labtech_cli.core.demands import Past
from labtech_cli.core.plan import Action, Plan, Policy, longest_paths, make_plan
from labtech_cli.core.schedule import Demands
from labtech_cli.run.budget import Budget
from labtech_cli.run.resources import Resources
from labtech_cli.staleness import Staleness
from labtech_cli.store.records import Timings


@dataclass(slots=True)
class Prepared:
    """A plan, the storage's results it rests on, and the code behind its tasks."""

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
