"""Run the contenders of a workload in turns (A B A B), each in a scratch folder."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import Measured, measure
from tests.bench.model import HERE, Contender, Workload

ROOT = HERE.parent.parent
SETUP_SECONDS = 900.0

Runs = dict[str, list[Measured]]
"""The runs of each contender by its name. A failure is the last of a contender's runs."""


class Scratch:
    """Makes the folders of the runs; deletes them all at the end, since mass deletions slow down what follows."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._prepared: dict[tuple[str, ...], tuple[Path, str]] = {}

    def fresh(self) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self._root))
        shutil.copy(HERE / "tasks.py", folder)
        return folder

    def prepared(self, setup: list[str]) -> tuple[Path, str]:
        """A folder in which `setup` has run, the same one every time, and the words it failed with."""
        if tuple(setup) not in self._prepared:
            folder = self.fresh()
            self._prepared[tuple(setup)] = folder, _measure(setup, folder, timeout=SETUP_SECONDS).failure
        return self._prepared[tuple(setup)]

    def run(self, contender: Contender, tree: bool = False, delete: bool = False) -> Measured:
        if contender.given_seconds is not None:
            return Measured(contender.given_seconds)
        if contender.setup is not None:
            folder, failure = self.prepared(contender.setup)
            if failure:
                return Measured(0.0, failure=f"while being prepared: {failure}")
        else:
            folder = self.fresh()
        measured = _measure(contender.command, folder, tree=tree, timeout=contender.timeout)
        if delete and contender.setup is None:
            shutil.rmtree(folder, ignore_errors=True)
        return measured


def _measure(command: list[str], folder: Path, *, tree: bool = False, timeout: float) -> Measured:
    return measure(command, folder, tree=tree, timeout=timeout, env={"PYTHONPATH": str(ROOT)})


@contextlib.contextmanager
def scratch() -> Iterator[Scratch]:
    root = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield Scratch(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def measured(workload: Workload, scratch: Scratch, repeat: int) -> Runs:
    """All runs of a workload. Who fails is not run again."""
    runs: Runs = {contender.name: [] for contender in workload.contenders}
    turns = [False] * (1 if workload.once else repeat) + [True] * workload.tree
    if workload.warm_up:
        for contender in workload.contenders:
            scratch.run(contender)
    for tree in turns:
        for contender in workload.contenders:
            done = runs[contender.name]
            if not (done and done[-1].failure):
                done.append(scratch.run(contender, tree, delete=workload.tree))  # large results: no room for all
    return runs
