"""Where a lab must not run: inside a task, and while a module is imported for its tasks."""

from __future__ import annotations

from labtech_cli.errors import LabError
from labtech_cli.run import worker

importing: str | None = None
"""The module that the command is importing, if it is."""


def refuse_in_worker(what: str) -> None:
    """Raise `LabError` inside a task, or while a module of tasks is imported."""
    if worker.in_task or getattr(worker.here, "in_task", False):
        raise LabError(
            f"cannot {what} inside a task or in a module that a worker imports",
            hint="make the other task a parameter; in a script, put the lab under if __name__ == '__main__'",
        )
    if importing is not None:
        raise LabError(
            f"cannot {what} while '{importing}' is imported for its tasks",
            hint="put the code that runs the lab under if __name__ == '__main__'",
        )
