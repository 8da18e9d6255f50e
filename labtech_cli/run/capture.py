"""What tasks write to stdout and stderr, caught where it cannot escape.

In a worker process both descriptors lead to one file (see `excerpt`), so output of C code and
subprocesses is caught too, in order, and nothing can block. In threads, which share descriptors, what
goes through `sys.stdout` and `sys.stderr` is caught by thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from labtech_cli.run.excerpt import Text, read_text

LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


_MOST_PIECES = 256
_MOST_BYTES = 1 << 16
_NAMES = ("stdout", "stderr", "__stdout__", "__stderr__")


class FileCapture:
    """Descriptors 1 and 2 of this process lead to a file, `fd`, that whoever made it reads."""

    def __init__(self, fd: int) -> None:
        self._fd, self._memory = fd, _Memory(fd)
        library = ctypes.CDLL(None)
        self._c_flush = library.fflush
        self._saved: tuple[int, int] | None = None
        self._streams: tuple[Any, ...] = ()
        with contextlib.suppress(ValueError, AttributeError):  # so that lines of C code come in order, too
            library.setlinebuf(ctypes.c_void_p.in_dll(library, "stdout"))

    def install(self) -> None:
        """Redirect for good, in a worker process."""
        for number in (1, 2):
            os.dup2(self._fd, number)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = _stream(1, self._memory), _stream(2, self._memory)  # type: ignore[misc]
        self.settle()

    def settle(self) -> int:
        """What was written so far is nobody's, and the streams as they are now are those of every task. Its size."""
        self._streams = tuple(getattr(sys, name, None) for name in _NAMES)
        self._flush()
        self._memory.clear()
        return self.size()

    def begin(self) -> None:
        """Redirect until `end`, in a process that goes on to use its own stdout and stderr."""
        self._flush()
        self._memory.clear()
        self._saved = os.dup(1), os.dup(2)
        os.dup2(self._fd, 1)
        os.dup2(self._fd, 2)
        self._streams = sys.stdout, sys.stderr  # a notebook's, for one, do not lead to the descriptors
        sys.stdout, sys.stderr = _stream(1, self._memory), _stream(2, self._memory)

    def end(self) -> None:
        self._mend_descriptors()
        self._flush()
        if self._saved is not None:
            for number, saved in zip((1, 2), self._saved, strict=True):
                os.dup2(saved, number)
                os.close(saved)
            sys.stdout, sys.stderr = self._streams
            self._saved = None

    def mend(self) -> None:
        """A task has ended: whatever it did to descriptors and streams, the next one finds them as it should."""
        self._mend_descriptors()
        try:  # two streams that are open and ours are all there is to do, but for careless tasks
            out, err = sys.stdout, sys.stderr
            out.flush()
            err.flush()
            ours = out is self._streams[0] and err is self._streams[1]
        except (OSError, ValueError, AttributeError):
            ours = False
        if not ours:
            self._flush()
            self._mend_streams()
        self._c_flush(None)

    def _mend_descriptors(self) -> None:
        """Before anything is flushed: descriptor 1 may be a file of the task's by now."""
        for number in (1, 2):
            if not self._memory.leads_here(number):
                os.dup2(self._fd, number)

    def _mend_streams(self) -> None:
        fresh = {number: _stream(number, self._memory) for number in (1, 2)}
        given = zip(_NAMES, self._streams, (1, 2, 1, 2), strict=True)
        self._streams = tuple(stream if _is_open(stream) else fresh[number] for _, stream, number in given)
        for name, stream in zip(_NAMES, self._streams, strict=True):
            setattr(sys, name, stream)

    def _flush(self) -> None:
        for name in ("stdout", "stderr"):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed or replaced by the task
                getattr(sys, name).flush()
        self._c_flush(None)

    def size(self) -> int:
        """The size of the file now."""
        return os.lseek(self._fd, 0, os.SEEK_END)  # quicker than fstat; what is written is appended anyway

    def text(self, start: int) -> Text | None:
        """What was written since the file had the size `start`, and everything flushed; None for nothing."""
        size = self.size()
        if size == start and not self._memory.pieces:
            return None
        text = read_text(self._fd, start, size)
        if text.before is not None or self._memory.not_in(text):  # the file was emptied: all in it came afterwards
            text = read_text(self._fd, 0, size)
            text = text._replace(before=self._memory.not_in(text))
        self._memory.clear()
        return text


class _Memory:
    """The first that Python code has written since a task began: what is left of it if somebody empties the file."""

    def __init__(self, fd: int) -> None:
        found = os.fstat(fd)
        self._file = found.st_ino, found.st_dev
        self.pieces: list[bytes] = []
        self._room = _MOST_BYTES

    def leads_here(self, number: int) -> bool:
        """Whether a descriptor leads to the file."""
        try:
            found = os.fstat(number)
        except OSError:
            return False
        return (found.st_ino, found.st_dev) == self._file

    def keep(self, number: int, data: Any) -> None:
        if self._room > 0 and len(self.pieces) < _MOST_PIECES and self.leads_here(number):
            self.pieces.append(bytes(data[: self._room]))
            self._room -= len(self.pieces[-1])

    def clear(self) -> None:
        if self.pieces:
            self.pieces, self._room = [], _MOST_BYTES

    def not_in(self, text: Text) -> bytes:
        """What was written and is not there any more; nothing where that cannot be told."""
        if text.tail or not self.pieces:
            return b""
        last = max([place for place, piece in enumerate(self.pieces) if piece not in text.head], default=-1)
        return b"".join(self.pieces[: last + 1])


class _Remembered(io.FileIO):
    """A descriptor; `memory` keeps what is written to it."""

    memory: _Memory

    def write(self, data: Any) -> int:
        done = super().write(data)
        self.memory.keep(self.fileno(), data)
        return done


def _stream(number: int, memory: _Memory) -> io.TextIOWrapper:
    """Text, line by line, to a descriptor that stays open."""
    raw = _Remembered(number, "w", closefd=False)
    raw.memory = memory
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _is_open(stream: Any) -> bool:
    try:
        return not stream.closed
    except (ValueError, AttributeError):  # its buffer was taken away, or it is none
        return False


class ThreadStream(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`: text goes to the file of the thread's task."""

    def __init__(self, original: Any, files: dict[int, int]) -> None:
        self.original, self._files = original, files
        self.buffer = _ThreadBytes(original, files)

    def write(self, text: str) -> int:
        fd = self._files.get(threading.get_ident())
        if fd is None:
            return int(self.original.write(text))
        _write_all(fd, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        if threading.get_ident() not in self._files:
            self.original.flush()

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return int(self.original.fileno())

    @property
    def encoding(self) -> str:  # type: ignore[override]
        if threading.get_ident() in self._files:
            return "utf-8"
        return str(getattr(self.original, "encoding", "utf-8"))


class _ThreadBytes(io.RawIOBase):
    """What `sys.stdout.buffer` is then."""

    def __init__(self, original: Any, files: dict[int, int]) -> None:
        self._original, self._files = original, files

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        fd = self._files.get(threading.get_ident())
        if fd is None:
            return int(self._original.buffer.write(data))
        _write_all(fd, bytes(data))
        return len(data)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[None]:
    """While tasks run: log records of every library reach stderr with their level and name."""
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever `sys.stderr` is at the time."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)
