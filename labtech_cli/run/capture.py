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

LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


class FileCapture:
    """Descriptors 1 and 2 of this process lead to a file, `fd`, that whoever made it reads."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        library = ctypes.CDLL(None)
        self._c_flush = library.fflush
        self._saved: tuple[int, int] | None = None
        with contextlib.suppress(ValueError, AttributeError):  # so that lines of C code come in order, too
            library.setlinebuf(ctypes.c_void_p.in_dll(library, "stdout"))

    def install(self) -> None:
        """Redirect for good, in a worker process."""
        for number in (1, 2):
            os.dup2(self._fd, number)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = _stream(1), _stream(2)  # type: ignore[misc]

    def begin(self) -> None:
        """Redirect until `end`, in a process that goes on to use its own stdout and stderr."""
        self._flush()
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

    def size(self) -> int:
        """The size of the file now."""
        return os.fstat(self._fd).st_size

    def written(self) -> int:
        """The size of the file when all that was written is in it."""
        self._flush()
        return self.size()


def _stream(number: int) -> io.TextIOWrapper:
    """Text, line by line, to a descriptor that stays open."""
    raw = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


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
