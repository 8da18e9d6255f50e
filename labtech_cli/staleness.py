"""Results whose code has changed since: which they are, what changed, and what new results rest on.

Each result is recorded with the closure of codes it was made by (`code.closures`). One that was made by
another closure than the present one is *stale*. Plans mark such results, `on_code_change` decides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from labtech_cli.code.closures import Closure, Codes
from labtech_cli.core.graph import Graph
from labtech_cli.core.plan import Action, Plan
from labtech_cli.recorded import Cause, Recorded, describe
from labtech_cli.store.storage import Storage


@dataclass
class Staleness:
    """The code behind a graph's tasks, and the results in a storage that other code has made."""

    graph: Graph
    storage: Storage
    codes: Codes
    stale: dict[str, str] = field(default_factory=dict)
    """By key: the digest of the closure that the result was made by."""
    taken: dict[int, str] = field(default_factory=dict)
    """By number: the same of results that other runs have computed since the plan was made."""
    _recorded: Recorded = field(init=False)
    _known: dict[tuple[str, int, str], list[Cause]] = field(init=False, default_factory=dict)
    """The causes by what they follow from: the recorded closure, the present one, the type."""

    def __post_init__(self) -> None:
        self._recorded = Recorded(self.storage)

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
        number = self.graph.index[key]
        place = self.stale[key], self.codes.current[number], type(self.graph.tasks[number]).__labtech__.name
        if place not in self._known:
            found = self._recorded.causes(place[0], self.codes.of_closure(place[1]), place[2])
            self._known[place] = found or [Cause(place[2], ())]
        return self._known[place]

    def take(self, number: int, code: str) -> None:
        """A task that was to run has a result now that other code, the closure of this digest, has made."""
        self.taken[number] = self.stale[self.graph.tasks[number]._labtech_key] = code

    def actual(self, plan: Plan) -> list[int]:
        """The closures of what the plan will make, given that it loads what other code made."""
        if not self.stale and not self.taken and not self.codes.edited:
            return self.codes.current

        def loaded(number: int) -> Closure | None:
            key = self.graph.tasks[number]._labtech_key
            made_by = self.stale.get(key) if plan.actions[number] is not Action.RUN else self.taken.get(number)
            return self._recorded.closure(made_by) if made_by is not None else None

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
