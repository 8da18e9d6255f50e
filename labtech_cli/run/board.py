"""A small shared memory in which each worker notes what it runs now.

The parent reads it by the clock for the display, and after a worker's death to know which task died
with it. Writing costs a third of a microsecond, which no message could.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile

_SLOT = struct.Struct("<qdqq")  # number of the task (-1: none), when it started, where its output starts, its memory
_MEMORY = struct.Struct("<q")
NOTHING = -1


class Board:
    """`size` slots, one a worker, in an unlinked file that workers inherit by its descriptor."""

    def __init__(self, size: int, fd: int | None = None) -> None:
        if fd is None:
            with tempfile.TemporaryFile(prefix="labtech-") as file:
                file.truncate(size * _SLOT.size)
                fd = os.dup(file.fileno())
        self.fd, self.size = fd, size
        self._memory = mmap.mmap(fd, size * _SLOT.size)

    def write(self, slot: int, number: int, started_at: float = 0.0, output: int = 0) -> None:
        _SLOT.pack_into(self._memory, slot * _SLOT.size, number, started_at, output, 0)

    def note(self, slot: int, memory: int) -> None:
        """The task that runs there holds so many bytes now."""
        _MEMORY.pack_into(self._memory, (slot + 1) * _SLOT.size - _MEMORY.size, memory)

    def read(self, slot: int) -> tuple[int, float]:
        """The number of the task that runs there, and when it started."""
        return self.entry(slot)[:2]

    def entry(self, slot: int) -> tuple[int, float, int]:
        """The same, and where in the worker's output file its own begins."""
        number, started_at, output, _ = _SLOT.unpack_from(self._memory, slot * _SLOT.size)
        return int(number), float(started_at), int(output)

    def memory(self, slot: int) -> int:
        """What the task there was last seen to hold, in bytes; 0 for one that has just started."""
        return int(_SLOT.unpack_from(self._memory, slot * _SLOT.size)[3])

    def close(self) -> None:
        """Let go of the memory; a second call does nothing."""
        if self.fd >= 0:
            self._memory.close()
            os.close(self.fd)
            self.fd = -1
