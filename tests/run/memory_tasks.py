"""Task types that take memory, and tell nothing of it."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from resource_tasks import together
from sample_tasks import note

from labtech_cli import task

MB = 10**6


def fill(megabytes: int) -> bytearray:
    """So much memory, every page of it written to."""
    data = bytearray(megabytes * MB)
    for place in range(0, len(data), 4096):
        data[place] = 1
    return data


@task(cache=None)
class Small:
    value: int

    def run(self) -> int:
        return self.value


@task
class Takes:
    """Holds memory for a moment: tiny, or long enough to be looked at."""

    megabytes: int
    seconds: float = 0.0
    value: int = 0

    def run(self) -> int:
        data = fill(self.megabytes)
        time.sleep(self.seconds)
        return len(data) // MB


@task
class TakesIn:
    """Holds memory in processes of its own."""

    megabytes: int
    how: str

    def run(self) -> int:
        if self.how == "subprocess":
            code = f"import time; data = bytearray(b'1') * {self.megabytes * MB}; time.sleep(1)"
            subprocess.run([sys.executable, "-S", "-c", code], check=True)
        else:
            data = fill(self.megabytes)
            with multiprocessing.get_context("fork").Pool(3) as pool:
                pool.map(time.sleep, [1] * 3)
            del data
        return self.megabytes


@task
class Maps:
    """Reads a file through a map: its pages are the machine's to take back."""

    file: str

    def run(self) -> int:
        with Path(self.file).open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
            total = sum(pages[place] for place in range(0, len(pages), 4096))
            time.sleep(0.3)
        return total


@task(cache=None)
class Exhausts:
    """Takes memory until somebody ends it, as often as it is run."""

    value: int
    folder: str
    megabytes: int = 150

    def run(self) -> Any:
        note(self.folder, f"tried-{self.value}")
        data = fill(self.megabytes)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
        return len(data)


@task
class Crowd:
    """Takes memory for a moment; how many of its kind do so at the same time."""

    value: int
    folder: str
    megabytes: int = 100

    def run(self) -> int:
        data = fill(self.megabytes)
        many = together(self.folder, f"{self.value}")
        return many if data else 0


@task(cache=None, memory="100MB")
class Cheats:
    """Takes more than it declared, itself or in a process that it starts, and would do so for long."""

    how: str

    def run(self) -> int:
        if self.how == "child":
            code = f"import time; data = bytearray(b'1') * {200 * MB}; time.sleep(60)"
            subprocess.run([sys.executable, "-S", "-c", code], check=True)
        data = fill(200)
        time.sleep(60)
        return len(data)


@task(cache=None, memory="100MB")
class Honest:
    value: int

    def run(self) -> int:
        data = fill(50)
        time.sleep(0.3)
        return len(data) // MB
