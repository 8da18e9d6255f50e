"""labtech: run experiments written as Python tasks, in parallel, with every result cached.

import labtech_cli as labtech

@labtech.task
class Experiment:
    seed: int

    def run(self):
        return self.seed * 2

results = labtech.Lab(storage="results").run_tasks([Experiment(seed) for seed in range(10)])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from labtech_cli._version import __version__

if TYPE_CHECKING:
    from labtech_cli.core.decorate import task
    from labtech_cli.core.task import ResultMeta, Task, is_task, is_task_type
    from labtech_cli.errors import LabError, LabtechError, StorageError, TaskError
    from labtech_cli.lab import Lab
    from labtech_cli.log import logger
    from labtech_cli.run.runner import Runner, RunnerBackend
    from labtech_cli.store.formats import BaseCache, JoblibCache, NullCache, PickleCache
    from labtech_cli.store.local import LocalStorage
    from labtech_cli.store.remote import FsspecStorage
    from labtech_cli.store.storage import NullStorage, Storage

_HOMES = {
    "labtech_cli.core.decorate": ("task",),
    "labtech_cli.core.task": ("ResultMeta", "Task", "is_task", "is_task_type"),
    "labtech_cli.errors": ("LabError", "LabtechError", "StorageError", "TaskError"),
    "labtech_cli.lab": ("Lab",),
    "labtech_cli.log": ("logger",),
    "labtech_cli.run.runner": ("Runner", "RunnerBackend"),
    "labtech_cli.store.formats": ("BaseCache", "JoblibCache", "NullCache", "PickleCache"),
    "labtech_cli.store.local": ("LocalStorage",),
    "labtech_cli.store.remote": ("FsspecStorage",),
    "labtech_cli.store.storage": ("NullStorage", "Storage"),
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BaseCache",
    "FsspecStorage",
    "JoblibCache",
    "Lab",
    "LabError",
    "LabtechError",
    "LocalStorage",
    "NullCache",
    "NullStorage",
    "PickleCache",
    "ResultMeta",
    "Runner",
    "RunnerBackend",
    "Storage",
    "StorageError",
    "Task",
    "TaskError",
    "__version__",
    "is_task",
    "is_task_type",
    "logger",
    "task",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import labtech_cli` alone costs nothing."""
    home = _WHERE.get(name)
    if home is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
