"""Tasks that harm what they share with other tasks: their process, its descriptors, its streams, its signals."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sample_tasks import note

from labtech_cli import task


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
