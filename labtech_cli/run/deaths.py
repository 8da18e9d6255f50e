"""The end of a worker process, as the failure of the task that died with it: what ended it, and was it memory?"""

from __future__ import annotations

import signal

from labtech_cli.core.events import Failure
from labtech_cli.core.units import size
from labtech_cli.run.machine import memory_kills
from labtech_cli.run.runner import Died

KIND = "TaskDied"
OUT_OF_MEMORY = "OutOfMemory"
_NEARLY_ALL = 0.9  # of the memory there is: what dies by SIGKILL then died of it


class Deaths:
    """Explains deaths. `memory`: the bytes that tasks may use. The kernel tells how often it has killed for want of
    memory; other programs that do so tell nothing, so what was last seen of the tasks counts as well."""

    def __init__(self, memory: int) -> None:
        self._memory, self._known = memory, memory_kills()

    def describe(self, report: Died, others: int = 0, alone: bool = False) -> Failure:
        """The failure of a task that died; `others`: what the other tasks were last seen to hold, in bytes."""
        found = describe_death(report)
        if report.exit_code != -signal.SIGKILL or not self._ran_out((report.peak_memory or 0) + others):
            return found
        had = size(report.peak_memory) if report.peak_memory else "its part"  # it was too quick to be seen
        though = ", though nothing else ran" if alone else ""
        words = f"it ran out of memory ({had} of {size(self._memory)}){though}: {found.message}"
        return Failure(OUT_OF_MEMORY, words)

    def _ran_out(self, seen: int) -> bool:
        """Whether memory is what a process was killed for; each of the kernel's kills explains one death."""
        if memory_kills() > self._known:
            self._known += 1
            return True
        return seen >= _NEARLY_ALL * self._memory


def describe_death(report: Died) -> Failure:
    """The end of a worker process in words."""
    code = report.exit_code
    perhaps = " (the task may have called os._exit)" if code is not None and code >= 0 else ""
    return Failure(KIND, f"its worker process {how_ended(code)}{perhaps}")


def how_ended(code: int | None) -> str:
    """What became of a process, by its exit code, negative for a signal, or None where nobody knows."""
    if code is None:
        return "ended"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name if -code in set(signal.Signals) else f'signal {-code}'}"
    return f"ended with exit code {code}"
