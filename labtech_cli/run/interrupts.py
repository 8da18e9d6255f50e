"""Signals as a number that the loop looks at: 1 asks to finish what runs, 2 to stop at once; 3 leaves."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from labtech_cli.run.worker import here

LEAVE_SECONDS = 4.5  # after a request to terminate, nothing that hangs holds up the end for longer
_SHOW_CURSOR = "\x1b[?25h\n"


class Interrupts:
    """While entered, SIGINT raises `level` by one, SIGTERM and SIGHUP set it to 2, instead of raising.

    A task that runs in this very thread gets a KeyboardInterrupt at level 2. At level 3, or some seconds
    after SIGTERM or SIGHUP, this process ends where it is: what it leaves, the next run clears away.
    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.level = 0
        self.signal: int | None = None
        self._saved: dict[int, Any] = {}
        self._last: threading.Timer | None = None
        self._terminal: int | None = None

    def __enter__(self) -> Interrupts:
        global _entered
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGINT:
                    self._saved[number] = signal.signal(number, self._handle)
            _entered = self
            if os.isatty(2):  # while tasks run, descriptor 2 and `sys.stderr` may lead elsewhere
                self._terminal = os.dup(2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _entered
        for number, handler in self._saved.items():
            signal.signal(number, handler)
        self._saved = {}
        if _entered is self:
            _entered = None
        if self._last is not None:
            self._last.cancel()
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if number == signal.SIGINT:
            self.level += 1
        else:
            self.level = max(self.level, 2)
            self._end_soon()
        if self.level >= 3:
            self._leave()
        if self.level >= 2 and getattr(here, "in_task", False):
            raise KeyboardInterrupt  # the serial runner: nothing but the task itself can be stopped

    def _end_soon(self) -> None:
        if self._last is None:
            self._last = threading.Timer(LEAVE_SECONDS, self._leave)
            self._last.daemon = True
            self._last.start()

    def _leave(self) -> None:
        """End this process now. Its workers end with it."""
        if self._terminal is not None:
            os.write(self._terminal, _SHOW_CURSOR.encode())
        os._exit(self.exit_status)

    @property
    def exit_status(self) -> int:
        return 128 + (self.signal or signal.SIGINT)


_entered: Interrupts | None = None
_forking = threading.local()


def _before_fork() -> None:
    """What comes for the child before it is told what signals do would be lost: it waits meanwhile."""
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _entered._saved) if _entered is not None else None


def _after_fork() -> None:
    if getattr(_forking, "mask", None) is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _after_fork_in_child() -> None:
    """A process that a task forks is none of the run's: there, signals do what they usually do, and at once."""
    global _entered
    if _entered is not None:
        for number, handler in _entered._saved.items():
            signal.signal(number, handler if number == signal.SIGINT else signal.SIG_DFL)
        _entered = None
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
