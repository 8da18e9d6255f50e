"""Signals as a number that the loop looks at: 1 asks to finish what runs, 2 to stop at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from labtech_cli.run.worker import here


class Interrupts:
    """While entered, SIGINT raises `level` by one and SIGTERM sets it to 2, instead of raising.

    A task that runs in this very thread gets a KeyboardInterrupt at level 2. Outside the main thread,
    where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.level = 0
        self.signal: int | None = None
        self._saved: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGINT:
                    self._saved[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._saved.items():
            signal.signal(number, handler)
        self._saved = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self.level = self.level + 1 if number == signal.SIGINT else 2
        if self.level >= 2 and getattr(here, "in_task", False):
            raise KeyboardInterrupt  # the serial runner: nothing but the task itself can be stopped

    @property
    def exit_status(self) -> int:
        return 128 + (self.signal or signal.SIGINT)
