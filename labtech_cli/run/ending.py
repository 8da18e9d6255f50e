"""The end of the command's process, which nothing that tasks left in it holds up.

Before a process ends, Python waits for its threads: for those of a `ThreadPoolExecutor` that a task left at work,
and for one that waits for ever. Where tasks ran in worker processes there are none, and a command ends as usual.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import NoReturn

tasks_ran_here = False
"""Whether tasks ran in this very process, a labtech command, and may have left threads in it."""
_INTERRUPTED = (129, 130, 143)


def leave(status: int) -> NoReturn:
    """End this process with `status`: with what is to be done at exit, but without waiting for threads of tasks."""
    if not tasks_ran_here and status not in _INTERRUPTED:
        sys.exit(status)
    try:
        _flush()
        atexit._run_exitfuncs()  # not what `concurrent.futures` does at exit: that waits for its threads
        _flush()
    finally:
        os._exit(status)


def was_interrupted(error: BaseException) -> bool:
    """Whether an exception is an interrupt: also as Python 3.11 tells of one that comes while a class is made."""
    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, RuntimeError) and isinstance(error.__cause__, KeyboardInterrupt)
    )


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody reads it, or there is none
            stream.flush()
