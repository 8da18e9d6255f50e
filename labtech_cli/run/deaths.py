"""The end of a worker process, as the failure of the task that died with it."""

from __future__ import annotations

import signal

from labtech_cli.core.events import Failure
from labtech_cli.run.runner import Died

KIND = "TaskDied"


def describe_death(report: Died) -> Failure:
    """The end of a worker process in words."""
    code = report.exit_code
    if code is None:
        return Failure(KIND, "its worker process ended")
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return Failure(KIND, f"its worker process was killed by {name}")
    return Failure(KIND, f"its worker process ended with exit code {code} (the task may have called os._exit)")
