"""Signals as a number that the loop looks at: 1 asks to finish what runs, 2 to stop at once; 3 leaves."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Protocol

from labtech_cli.run import family
from labtech_cli.run.worker import here

LEAVE_SECONDS = 4.0  # after a request to terminate, nothing that hangs holds up the end for longer
_LAST_SECONDS = 0.5  # for saying so
_SHOW_CURSOR = b"\x1b[?25h\n"
_OVER_LAST_ROW = b"\r\x1b[K"
_WAITING = b"interrupted: waiting for the task that runs; again to stop it"


class Screen(Protocol):
    """What draws on the terminal while tasks run."""

    @property
    def redraws(self) -> bool:
        """Whether it draws over what it drew before."""

    def suspend(self) -> None:
        """Another program uses the terminal now: what was drawn stays there. Called from a signal handler."""


class Interrupts:
    """While entered, SIGINT raises `level` by one, SIGTERM and SIGHUP set it to 2, instead of raising.

    A task that runs in this very thread gets a KeyboardInterrupt at level 2. At level 3, or some seconds
    after SIGTERM or SIGHUP, this process ends where it is: what it leaves, the next run clears away.
    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self, screen: Screen | None = None) -> None:
        self._screen = screen
        self.level = 0
        self.signal: int | None = None
        self.last_words: Callable[[int], None] | None = None
        """Called with the exit status, on another thread, before this process ends where it is."""
        self._saved: dict[int, Any] = {}
        self._last: threading.Timer | None = None
        self._ending = threading.Lock()
        self._wakeup: int | None = None  # where signals are written to, as they come
        self._leaves = False
        self._stderr: int | None = None

    def __enter__(self) -> Interrupts:
        global _entered
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGINT:
                    self._saved[number] = signal.signal(number, self._handle)
            _entered = self
            with suppress(OSError):  # there may be none
                self._stderr = os.dup(2)  # while tasks run, descriptor 2 and `sys.stderr` may lead elsewhere
            if family.own_process:
                self._listen()
            if self._draws() and signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
                self._saved[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._pause)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _entered
        for number, handler in self._saved.items():
            signal.signal(number, handler)
        self._saved = {}
        self._listen_no_more()
        if _entered is self:
            _entered = None
        if self._last is not None and family.own_process:
            return  # the command is about to end, and nothing that hangs until then holds it up either
        if self._last is not None:
            self._last.cancel()
        if self._stderr is not None:
            os.close(self._stderr)
            self._stderr = None

    def _listen(self) -> None:
        """Hear of signals on another thread, too: while a task of this one is in C code, no handler is called."""
        reading, self._wakeup = os.pipe()
        os.set_blocking(self._wakeup, False)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        threading.Thread(target=self._hear, args=(reading,), name="labtech-signals", daemon=True).start()

    def _listen_no_more(self) -> None:
        if self._wakeup is not None:
            signal.set_wakeup_fd(-1)
            os.close(self._wakeup)
            self._wakeup = None

    def _hear(self, reading: int) -> None:
        """A request to terminate holds whatever this process does."""
        while heard := os.read(reading, 64):
            for number in heard:
                if number in (signal.SIGTERM, signal.SIGHUP) and number in self._saved:
                    self.signal = self.signal or number
                    self._end_soon()
        os.close(reading)

    def _draws(self) -> bool:
        return self._screen is not None and self._screen.redraws and self._stderr is not None

    def _write(self, text: bytes) -> None:
        if self._stderr is not None:
            with suppress(OSError):  # nobody reads it any more
                os.write(self._stderr, text)

    def _pause(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the shell gets the terminal with its cursor; once we go on, the display is drawn anew."""
        assert self._screen is not None
        self._screen.suspend()
        self._write(_SHOW_CURSOR)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # stops here
        signal.signal(number, self._pause)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if number == signal.SIGINT:
            self.level += 1
        else:
            self.level = max(self.level, 2)
            self._end_soon()
        if self.level >= 3:
            self._leave()
            return  # it is being done: this signal came in between
        if getattr(here, "in_task", False):  # the serial runner: nothing else happens until the task ends
            if self.level >= 2:
                raise KeyboardInterrupt
            self._write(_OVER_LAST_ROW + _WAITING if self._draws() else _WAITING + b"\n")

    def _end_soon(self) -> None:
        if self._ending.acquire(blocking=False):  # once, whichever thread is first
            self._last = threading.Timer(LEAVE_SECONDS, self._leave)
            self._last.daemon = True
            self._last.start()

    def _leave(self) -> None:
        """End this process now. Its workers end with it. What reads the run is told, as far as that takes no time."""
        if self._leaves:
            return
        self._leaves, draws = True, self._draws()
        try:
            if self.last_words is not None:  # by a thread: this one may be in the middle of what is needed for it
                thread = threading.Thread(target=self.last_words, args=(self.exit_status,), daemon=True)
                thread.start()
                thread.join(_LAST_SECONDS)
            if draws:
                self._write(_SHOW_CURSOR)
        finally:
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
        if _entered._wakeup is not None:
            signal.set_wakeup_fd(-1)  # what comes for the child is not the run's
        _entered = None
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
