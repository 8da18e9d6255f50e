"""Tasks that harm what they share with other tasks: their process, its descriptors, its streams, its signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sample_tasks import note

from labtech_cli import task

print("careless_tasks is imported")


@task
class Forks:
    """Its child does not end itself: it comes back from `run()`."""

    how: str
    folder: str

    def run(self) -> tuple[str, int]:
        note(self.folder, self.how)
        child = os.fork()
        if child:
            return "parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("the child was here", end="")
        if self.how == "exits":
            sys.exit(7)
        if self.how == "exits with words":
            sys.exit("words of the child")
        if self.how == "raises":
            raise ValueError("raised in the child")
        return "child", 0


class ForksWhenSaved:
    """Pickling it forks."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[type, tuple[str]]:
        note(self.folder, "pickled")
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        else:
            Path(self.folder, "child").touch()
        return ForksWhenSaved, (self.folder,)


@task
class ResultForks:
    folder: str

    def run(self) -> ForksWhenSaved:
        return ForksWhenSaved(self.folder)


@task
class EmptiesItsOutput:
    """As a shell does for `> /dev/stderr`, between what it prints before and after."""

    value: int
    before: int = 1
    after: int = 1
    dies: bool = False

    def run(self) -> int:
        for turn in range(self.before):
            print(f"before {turn} of {self.value}")
        subprocess.run("echo warn > /dev/stderr", shell=True, check=True)
        for turn in range(self.after):
            print(f"after {turn} of {self.value}")
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.value


@task
class Speaks:
    """Prints, writes to a descriptor, and to a file of its own."""

    value: int
    folder: str

    def run(self) -> str:
        path = Path(self.folder, f"own-{self.value}")
        with path.open("w") as file:
            print(f"printed {self.value}")
            print(f"error {self.value}", file=sys.stderr)
            os.write(1, f"written {self.value}\n".encode())
            subprocess.run(["echo", f"child {self.value}"], check=True)
            file.write("own")
        return path.read_text()


@task
class Spoils:
    """Does something to its descriptors or streams, and does not take it back."""

    how: str
    after: Any

    def run(self) -> str:
        print("spoils", flush=True)
        SPOILS[self.how]()
        return self.how


@task
class SpeaksAfter:
    before: Spoils
    value: int
    folder: str

    def run(self) -> str:
        return str(Speaks.run(self))  # type: ignore[arg-type]


@task
class Interrupts:
    """Sends SIGINT to a program it started, or to itself; what came of it."""

    how: str

    def run(self) -> int | str:
        if self.how == "itself":
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                return "interrupted"
            return "not interrupted"
        program = ["sleep", "60"] if self.how == "sleep" else [sys.executable, "-c", _PYTHON]
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            if self.how != "sleep":
                assert child.stdout is not None and child.stdout.readline() == b"ready\n"
            child.send_signal(signal.SIGINT)
            try:
                return child.wait(20)
            finally:
                child.kill()


_PYTHON = "import time; print('ready', flush=True); time.sleep(60)"


@task
class Prints:
    value: int

    def run(self) -> None:
        print("printed")
        print("error", file=sys.stderr)


@task
class PrintsAfter:
    before: Spoils

    def run(self) -> None:
        Prints.run(self)  # type: ignore[arg-type]


def _silence() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _replace(name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(sys, name, value)


SPOILS: dict[str, Callable[[], Any]] = {
    "closes descriptor 1": lambda: os.close(1),
    "closes descriptor 2": lambda: os.close(2),
    "sends descriptor 1 elsewhere": _silence,
    "closes stdout": lambda: sys.stdout.close(),
    "closes stderr": lambda: sys.__stderr__.close(),
    "takes the buffer of stdout": lambda: sys.stdout.detach(),
    "replaces stdout": _replace("stdout", open(os.devnull, "w")),  # noqa: SIM115 - as a careless task does
    "has no stdout": _replace("stdout", None),
    "deletes stderr": lambda: delattr(sys, "stderr"),
}
