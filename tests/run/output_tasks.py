"""Tasks that print: much, oddly, from below Python, and until they are killed."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

from sample_tasks import wait_until

from labtech_cli import task

JUNK = b"\xff\x00\x80 half: \xe2\x82"
LINE = b"0123456789abcde\n" * 4096


@task
class PrintsOddly:
    value: int

    def run(self) -> None:
        sys.stdout.buffer.write(b"binary " + JUNK + b"\n")
        sys.stdout.buffer.flush()
        print("a\rb\x1b[1m", end="")
        print("no newline", end="", file=sys.stderr)


@task
class PrintsBelow:
    value: int

    def run(self) -> None:
        for turn in range(3):
            print(f"print {turn}")
            print(f"stderr {turn}", file=sys.stderr)
            os.write(2, f"write {turn}\n".encode())
            ctypes.CDLL(None).puts(f"puts {turn}".encode())
            subprocess.run(["echo", f"child {turn}"], check=True)


@task
class PrintsMuch:
    """So many times 64 KiB, in lines of 16 bytes, between a first and a last line."""

    times: int
    lines: bool = True

    def run(self) -> int:
        out = sys.stdout.buffer
        out.write(b"first line\n")
        out.flush()
        for _ in range(self.times):
            out.write(LINE if self.lines else b"x" * len(LINE))
        out.flush()
        print("last line")
        return self.times


@task
class PrintsAndDies:
    times: int
    how: str = "kill"

    def run(self) -> None:
        print("first line", flush=True)
        for _ in range(self.times):
            os.write(1, LINE)
        subprocess.run(["echo", "last words of a child"], check=True)
        if self.how == "kill":
            os.kill(os.getpid(), 9)
        os._exit(3)


@task
class PrintsAndWaits:
    """Ends when somebody has seen what it wrote."""

    folder: str

    def run(self) -> None:
        print("one\ntwo\nunfini", end="", flush=True)
        wait_until(lambda: Path(self.folder, "seen").exists())
        print("shed")


@task
class PrintsForever:
    folder: str

    def run(self) -> None:
        print("it has begun", flush=True)
        Path(self.folder, "begun").touch()
        wait_until(lambda: False, 600)
