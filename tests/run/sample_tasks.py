"""Task types for the tests of runners, in a module that every kind of worker can import."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labtech_cli import Lab, logger, task

MAIN = os.getpid()


def wait_until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for a condition, with a deadline that fails the test."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.002)


def note(folder: str, name: str) -> None:
    """Leave a trace of an execution: one file each."""
    Path(folder, f"{name}.{os.getpid()}.{time.monotonic_ns()}").touch()


def traces(folder: Path, name: str = "") -> list[str]:
    """The names of the traces that were left, sorted."""
    return sorted(item.name.rpartition(".")[0].rpartition(".")[0] for item in folder.glob(f"{name}*.*.*"))


@task
class Number:
    value: int

    def run(self) -> int:
        return self.value


@task
class Lasts:
    """Notes in a file's name when it began and where, if it takes any time."""

    value: int
    seconds: float
    folder: str
    fails: bool = False

    def run(self) -> int:
        if self.seconds:
            Path(self.folder, f"slow.{self.value}.{os.getpid()}").touch()
        time.sleep(self.seconds)
        if self.fails:
            raise ValueError("no")
        return self.value


@task
class Traced:
    value: int
    folder: str

    def run(self) -> int:
        note(self.folder, f"traced-{self.value}")
        return self.value * 10


@task
class Total:
    parts: list[Traced]
    folder: str

    def run(self) -> tuple[int, bool]:
        note(self.folder, "total")
        metas = [part.result_meta for part in self.parts]
        return sum(part.result for part in self.parts), all(m.duration.total_seconds() >= 0 for m in metas)


@task(cache=None)
class Passing:
    value: int

    def run(self) -> Any:
        return {"value": self.value, "array": np.full(60_000, self.value)}


@task
class UsesPassing:
    passing: Passing

    def run(self) -> int:
        return int(self.passing.result["array"].sum()) + self.passing.result["value"]


@task
class SeesContext:
    name: str

    def run(self) -> Any:
        return self.context[self.name]


@task
class Filtered:
    name: str

    def filter_context(self, context: Any) -> Any:
        return {"only": context[self.name] * 2}

    def run(self) -> Any:
        return dict(self.context)


@task
class Fails:
    message: str
    after: Number | None = None

    def run(self) -> None:
        print("about to fail")
        helper(self.message)


def helper(message: str) -> None:
    raise ValueError(message)


@task
class After:
    before: Any
    value: int = 0

    def run(self) -> Any:
        return "ran", self.value


@task
class Unpicklable:
    folder: str

    def run(self) -> Any:
        note(self.folder, "unpicklable")
        return lambda: 1


@task
class Exits:
    code: int

    def run(self) -> None:
        sys.exit(self.code)


@task
class FirstMade:
    """Its `post_init` raises wherever it is made again."""

    value: int

    def post_init(self) -> None:
        if type(self).__dict__.get("made"):
            raise RuntimeError("post_init says no")

    def run(self) -> int:
        return self.value


@task
class OnlyInMain:
    """Its `post_init` raises in every process but the one that made it."""

    main: int

    def post_init(self) -> None:
        if os.getpid() != self.main:
            raise RuntimeError("post_init says no")

    def run(self) -> str:
        return "ran"


@task(max_parallel=2)
class Limited:
    value: int
    folder: str

    def run(self) -> int:
        folder = Path(self.folder)
        mine = folder / f"in-{self.value}"
        mine.touch()
        together = len(list(folder.glob("in-*")))
        time.sleep(0.01)
        together = max(together, len(list(folder.glob("in-*"))))
        mine.unlink()
        return together


@task
class Meets:
    """Ends when `many` of its kind run at the same time."""

    value: int
    many: int
    folder: str

    def run(self) -> int:
        Path(self.folder, f"here-{self.value}").touch()
        wait_until(lambda: len(list(Path(self.folder).glob("here-*"))) >= self.many)
        return self.value


@task
class Array:
    size: int
    fill: int = 1

    def run(self) -> Any:
        return np.full(self.size // 8, self.fill, dtype=np.int64)


@dataclass
class Holder:
    name: str
    data: Any


@task
class Wrapped:
    """An array of a megabyte in something: it takes the way of large results wherever it is."""

    how: str

    def run(self) -> Any:
        data = np.arange(1 << 17)
        made = {"dict": lambda: {"deep": [data]}, "dataclass": lambda: Holder("x", data)}
        made["frame"] = lambda: pd.DataFrame({"n": data, "x": data * 0.5})
        return made[self.how]()


def array_in(value: Any) -> Any:
    """The array that `Wrapped` put into its result."""
    if isinstance(value, Holder):
        return value.data
    return value["deep"][0] if isinstance(value, dict) else value["n"].to_numpy()


@task
class ReadsWrapped:
    wrapped: Wrapped
    turn: int

    def run(self) -> tuple[int, bool]:
        """The sum, and whether the array lies in the stored file, mapped."""
        data = array_in(self.wrapped.result)
        seen, place = int(data.sum()), data.__array_interface__["data"][0]
        if data.flags.writeable:
            data[:] = -1
        for line in Path("/proc/self/maps").read_text().splitlines():
            low, high = (int(end, 16) for end in line.split()[0].split("-"))
            if low <= place < high:
                return seen, line.endswith("buffers.bin")
        return seen, False


@task
class SpoilsInput:
    array: Array
    turn: int
    before: Any = None

    def run(self) -> tuple[int, int]:
        data = self.array.result
        seen = int(data.sum())
        data[:] = 99
        return seen, int(self.array.result[0])


@task
class Talks:
    name: str

    def run(self) -> None:
        print(f"{self.name} print")
        print(f"{self.name} stderr", file=sys.stderr)
        logger.info("%s info", self.name)
        logging.getLogger("other.library").warning("%s warning", self.name)


@task
class TalksLow:
    name: str

    def run(self) -> None:
        os.write(1, f"{self.name} os.write\n".encode())
        subprocess.run(["echo", f"{self.name} child"], check=True)


@task
class UsesLab:
    folder: str

    def run(self) -> Any:
        return Lab(storage=self.folder, runner_backend="serial").run_task(Number(1), disable_progress=True)


@task
class UsesJoblib:
    many: int

    def run(self) -> Any:
        from joblib import Parallel, delayed

        return Parallel(n_jobs=2)(delayed(abs)(-value) for value in range(self.many)), os.getpid()


@task
class Dies:
    how: str

    def run(self) -> None:
        print("last words", flush=True)
        if self.how == "kill":
            os.kill(os.getpid(), 9)
        os._exit(3)


@task
class Link:
    value: int
    previous: Any = None

    def run(self) -> int:
        return 1 + (self.previous.result if self.previous is not None else 0)


@task
class Rung:
    level: int
    side: int
    below: list[Any]

    def run(self) -> int:
        return 1 + sum(item.result for item in self.below) % 1000


@task(mlflow_run=True)
class Tracked:
    seed: int
    settings: dict[str, Any]
    how: str = "ok"

    def run(self) -> int:
        import mlflow

        mlflow.log_metric("score", self.seed)
        if self.how == "fail":
            raise ValueError("bad score")
        if self.how == "die":
            os._exit(7)
        return self.seed


def chain(length: int) -> Link:
    made = Link(0)
    for value in range(1, length):
        made = Link(value, made)
    return made


def ladder(levels: int) -> list[Rung]:
    below: list[Rung] = []
    for level in range(levels):
        below = [Rung(level, side, list(below)) for side in range(2)]
    return below


@task
class Stays:
    """Leaves its process's id, and that of a process it started, and runs until it is killed."""

    value: int
    folder: str

    def run(self) -> None:
        started = subprocess.Popen(["sleep", "600"])
        Path(self.folder, f"pid-{self.value}.new").write_text(f"{os.getpid()} {started.pid}")
        Path(self.folder, f"pid-{self.value}.new").rename(Path(self.folder, f"pid-{self.value}"))
        wait_until(lambda: False, 600.0)


@task
class LeavesChild:
    folder: str

    def run(self) -> int:
        return subprocess.Popen(["sleep", "600"]).pid


@task
class FailsFirst:
    """Fails, or ends its process, until it has been tried `times` times."""

    folder: str
    times: int
    how: str = "raise"

    def run(self) -> int:
        note(self.folder, "tried")
        tried = len(traces(Path(self.folder), "tried"))
        print(f"attempt {tried}")
        if tried <= self.times:
            if self.how == "exit":
                os._exit(3)
            raise ValueError(f"attempt {tried} failed")
        return tried


@task(timeout=0.3)
class Endless:
    """Never ends, and starts a process that does not either, in a session of its own."""

    folder: str

    def run(self) -> None:
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        Path(self.folder, "child").write_text(str(child.pid))
        while True:
            time.sleep(0.01)
