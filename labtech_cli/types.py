"""Types for annotations, under the name that modules written for the labtech library import them by."""

from labtech_cli.core.task import ResultMeta, Task, is_task, is_task_type
from labtech_cli.run.runner import Runner, RunnerBackend
from labtech_cli.store.storage import Storage

__all__ = ["ResultMeta", "Runner", "RunnerBackend", "Storage", "Task", "is_task", "is_task_type"]
