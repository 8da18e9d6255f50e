"""The parent's view of one worker process."""

from __future__ import annotations

import os
import select
from collections import OrderedDict

from labtech_cli.run.runner import Work
from labtech_cli.run.wire import Channel


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

    @property
    def load(self) -> int:
        return len(self.in_flight)

    def ended_within(self, seconds: float) -> bool:
        """Wait for the process to end, without taking its exit status."""
        if self.pidfd is None:
            return False
        return bool(select.select([self.pidfd], [], [], max(0.0, seconds))[0])
