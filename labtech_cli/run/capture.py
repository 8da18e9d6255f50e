"""What tasks write to stdout and stderr, caught where it cannot escape.

In a worker process both descriptors lead to one unlinked file, so output of C code and subprocesses
is caught too, in order, and nothing can block. In threads, which share descriptors, `print` and
`sys.stderr` are caught by thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

_READ = 1 << 20
_KEEP = 1 << 23  # the file is emptied between tasks once it is larger than this
LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


class FileCapture:
    """Descriptors 1 and 2 of this process lead to a file; `take` gives what was written since."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile(prefix="labtech-") as file:
            self._fd = os.dup(file.fileno())
        self._position = 0
        self._c_flush = ctypes.CDLL(None).fflush
        self._saved: tuple[int, int] | None = None

    def install(self) -> None:
        """Redirect for good, in a worker process."""
        import fcntl

        fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_APPEND)
        for number in (1, 2):
            os.dup2(self._fd, number)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = _stream(1), _stream(2)  # type: ignore[misc]

    def begin(self) -> None:
        """Redirect until `end`, in a process that goes on to use its own stdout and stderr."""
        self._flush()
        import fcntl

        fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_APPEND)
        self._saved = os.dup(1), os.dup(2)
        os.dup2(self._fd, 1)
        os.dup2(self._fd, 2)
        self._streams = sys.stdout, sys.stderr  # a notebook's, for one, do not lead to the descriptors
        sys.stdout, sys.stderr = _stream(1), _stream(2)

    def end(self) -> None:
        self._flush()
        if self._saved is not None:
            for number, saved in zip((1, 2), self._saved, strict=True):
                os.dup2(saved, number)
                os.close(saved)
            sys.stdout, sys.stderr = self._streams
            self._saved = None

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed or replaced by the task
                stream.flush()
        self._c_flush(None)

    def take(self, *, flush: bool = True) -> bytes:
        """What was written since the last call, at most a megabyte; call again while there is more."""
        if flush:
            self._flush()
        size = os.fstat(self._fd).st_size
        if size <= self._position:
            self._position = min(self._position, size)
            return b""
        data = os.pread(self._fd, min(size - self._position, _READ), self._position)
        self._position += len(data)
        return data

    def trim(self) -> None:
        """Between tasks: give the disk space of what was taken back."""
        if self._position > _KEEP and os.fstat(self._fd).st_size == self._position:
            os.ftruncate(self._fd, 0)
            self._position = 0

    def close(self) -> None:
        os.close(self._fd)


def _stream(number: int) -> io.TextIOWrapper:
    """Text, line by line, to a descriptor that stays open."""
    raw = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


class ThreadStream(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`: text goes to the buffer of the thread's task."""

    def __init__(self, original: Any, buffers: dict[int, list[str]]) -> None:
        self.original, self._buffers = original, buffers

    def write(self, text: str) -> int:
        buffer = self._buffers.get(threading.get_ident())
        if buffer is None:
            return int(self.original.write(text))
        buffer.append(text)
        return len(text)

    def flush(self) -> None:
        if threading.get_ident() not in self._buffers:
            self.original.flush()

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return int(self.original.fileno())

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return str(getattr(self.original, "encoding", "utf-8"))


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
