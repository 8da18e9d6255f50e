"""The parent's view of one worker process: what it was given, what it knows and holds."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from labtech_cli.core.flat import pack
from labtech_cli.core.graph import Graph
from labtech_cli.run.board import Board
from labtech_cli.run.excerpt import LOOK_SECONDS, ROOM_BYTES, Excerpt, OutputFile, Text
from labtech_cli.run.runner import Output, Work
from labtech_cli.run.serve import Batch
from labtech_cli.run.wire import Channel
from labtech_cli.run.worker import Input

HELD_BYTES = 64 << 20  # inputs a worker keeps for later tasks
_MOST_HELD = 10_000


class WorkerHandle:
    """The parent's view of one worker process."""

    __slots__ = (
        "_excerpts",
        "_heard",
        "channel",
        "gpus",
        "held",
        "held_bytes",
        "in_flight",
        "known",
        "leaves",
        "output",
        "pid",
        "pidfd",
        "queued",
        "slot",
        "stopped",
        "types",
        "used",
    )

    def __init__(self, slot: int, pid: int, channel: Channel, size: int, output: OutputFile) -> None:
        self.slot, self.pid, self.channel, self.output = slot, pid, channel, output
        self._excerpts: dict[int, Excerpt] = {}  # of tasks that wrote and are not known to have ended
        self._heard = 0  # up to where the output of tasks that ended was read
        self.pidfd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        self.in_flight: set[int] = set()
        self.queued: list[Work] = []
        self.known = bytearray(size)
        self.types: dict[type, int] = {}
        self.held: OrderedDict[int, int] = OrderedDict()
        self.held_bytes = 0
        self.used = False  # whether it has been given any work
        self.gpus: tuple[str, ...] | None = None  # those that the tasks it has run were given
        self.leaves = False  # whether it was told to end
        self.stopped: int | None = None  # the task it was killed for, which took too long

    @property
    def load(self) -> int:
        return len(self.in_flight)

    @property
    def fresh(self) -> bool:
        """Whether no task has run, or will run, in the process."""
        return not self.used and not self.in_flight

    def leave(self) -> None:
        """Let the idle process end; it is buried when it has."""
        self.leaves = True
        with contextlib.suppress(OSError):
            self.channel.sock.shutdown(socket.SHUT_WR)

    def tell(self, graph: Graph, number: int, batch: Batch) -> None:
        """Add the rows of a task, and of those it holds, that the worker does not know."""
        index, known = graph.index, self.known
        if known[number]:
            return
        known[number] = 1
        wanted, stack = [number], list(graph.deps[number])
        while stack:
            place = stack.pop()
            if not known[place]:
                known[place] = 1
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
            found: Sequence[int] = ()
            if item._labtech_deps:
                values, nested = pack(values)
                found = graph.deps[place]
                if len(nested) > len(found):  # some more than once
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
        ended = select.poll()  # `select` knows descriptors below 1024 only
        ended.register(self.pidfd, select.POLLIN)
        return bool(ended.poll(max(0.0, seconds) * 1000))

    def close(self) -> None:
        """Let go of what is held of it, its output file too."""
        if self.pidfd is not None:
            os.close(self.pidfd)
        self.output.close()

    def look(self, board: Board) -> tuple[Output | None, float]:
        """What the task that runs has written since, and how soon to look again."""
        number, started, start = board.entry(self.slot)
        if number not in self.in_flight or time.time() - started < LOOK_SECONDS / 2:
            return None, LOOK_SECONDS
        size = self.output.size()
        if board.entry(self.slot) != (number, started, start):  # another one began: what it wrote is not this one's
            return None, LOOK_SECONDS
        if size == start:
            return None, LOOK_SECONDS
        if number not in self._excerpts:
            self._excerpts[number] = Excerpt(self.output, start)
        return Output(number, self._excerpts[number].look(size)), self.output.pace(size)

    def wrote(self, number: int, text: Text) -> Output:
        """What a task wrote that has ended, as far as that was not passed on before."""
        excerpt = self._excerpts.pop(number, None) or Excerpt(self.output, text.start)
        self._heard = text.end
        return Output(number, excerpt.end(text))

    def last_words(self, number: int, board: Board) -> Output:
        """What the task wrote that the process ended with."""
        running, _, start = board.entry(self.slot)
        return self.wrote(number, self.output.text(start if running == number else self._heard))

    def rest(self) -> None:
        """Nothing runs there, and nothing was handed to it: the file may begin anew."""
        if self._heard > ROOM_BYTES:
            self.output.restart()
            self._heard = 0
