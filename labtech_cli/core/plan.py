"""What a run would do with each task, and why: arithmetic over keys, the same walk for plan and run.

A task is needed when it is a target, or when a task that runs depends on it. A needed task whose key
the storage holds is loaded, and ends the walk: what it depends on is not needed for its sake. Any
other needed task runs. No user code is called and no result is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from labtech_cli.core.graph import Graph


class Action(StrEnum):
    """What a run does with a task."""

    RUN = "run"
    LOAD = "load"
    UNTOUCHED = "untouched"


class Why(StrEnum):
    """The predicate that decided an action."""

    CACHED = "cached"
    NOT_NEEDED = "not needed"
    NOT_CACHED = "never run"
    CODE_CHANGED = "code changed"
    NO_CACHE = "cache=None"
    NO_STORAGE = "no storage"
    RERUN = "--rerun"
    RERUN_TARGET = "--rerun-targets"


@dataclass(frozen=True, slots=True)
class Policy:
    """Which cached results a plan must not use."""

    rerun_all: bool = False
    rerun_targets: bool = False
    rerun_stale: bool = False
    """Whether results that other code has made do not count."""
    storage: bool = True
    """False when there is nowhere to keep results."""


@dataclass(slots=True)
class Plan:
    """An action and a reason for each task of a graph, by number."""

    graph: Graph
    actions: list[Action]
    whys: list[Why]
    counts: dict[Action, int] = field(init=False)

    def __post_init__(self) -> None:
        tally = Counter(self.actions)
        self.counts = {action: tally[action] for action in Action}

    def keys(self, action: Action) -> list[str]:
        """The keys of the tasks with an action."""
        return [self.graph.tasks[number]._labtech_key for number in self.numbers(action)]

    def numbers(self, action: Action) -> list[int]:
        """The numbers of the tasks with this action, dependencies first."""
        return [number for number, chosen in enumerate(self.actions) if chosen is action]

    def by_type(self) -> dict[str, dict[Action, int]]:
        """Counts of actions by the name of the task type, in the order of the graph."""
        table: dict[str, dict[Action, int]] = {}
        tally = Counter(
            (type(task).__labtech__.name, action) for task, action in zip(self.graph.tasks, self.actions, strict=True)
        )
        for (name, action), count in tally.items():
            table.setdefault(name, dict.fromkeys(Action, 0))[action] = count
        return table


def make_plan(
    graph: Graph, present: Container[str], policy: Policy = Policy(), stale: Container[str] = frozenset()
) -> Plan:
    """Decide for every task of `graph`, given the keys `present` in the storage, those `stale` among them."""
    doubtful = stale if policy.rerun_stale else frozenset()
    size = len(graph)
    actions = [Action.UNTOUCHED] * size
    whys = [Why.NOT_NEEDED] * size
    needed = bytearray(size)
    target = bytearray(size)
    for number in graph.targets:
        needed[number] = target[number] = 1
    for number in range(size - 1, -1, -1):
        if not needed[number]:
            continue
        why = _why(graph.tasks[number], present, policy, bool(target[number]), doubtful)
        whys[number] = why
        if why is Why.CACHED:
            actions[number] = Action.LOAD
            continue
        actions[number] = Action.RUN
        for dep in graph.deps[number]:
            needed[dep] = 1
    return Plan(graph, actions, whys)


def _why(task: Any, present: Container[str], policy: Policy, is_target: bool, doubtful: Container[str]) -> Why:
    if not policy.storage:
        return Why.NO_STORAGE
    if type(task).__labtech__.keeps_nothing:
        return Why.NO_CACHE
    if task._labtech_key not in present:
        return Why.NOT_CACHED
    if policy.rerun_all:
        return Why.RERUN
    if policy.rerun_targets and is_target:
        return Why.RERUN_TARGET
    return Why.CODE_CHANGED if task._labtech_key in doubtful else Why.CACHED


def longest_paths(graph: Graph, runs: Sequence[bool] | bytearray, seconds: Callable[[int], float]) -> list[float]:
    """For each task that runs, the time from its start to the end of the last task that needs it."""
    tail = [0.0] * len(graph)
    path = [0.0] * len(graph)
    for number in range(len(graph) - 1, -1, -1):
        if runs[number]:
            path[number] = length = seconds(number) + tail[number]
            for dep in graph.deps[number]:
                if length > tail[dep]:
                    tail[dep] = length
    return path
