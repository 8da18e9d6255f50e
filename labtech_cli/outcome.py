"""How a run ended, and the way to its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from labtech_cli.core.events import Failure
from labtech_cli.core.task import ResultMeta
from labtech_cli.errors import LabError
from labtech_cli.run.worker import Input
from labtech_cli.store import formats

if TYPE_CHECKING:
    from labtech_cli.lab import Lab


@dataclass(slots=True)
class RunResult:
    """How a run ended, and the way to its results."""

    run_id: str
    counts: dict[str, int]
    failures: list[tuple[Any, Failure]]
    exit_code: int
    interrupted: bool
    _lab: Lab
    _available: set[str] = field(default_factory=set)
    """Keys of the targets that have a result."""
    _inputs: dict[str, Input] = field(default_factory=dict)
    """Results that are kept nowhere else."""

    def has(self, task: Any) -> bool:
        return task._labtech_key in self._available

    def result(self, task: Any) -> Any:
        """A target's result, loaded anew at each call. Raises `TaskNotFound` for one that has none."""
        given = self._inputs.get(task._labtech_key)
        if given is None:
            return self._lab.load(task)
        return given.value if given.stored is None else formats.load(task, given.stored)

    def results(self, tasks: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """The tasks that have a result, with it; read from the storage many at a time."""
        for task in tasks:
            if task._labtech_key in self._inputs:
                yield task, self.result(task)
        kept = [task for task in tasks if self.has(task) and task._labtech_key not in self._inputs]
        for task, found in self._lab.stored(kept):
            yield task, self._lab.load(task, found)

    def result_meta(self, task: Any) -> ResultMeta:
        given = self._inputs.get(task._labtech_key)
        if given is None:
            return self._lab.result_meta(task)
        return ResultMeta(datetime.fromtimestamp(given.started_at), timedelta(seconds=given.duration))

    def context(self, task: Any) -> Any:
        return no_context()


def no_context() -> Any:
    """There is no context outside of `run()`."""
    raise LabError("the context is there while run() executes", hint="read it from what the lab was given")
