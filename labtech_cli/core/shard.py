"""Which of a plan's targets each shard of N runs: the same on every machine that sees the same plan.

The split follows from keys, actions and rounded durations alone; no order of targets, clock or machine
has a part in it. Targets that need the same dear tasks are joined to clusters, and clusters are dealt
out, the longest first, each to the shard that has least to do (LPT). How much may be joined is tried
in a few sizes, and what a split would really cost decides. See docs/notes/shards.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heapify, heapreplace

from labtech_cli.core.plan import Action, Plan
from labtech_cli.errors import ConfigError

MOST_SHARDS = 1_000
SIZES = (2.0, 1.4, 1.0, 0.7, 0.35, 0.0)
"""How long a cluster may take, in fair shares (all work divided by N)."""
CHEAP = 1 / 20  # of the work that needs a task: when doing it in every shard adds less, it joins nothing
EVERYWHERE = 8  # clusters for each shard: a task that more of them need is needed in every shard
SLACK = 1.1  # a split may take this much longer than the fastest one, if it does less work twice


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of several, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True, slots=True)
class Split:
    """The shard, from 0, of each target, in the order of the graph's targets."""

    shards: list[int]
    seconds: list[float]
    """The work of each shard."""
    code: str
    """Six digits that differ when the split differs."""


def parse_shard(text: str) -> Shard:
    """`2/4` as a shard."""
    number, slash, of = text.partition("/")
    if not slash or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in (number, of)):
        raise ConfigError(f"--shard {text}: must be K/N, two whole numbers", hint="the second of four is 2/4")
    found = Shard(int(number), int(of))
    if not 1 <= found.of <= MOST_SHARDS:
        raise ConfigError(f"--shard {text}: N must be from 1 to {MOST_SHARDS:,}", hint=None)
    if not 1 <= found.number <= found.of:
        near = Shard(1, found.of) if not found.number else Shard(found.of, min(found.number, MOST_SHARDS))
        raise ConfigError(f"--shard {text}: K must be from 1 to {found.of}", hint=f"did you mean '{near}'?")
    return found


def split_targets(plan: Plan, seconds: Sequence[float], shards: int) -> Split:
    """Deal the targets of `plan` out to `shards`, given an estimate of each task's duration by number."""
    costs = [_rounded(seconds[number]) if action is Action.RUN else 0 for number, action in enumerate(plan.actions)]
    dealt, loads = _best(_Work(plan, costs), shards)
    keys = [plan.graph.tasks[number]._labtech_key for number in plan.graph.targets]
    by_key = dict(zip(sorted(keys), dealt, strict=True))
    text = " ".join([f"{key}:{shard}" for key, shard in by_key.items()])
    code = blake2b(f"{shards} {text}".encode(), digest_size=3).hexdigest()
    return Split([by_key[key] for key in keys], [load / 1000 for load in loads], code)


def _best(work: _Work, shards: int) -> tuple[list[int], list[int]]:
    """The split that does least work twice among those that take hardly longer than the fastest one."""
    least = max(sum(work.costs) / shards, max(work.paths, default=0))  # no split can be faster
    tried = []
    for size in sorted({float(shards), *SIZES}, reverse=True):
        dealt = _deal(work, work.clusters(size, shards), shards)
        loads = work.loads(dealt, shards)
        if not work.shared or max(loads) <= least * SLACK:  # smaller clusters only do more work twice
            return dealt, loads
        tried.append((dealt, loads))
    fastest = min([max(loads) for _, loads in tried])
    good = [one for one in tried if max(one[1]) <= fastest * SLACK]
    return min(good, key=lambda one: (sum(one[1]), max(one[1])))


def _rounded(seconds: float) -> int:
    """Milliseconds to two digits: small differences change nothing, and sums are exact in any order."""
    whole = max(1, round(seconds * 1000))
    unit: int = 10 ** max(0, len(str(whole)) - 2)
    return round(whole / unit) * unit


class _Work:
    """What is to be done for each target: targets by their position in the order of keys, tasks by number."""

    def __init__(self, plan: Plan, costs: list[int]) -> None:
        graph = plan.graph
        self.deps = [[dep for dep in deps if costs[dep]] if costs[n] else [] for n, deps in enumerate(graph.deps)]
        self.costs = costs
        self.targets = sorted(graph.targets, key=lambda number: graph.tasks[number]._labtech_key)
        self.shared = False
        """Whether any two targets need the same task, known after `clusters`."""
        self.paths = list(costs)  # from the start of the first task that a task needs to its own end
        for number, deps in enumerate(self.deps):
            if deps:
                self.paths[number] += max([self.paths[dep] for dep in deps])
        runs = [number for number in range(len(costs)) if costs[number]]
        # What takes longest comes first. A task takes longer than what it needs, so it comes before that, too.
        self.order = sorted(runs, key=lambda number: (-self.paths[number], graph.tasks[number]._labtech_key))

    def clusters(self, size: float, shards: int) -> list[tuple[int, list[int]]]:
        """Targets joined by what they need, to about `size` fair shares at most: the work and targets of each."""
        most = sum(self.costs) / shards * size
        union = _Union(len(self.targets))
        homes: list[list[int]] = [[] for _ in self.costs]
        for position, number in enumerate(self.targets):
            homes[number].append(position)
        for number in self.order:
            found = homes[number]
            if len(found) == 1:
                found = [union.root(found[0])]
            else:
                found = sorted({union.root(home) for home in found})
            if len(found) > 1:
                self.shared = True
                found = union.join(found, most, self.paths[number] * shards / CHEAP)
                if len(found) > shards * EVERYWHERE:  # keeps this linear
                    found = []
            for home in found:
                union.weights[home] += self.costs[number]
            for dep in self.deps[number]:
                homes[dep].extend(found)
            homes[number] = []
        return list(union.parts())

    def loads(self, dealt: list[int], shards: int) -> list[int]:
        """The work of each shard: every task that a target of it needs, once."""
        masks = [0] * len(self.costs)  # a bit for each shard
        for number, shard in zip(self.targets, dealt, strict=True):
            masks[number] |= 1 << shard
        by_mask: dict[int, int] = defaultdict(int)
        for number in range(len(masks) - 1, -1, -1):
            mask = masks[number]
            if mask and self.costs[number]:
                by_mask[mask] += self.costs[number]
                for dep in self.deps[number]:
                    masks[dep] |= mask
        loads = [0] * shards
        for mask, cost in by_mask.items():
            for shard in _bits(mask):
                loads[shard] += cost
        return loads


class _Union:
    """Clusters of targets (a union-find), each called by its first target."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))
        self.weights = [0] * size

    def root(self, item: int) -> int:
        parents = self._parents
        while parents[item] != item:
            parents[item] = item = parents[parents[item]]
        return item

    def join(self, found: list[int], limit: float, few: float) -> list[int]:
        """Join clusters to as few as `limit` allows, about equally large; what they are called then.

        Nothing, neither joined nor to be weighed, with a limit of 0, and where they come to more than
        `few`: then what they share is done in every shard, as far as the clusters are concerned.
        """
        content = sum([self.weights[item] for item in found])
        if not limit or content > few:
            return []
        aim = content / max(1, -(-content // limit))
        joined: list[int] = []
        room = 0.0
        for item in found:
            if room > 0 or (joined and not self.weights[item]):  # a target not weighed yet goes with what needs it
                self._parents[item] = joined[-1]
                self.weights[joined[-1]] += self.weights[item]
            else:
                joined.append(item)
                room = aim
            room -= self.weights[item]
        return joined

    def parts(self) -> Iterator[tuple[int, list[int]]]:
        """The weight and the members of each cluster."""
        members: dict[int, list[int]] = defaultdict(list)
        for item in range(len(self._parents)):
            members[self.root(item)].append(item)
        for item, some in members.items():
            yield self.weights[item], some


def _deal(work: _Work, clusters: Iterable[tuple[int, list[int]]], shards: int) -> list[int]:
    """The shard of each target, by its position; targets that cost nothing are dealt in turn."""
    dealt = [0] * len(work.targets)
    heap = [(0, shard) for shard in range(shards)]
    heapify(heap)
    turn = 0
    for weight, members in sorted(clusters, key=lambda one: (-one[0], one[1])):
        if weight:
            load, shard = heap[0]
            heapreplace(heap, (load + weight, shard))
        else:
            shard = turn % shards
            turn += 1
        for position in members:
            dealt[position] = shard
    return dealt


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
