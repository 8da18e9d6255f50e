"""Tasks that fail in every way there is, at every moment there is."""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from labtech_cli import task


def raises() -> None:
    raise ValueError("on purpose")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raises_without_words() -> None:
    raise Mute


def interrupts() -> None:
    raise KeyboardInterrupt


def leaves() -> None:
    sys.exit(0)


def recurses() -> None:
    recurses()


def runs_out() -> None:
    raise MemoryError


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def is_terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def aborts() -> None:
    faulthandler.disable()  # of the tests: they would print where
    os.abort()


def segfaults() -> None:
    faulthandler.disable()
    ctypes.string_at(0)


def exits_well() -> None:
    os._exit(0)


def exits_badly() -> None:
    os._exit(7)


def hangs() -> None:
    while True:
        time.sleep(0.01)


def hangs_deaf() -> None:
    """In a process that listens to no signal that can be ignored, with a child that does not either."""
    if threading.current_thread() is threading.main_thread():  # else Python does not let it
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        time.sleep(1000)
    hangs()


FAULTS: dict[str, tuple[Callable[[], None], str, str]] = {
    "raises": (raises, "ValueError", "on purpose"),
    "raises_without_words": (raises_without_words, "Mute", "cannot be shown"),
    "interrupts": (interrupts, "KeyboardInterrupt", ""),
    "leaves": (leaves, "SystemExit", "0"),
    "recurses": (recurses, "RecursionError", "maximum recursion depth"),
    "runs_out": (runs_out, "MemoryError", ""),
    "is_killed": (is_killed, "TaskDied", "SIGKILL"),
    "is_terminated": (is_terminated, "TaskDied", "SIGTERM"),
    "aborts": (aborts, "TaskDied", "SIGABRT"),
    "segfaults": (segfaults, "TaskDied", "SIGSEGV"),
    "exits_well": (exits_well, "TaskDied", "exit code 0"),
    "exits_badly": (exits_badly, "TaskDied", "exit code 7"),
    "hangs": (hangs, "TaskTimeout", "longer than its timeout"),
    "hangs_deaf": (hangs_deaf, "TaskTimeout", "longer than its timeout"),
}
"""What is done, and the kind and the words of the failure that it is to become."""
SHORT_OF_DEATH = ("raises", "raises_without_words", "interrupts", "leaves", "recurses", "runs_out")
MOMENTS = ("run", "thread", "saved", "loaded", "context")


class Explodes:
    """A result that does something when it is pickled."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def __reduce__(self) -> Any:
        FAULTS[self.fault][0]()
        return object, ()


class Mined:
    """A result that does something when it is unpickled."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def __reduce__(self) -> Any:
        return go_off, (self.fault,)


def go_off(fault: str) -> None:
    FAULTS[fault][0]()


@task
class Faulty:
    """Fails as `fault` says, at the moment `moment`."""

    fault: str
    moment: str

    def filter_context(self, context: Any) -> Any:
        if self.moment == "context":
            FAULTS[self.fault][0]()
        return context

    def run(self) -> Any:
        print(f"{self.fault} at {self.moment}")
        if self.moment == "run":
            FAULTS[self.fault][0]()
        elif self.moment == "thread":
            found: list[BaseException] = []

            def act() -> None:
                try:
                    FAULTS[self.fault][0]()
                except BaseException as error:
                    found.append(error)

            thread = threading.Thread(target=act)
            thread.start()
            thread.join()
            raise found[0]
        elif self.moment == "context":
            len(self.context)
        elif self.moment == "saved":
            return Explodes(self.fault)
        elif self.moment == "loaded":
            return Mined(self.fault)
        return None


@task
class Reads:
    """Reads the result of a task."""

    of: Faulty

    def run(self) -> Any:
        return self.of.result


@task
class Fine:
    number: int

    def run(self) -> int:
        time.sleep(0.005)
        return self.number * 2


@task
class AtExit:
    """Leaves something to be done when its process ends, which then fails."""

    how: str

    def run(self) -> str:
        atexit.register(exits_badly if self.how == "exits_badly" else hangs)
        return "done"
