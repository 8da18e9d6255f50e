"""Results whose code has changed since: which they are, what changed, and what new results rest on.

Each result is recorded with the closure of codes it was made by (`code.closures`). One that was made by
another closure than the present one is *stale*. Plans mark such results, `on_code_change` decides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from labtech_cli.code.changes import changes
from labtech_cli.code.closures import Closure, Codes, read_closure
from labtech_cli.code.model import Change, Fingerprint
from labtech_cli.code.record import from_json
from labtech_cli.core.graph import Graph
from labtech_cli.core.plan import Action, Plan
from labtech_cli.store.storage import Storage

CHOICES = ("warn", "rerun", "ignore", "error")
"""What `on_code_change` may be."""
_MOST_NAMED = 3


class Cause(NamedTuple):
    """A task type whose code is not what it was when a result was made."""

    type: str
    """Its name; that of the result's own task type, or of one that it depends on."""
    changes: tuple[Change, ...]
    """What changed; empty where the code of then was not recorded."""


@dataclass
class Staleness:
    """The code behind a graph's tasks, and the results in a storage that other code has made."""

    graph: Graph
    storage: Storage
    codes: Codes
    stale: dict[str, str] = field(default_factory=dict)
    """By key: the digest of the closure that the result was made by."""

    @classmethod
    def look(cls, graph: Graph, storage: Storage) -> Staleness:
        """Compare the storage's results with the code as it is: a query or two, no result is read."""
        codes = Codes(graph)
        now = {codes.digest(closure) for closure in set(codes.current)}
        then = {digest for _, digest in storage.codes()} - now - {None}
        found = storage.produced_by(then) if then else {}
        stale = {key: digest for key, digest in found.items() if key in graph.index and digest is not None}
        return cls(graph, storage, codes, stale)

    def causes(self, key: str) -> list[Cause]:
        """Why a stale result is stale: its own type first, then those it depends on."""
        closure = self.codes.current[self.graph.index[key]]
        return self._causes(self.stale[key], closure, type(self.graph.tasks[self.graph.index[key]]).__labtech__.name)

    def actual(self, plan: Plan) -> list[int]:
        """The closures of what the plan will make, given that it loads what other code made."""
        if not self.stale:
            return self.codes.current

        def loaded(number: int) -> Closure | None:
            key = self.graph.tasks[number]._labtech_key
            made_by = self.stale.get(key) if plan.actions[number] is not Action.RUN else None
            return self._closure(made_by) if made_by is not None else None

        return self.codes.actual(loaded)

    def messages(self, plan: Plan) -> list[str]:
        """What to tell of stale results that the plan loads: a sentence for each type, naming what changed."""
        told: Counter[tuple[str, str]] = Counter()
        for number in plan.numbers(Action.LOAD) if self.stale else ():
            task = self.graph.tasks[number]
            if task._labtech_key in self.stale:
                told[type(task).__labtech__.label, describe(self.causes(task._labtech_key))] += 1
        return [
            f"{many} cached {'result' if many == 1 else 'results'} of {label} made by other code: {why}"
            for (label, why), many in told.items()
        ]

    def _causes(self, recorded: str, current: int, own: str) -> list[Cause]:
        place = recorded, current, own
        if place not in self._known:
            before, after = self._closure(recorded), self.codes.closure(current)
            now = dict(after)
            names = sorted({name for name, _ in before ^ after}, key=lambda name: (name != own, name))
            self._known[place] = [
                Cause(name, self._changes([digest for other, digest in before if other == name], now.get(name)))
                for name in names
            ]
        return self._known[place]

    def _changes(self, before: list[str], after: str | None) -> tuple[Change, ...]:
        now = next((known for known in self.codes.types.values() if known.digest == after), None)
        found: dict[str, Change] = {}
        for digest in before:
            then = self._fingerprint(digest)
            if then is not None and now is not None and digest != after:
                found.update({change.symbol: change for change in changes(then, now)})
        return tuple(found.values())

    @cached_property
    def _known(self) -> dict[tuple[str, int, str], list[Cause]]:
        return {}

    @cached_property
    def _closures(self) -> dict[str, Closure]:
        return {}

    def _closure(self, digest: str) -> Closure:
        """A recorded closure; where its document is lost or foreign, one that is like no other."""
        if digest not in self._closures:
            try:
                self._closures[digest] = read_closure(self.storage.documents([digest])[digest])
            except (KeyError, ValueError):
                self._closures[digest] = frozenset({("unknown code", digest)})
        return self._closures[digest]

    def _fingerprint(self, digest: str) -> Fingerprint | None:
        try:
            return from_json(self.storage.documents([digest])[digest])
        except (KeyError, ValueError):
            return None


def describe(causes: list[Cause]) -> str:
    """What changed, in few words: symbols and where they are."""
    found: dict[str, str] = {}
    for cause in causes:
        for change in cause.changes:
            name = change.symbol.partition(":")[2]
            found[change.symbol] = f"{change.file}:{name} {change.kind}"
        if not cause.changes:
            found[cause.type] = f"the code of {cause.type} changed"
    texts = list(found.values())
    more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return ", ".join(texts[:_MOST_NAMED]) + more
