"""The parent's view of one worker process: what it was given, what it knows and holds."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections import OrderedDict
from typing import Any

from labtech_cli.core.flat import pack
from labtech_cli.core.graph import Graph
from labtech_cli.run.runner import Work
from labtech_cli.run.serve import Batch
from labtech_cli.run.wire import Channel
from labtech_cli.run.worker import Input

HELD_BYTES = 64 << 20  # inputs a worker keeps for later tasks
_MOST_HELD = 10_000


class WorkerHandle:
    """The parent's view of one worker process."""

    __slots__ = (
        "channel",
        "held",
        "held_bytes",
        "in_flight",
        "known",
        "pid",
        "pidfd",
        "queued",
        "slot",
        "stopped",
        "types",
        "used",
    )

    def __init__(self, slot: int, pid: int, channel: Channel, size: int) -> None:
        self.slot, self.pid, self.channel = slot, pid, channel
        self.pidfd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        self.in_flight: set[int] = set()
        self.queued: list[Work] = []
        self.known = bytearray(size)
        self.types: dict[type, int] = {}
        self.held: OrderedDict[int, int] = OrderedDict()
        self.held_bytes = 0
        self.used = False  # whether it has been given any work
        self.stopped: int | None = None  # the task it was killed for, which took too long

    @property
    def load(self) -> int:
        return len(self.in_flight)

    def tell(self, graph: Graph, number: int, batch: Batch) -> None:
        """Add the rows of a task, and of those it holds, that the worker does not know."""
        index, wanted, stack = graph.index, [], [number]
        while stack:
            place = stack.pop()
            if not self.known[place]:
                self.known[place] = 1
                wanted.append(place)
                stack.extend(graph.deps[place])
        for place in sorted(wanted):  # dependencies have the smaller numbers
            item = graph.tasks[place]
            cls = type(item)
            kind = self.types.get(cls)
            if kind is None:
                kind = self.types[cls] = len(self.types)
                batch.types.append((cls.__labtech__.name[: -len(cls.__qualname__) - 1], cls.__qualname__))
            values: Any = [getattr(item, name) for name in cls.__labtech__.parameters]
            found: list[int] = []
            if item._labtech_deps:
                values, nested = pack(values)
                found = [index[other._labtech_key] for other in nested]
            batch.rows.append((place, kind, item._labtech_version, item._labtech_key, values, found))

    def hold(self, number: int, given: Input) -> None:
        """The worker has this input from now on."""
        size = sum([blob.size for blob in given.stored.blobs if blob.data is not None]) if given.stored else 0
        self.held[number] = size
        self.held_bytes += size

    def forget(self, batch: Batch) -> None:
        """Let the worker drop the inputs that were used least recently, within the bound."""
        if self.held_bytes <= HELD_BYTES and len(self.held) <= _MOST_HELD:
            return
        needed = {need for _, _, needs, _ in batch.work for need in needs}
        for number in list(self.held):
            if self.held_bytes <= HELD_BYTES and len(self.held) <= _MOST_HELD:
                break
            if number not in needed:
                self.held_bytes -= self.held.pop(number)
                batch.drop.append(number)

    def ended_within(self, seconds: float) -> bool:
        """Wait for the process to end, without taking its exit status."""
        if self.pidfd is None:
            return False
        return bool(select.select([self.pidfd], [], [], max(0.0, seconds))[0])


def end_tree(pid: int) -> None:
    """Kill a process, its group, and whatever it started elsewhere, all that can be found."""
    import psutil

    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        found = []
    for send in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(pid, signal.SIGKILL)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
