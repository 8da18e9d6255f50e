"""Tasks for the soak: most are fine; some raise, hang, kill their worker, or take too much memory."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from labtech_cli import task

HELD = 400_000_000  # bytes, of the task that takes too much


@task(memory="200MB")
class Soaked:
    """Does as `fate` says, after it has left its process's id for who kills at random."""

    number: int
    fate: str
    folder: str

    def run(self) -> int:
        path = Path(self.folder, f"{os.getpid()}")
        path.touch()
        print(f"task {self.number} is {self.fate}")
        time.sleep(0.02)
        if self.fate == "raises":
            raise ValueError(f"task {self.number}")
        if self.fate == "hangs":
            time.sleep(3600)
        if self.fate == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fate == "hoards":
            held = bytearray(HELD)
            held[::4096] = b"x" * len(held[::4096])
            time.sleep(3600)
        path.unlink(missing_ok=True)
        return self.number
