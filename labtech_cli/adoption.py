"""Results that other runs have committed while this one goes on: looked at before anything is built on them.

They came after the plan was made, so nobody has verified them, and they may be the work of other code
(somebody else's checkout, or a file that was edited meanwhile). The same rules hold for them as for
results that a plan loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from labtech_cli.core.events import Failure
from labtech_cli.core.graph import Graph
from labtech_cli.core.present import render
from labtech_cli.errors import DamagedResult, UntrustedResult
from labtech_cli.recorded import describe
from labtech_cli.staleness import Staleness
from labtech_cli.store.blobs import verify
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import Storage


@dataclass
class Adoption:
    """What becomes of such results. `rule`: what to do about those that other code made, as `on_code_change` says."""

    graph: Graph
    storage: Storage
    trust: Trust
    staleness: Staleness
    rule: str
    warn: Callable[[str], None]
    changed: bool = False
    """Whether results of other code were taken since this was last set to False: what is built on them is theirs."""
    _told: set[str] = field(default_factory=set)

    def look(self, numbers: Sequence[int]) -> Iterator[tuple[int, bool, Failure | None]]:
        """For each of these tasks, which other runs have done: whether its result may be used; else it is to be
        computed here, unless there is a failure that says why that will not do."""
        keys = {self.graph.tasks[number]._labtech_key: number for number in numbers}
        codes = {row.key: row.code for row in self.storage.rows(keys)}
        stored = self.storage.load(list(keys))
        for key, number in keys.items():
            task = self.graph.tasks[number]
            if key not in codes or key not in stored:  # it was removed meanwhile
                yield number, False, None
                continue
            try:
                self.trust.check(key, stored[key])
                verify(stored[key])
            except UntrustedResult as error:
                yield number, False, Failure(type(error).__name__, str(error), final=True)
                continue
            except DamagedResult:
                self.storage.set_aside(key)
                self.warn(f"the result of {render(task, 100)} was damaged: set aside, computed again")
                yield number, False, None
                continue
            yield number, *self._judge(number, task, codes[key])

    def _judge(self, number: int, task: Any, code: str | None) -> tuple[bool, Failure | None]:
        """By the code that made it."""
        codes = self.staleness.codes
        if code is None or code == codes.digest(codes.current[number]):
            return True, None
        if self.rule == "rerun":
            return False, None
        self.staleness.take(number, code)
        self.changed = True
        why = describe(self.staleness.causes(task._labtech_key))
        if self.rule == "error":
            what = f"the result of {render(task, 100)}, which another run computed meanwhile, was made by other code"
            return False, Failure("StaleResults", f"{what}: {why}", final=True)
        kind = type(task).__labtech__.label
        if self.rule == "warn" and kind not in self._told:
            self._told.add(kind)
            self.warn(f"results of {kind} that another run computed meanwhile were made by other code: {why}")
        return True, None
