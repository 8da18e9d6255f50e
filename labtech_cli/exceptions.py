"""The exceptions, under the name that modules written for the labtech library import them by."""

from labtech_cli.errors import (
    CacheError,
    LabError,
    LabtechError,
    RunnerError,
    StorageError,
    TaskDiedError,
    TaskError,
    TaskNotFound,
)

__all__ = [
    "CacheError",
    "LabError",
    "LabtechError",
    "RunnerError",
    "StorageError",
    "TaskDiedError",
    "TaskError",
    "TaskNotFound",
]
