"""What tasks write, in a file, and the bounded part of it that is kept: the first and the last bytes of each task.

Tasks append to an unlinked file that nobody waits for: a task can write as fast and as much as it likes.
The process that started them reads the file, while they run, when they have ended, and after they died;
the room of what was read, or will not be, goes back to the disk meanwhile.

Whoever opens `/dev/stderr` to write, as a shell does for `> /dev/stderr`, empties the file. So what a task wrote is
taken out of it as soon as the task ends, by whoever ran it: no other task can lose that.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import sys
import tempfile
from typing import NamedTuple

HEAD_BYTES = 512 << 10
"""What is kept of the beginning of a task's output, as it comes."""
TAIL_BYTES = 512 << 10
"""What is kept of its end, when it has ended. Output of up to both together is kept whole."""
LOOK_SECONDS = 0.1
"""How often the output of running tasks is looked at; more often while it comes fast."""
_FAST_BYTES = 4 << 20  # between two looks: more than this is fast
_FAST_SECONDS = 0.01
_LONG_LINE = 1 << 16  # a line is passed on in one piece unless it is longer, or its task ends
ROOM_BYTES = 8 << 20
"""How much room is given back at a time."""
_PAGE = 1 << 16
_FIRST_BYTES = 64
EMPTIED = b"[... the task opened its output anew, which emptied it: what is missing here is lost ...]\n"
_PUNCH = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE


class Text(NamedTuple):
    """What a task wrote, from one offset to another: all of it, or, of much, the first and the last bytes."""

    start: int
    end: int
    head: bytes
    tail: bytes
    before: bytes | None = None
    """What is known of what it wrote before the file was emptied, at its hands; None where that did not happen."""

    def between(self, start: int, end: int) -> bytes:
        """The bytes from one offset to another, both among the first or both among the last ones."""
        if start < self.start + len(self.head):
            return self.head[start - self.start : end - self.start]
        first = self.end - len(self.tail)
        return self.tail[start - first : end - first]


def read_text(fd: int, start: int, end: int) -> Text:
    """What a task wrote that began at `start`, and has ended, or died, at `end`."""
    if end < start:
        return read_text(fd, 0, end)._replace(before=b"")
    if end - start <= HEAD_BYTES + TAIL_BYTES:
        return Text(start, end, os.pread(fd, end - start, start) if end > start else b"", b"")
    return Text(start, end, os.pread(fd, HEAD_BYTES, start), os.pread(fd, TAIL_BYTES, end - TAIL_BYTES))


class OutputFile:
    """An unlinked file to which a process and all it starts append what they write, from one offset to the next."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile(prefix="labtech-") as file:
            self.fd = os.dup(file.fileno())
        fcntl.fcntl(self.fd, fcntl.F_SETFL, os.O_APPEND)
        self._free = self._seen = 0
        self._punches = sys.platform == "linux"

    def size(self) -> int:
        """Where the next byte goes."""
        return os.fstat(self.fd).st_size

    def read(self, start: int, end: int) -> bytes:
        """The bytes from one offset to another."""
        return os.pread(self.fd, end - start, start) if end > start else b""

    def punch(self, start: int, end: int) -> int:
        """Give the disk back what lies between, once it is much; appending goes on meanwhile. Up to where it did."""
        first, last = -(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE
        if last - first < ROOM_BYTES or not self._punches:
            return start
        self._punches = _punch(self.fd, first, last - first)
        return last

    def text(self, start: int) -> Text:
        """What was written from one offset on."""
        return read_text(self.fd, start, self.size())

    def free(self, end: int) -> None:
        """All tasks that wrote before `end` have ended, and what they wrote was read."""
        self._free = self.punch(min(self._free, end), end)  # the file may have been emptied

    def restart(self) -> None:
        """While no task runs that writes to it: empty the file, whatever its file system can do."""
        os.ftruncate(self.fd, 0)
        self._free = self._seen = 0

    def pace(self, size: int) -> float:
        """How soon to look again, by how fast the file grew to this size."""
        grown, self._seen = size - self._seen, size
        return _FAST_SECONDS if grown > _FAST_BYTES else LOOK_SECONDS

    def close(self) -> None:
        """Let go of the file, and with the last that does, of what is in it."""
        os.close(self.fd)


class Excerpt:
    """What is kept of the output of one task, which begins at `start` in a file and grows until the task ends."""

    def __init__(self, file: OutputFile, start: int) -> None:
        self._file, self._start = file, start
        self._next = self._freed = start
        self._open = True  # the beginning is not complete
        self._newline = True  # what was passed on ends in one
        self._size = start  # of the file when last looked at
        self._emptied = False
        self._first = b""  # the beginning of what was passed on

    def look(self, size: int) -> bytes:
        """While the task runs and the file has this size: whole lines to pass on now."""
        data = b""
        self._emptied = self._emptied or size < self._size
        if self._emptied:  # offsets mean nothing any more: the rest is told at the end
            return data
        self._size = size
        limit = self._start + HEAD_BYTES
        if self._open and size > self._next:
            data = self._file.read(self._next, min(size, limit))
            self._open = size < limit
            data = data[: _cut(data, ends=not self._open)]
            self._next += len(data)
            self._first = self._first or data[:_FIRST_BYTES]
            self._newline = data.endswith(b"\n") if data else self._newline
        if not self._open:
            self._freed = self._file.punch(self._freed, size - TAIL_BYTES)
        return data

    def end(self, text: Text) -> bytes:
        """When the task has ended and this is what it wrote: the rest, a gap in it told in a line of its own."""
        if self._emptied or text.before is not None:
            return self._anew(text)
        end = text.end
        begun = self._start + HEAD_BYTES - self._next if self._open else 0
        if end - self._next <= begun + TAIL_BYTES:
            data = text.between(self._next, end)
        else:
            head = text.between(self._next, self._next + begun)
            head = head[: _cut(head, ends=True)]
            tail = text.between(end - TAIL_BYTES, end)
            tail = tail[_lines_start(tail) :]
            left_out = end - len(tail) - self._next - len(head)
            newline = b"" if (head.endswith(b"\n") if head else self._newline) else b"\n"
            data = head + newline + f"[... {left_out:,} bytes left out ...]\n".encode() + tail
        self._open, self._next = False, end
        self._file.free(end)
        return data

    def _anew(self, text: Text) -> bytes:
        """The file was emptied: what it lost, as far as it is known and was not passed on, and what it has now."""
        before = text.before or b""
        known = min(len(before), len(self._first))
        if known and before[:known] == self._first[:known]:  # it was passed on while it was there
            before = b""
        newline = b"" if (before.endswith(b"\n") if before else self._newline) else b"\n"
        after = Excerpt(self._file, text.start).end(text._replace(before=None))
        return before + newline + EMPTIED + after


def _cut(data: bytes, *, ends: bool) -> int:
    """How much of `data` to pass on: whole lines, unless one is long; of that, or of the last piece, whole characters.

    A line may end in a carriage return, as those of progress bars do.
    """
    lines = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    if len(data) - lines > _LONG_LINE or (ends and not lines):
        return _text_end(data)
    return lines


def _text_end(data: bytes) -> int:
    """How much of `data` does not end within a character of UTF-8."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0xC0:  # the first byte of a character of several
            whole = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) if back >= whole else len(data) - back
        if byte & 0xC0 != 0x80:
            break
    return len(data)


def _lines_start(data: bytes) -> int:
    """Where in `data` the first whole line begins; in one long line, the first whole character."""
    if newline := data.find(b"\n", 0, len(data) // 2) + 1:
        return newline
    return next((place for place, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)


def _punch(fd: int, start: int, many: int) -> bool:
    """Take part of a file's room away, its size unchanged; False where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.fallocate(fd, _PUNCH, ctypes.c_int64(start), ctypes.c_int64(many))
    return bool(done == 0 or ctypes.get_errno() == errno.EINTR)
