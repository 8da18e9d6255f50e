"""Which running tasks take more memory than they declared: the loop looks by the clock and ends those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labtech_cli.core.events import Active, Failure
from labtech_cli.core.needs import Needs
from labtech_cli.core.units import size

KIND = "MemoryLimit"
LOOK_SECONDS = 0.1  # as often as workers look themselves


class MemoryLimits:
    """What tasks declared, as limits: of the whole tree of processes, as workers sample it."""

    def __init__(self, needs: Mapping[int, Needs]) -> None:
        self._limits = {number: said.memory for number, said in needs.items() if said.memory is not None}
        self._over: dict[int, int] = {}  # what those had that were told to end

    def __bool__(self) -> bool:
        return bool(self._limits)

    def exceeded(self, active: Iterable[tuple[int, Active]]) -> list[int]:
        """The running tasks that are beyond their limit; each attempt is named once."""
        found = [
            number
            for number, item in active
            if item.memory > self._limits.get(number, item.memory) and number not in self._over
        ]
        self._over.update({number: item.memory for number, item in active if number in found})
        return found

    def ended(self, number: int) -> Failure | None:
        """A task's attempt is over: its failure if it was ended for its memory."""
        used = self._over.pop(number, None)
        if used is None:
            return None
        return Failure(KIND, f"it used {size(used)} of the {size(self._limits[number])} it declared and was ended")
