"""Task types that say what they need, and tell what they were given."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from sample_tasks import note

from labtech_cli import task

SEEN = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")


def together(folder: str, name: str) -> int:
    """How many tasks of one kind run at this moment, this one included; it stays for a moment."""
    mine = Path(folder, f"in-{name}")
    mine.touch()
    most = 0
    for _ in range(5):
        most = max(most, len(list(Path(folder).glob("in-*"))))
        time.sleep(0.005)
    mine.unlink()
    return most


@task(cache=None)
class Looks:
    """What a task finds that says nothing."""

    value: int

    def run(self) -> Any:
        return os.getpid(), [os.environ.get(name) for name in SEEN]


@task(cache=None, gpus=1)
class OnGpu:
    value: int
    folder: str

    def run(self) -> Any:
        mine = os.environ["CUDA_VISIBLE_DEVICES"]
        holds = Path(self.folder, f"gpu-{mine}")
        holds.touch(exist_ok=False)  # no two tasks have it at the same time
        note(self.folder, f"pid-{mine}")
        time.sleep(0.01)
        holds.unlink()
        return os.getpid(), mine


@task(cache=None, gpus=2)
class OnTwo:
    value: int

    def run(self) -> Any:
        return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]


@task(cache=None, gpus=0)
class OnNone:
    value: int

    def run(self) -> Any:
        return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]


@task(cache=None, gpus=1)
class DiesOnGpu:
    value: int
    folder: str

    def run(self) -> Any:
        note(self.folder, "tried")
        if len(list(Path(self.folder).glob("tried.*"))) == 1:
            os._exit(3)
        return os.environ["CUDA_VISIBLE_DEVICES"]


@task(cache=None, gpus=1)
class FailsOnGpu:
    value: int

    def run(self) -> Any:
        raise ValueError(os.environ["CUDA_VISIBLE_DEVICES"])


@task(cache=None, cpus=2)
class Wide:
    value: int
    folder: str

    def run(self) -> Any:
        return together(self.folder, f"{self.value}"), os.environ["OMP_NUM_THREADS"]


@task(cache=None)
class Heavy:
    value: int
    gigabytes: int
    folder: str

    def resources(self) -> dict[str, Any]:
        return {"memory": f"{self.gigabytes}GB"}

    def run(self) -> Any:
        return together(self.folder, f"{self.value}")
