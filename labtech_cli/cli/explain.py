"""Why a task would run again or not: what a storage knows of it, beside the code as it is. Never unpickles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from labtech_cli.cli.catalogue import Catalogue, module_of
from labtech_cli.cli.differing import task_text
from labtech_cli.cli.receipt import origin_of
from labtech_cli.code.model import Fingerprint, Unsure
from labtech_cli.core.plan import Action, Why
from labtech_cli.core.present import params_json, render
from labtech_cli.errors import LabtechError
from labtech_cli.lab import Lab
from labtech_cli.prepared import Prepared
from labtech_cli.recorded import Cause, Recorded, live_code
from labtech_cli.store.blobs import verify
from labtech_cli.store.nearest import Descriptions, Difference, Nearest, differences, path_to
from labtech_cli.store.records import Row

_MOST_COMPARED = 5_000  # results that are looked at to find the nearest
_STALE = {
    "warn": "cached, but its code changed since; a run loads it, and says so",
    "ignore": "cached, but its code changed since; a run loads it",
    "rerun": "cached, but its code changed since; a run computes it again",
    "error": "cached, but its code changed since; a run refuses to start",
}


@dataclass
class Explanation:
    """What there is to say of one task."""

    key: str
    type: str
    state: str
    """`current`, `stale`, `orphaned`, `unknown`, `damaged`, `untrusted`, `removed`, `never run`, `cache=None` or
    `no storage`."""
    reason: str
    action: str | None = None
    """What a run would do; None where only the storage was asked."""
    row: Row | None = None
    """Its result."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    causes: Sequence[tuple[Cause, str]] = ()
    """The types whose code changed, with the parameters that lead to them."""
    nearest: Row | None = None
    """The nearest result, for a task that never ran."""
    differences: Sequence[Difference] = ()
    """From the nearest result, or from the live type, to the task."""
    unsure: Sequence[Unsure] = ()
    """From where its code cannot be followed."""


class Explainer:
    """Explains tasks of a plan, and keys of a storage; what both need is read once."""

    def __init__(self, lab: Lab, prepared: Prepared | None, types: Mapping[str, Any]) -> None:
        self.lab, self.prepared, self.types = lab, prepared, types
        self._modules = set(map(module_of, types))
        self._recorded = Recorded(lab.storage)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The storage's listing."""
        return Catalogue(self.lab.storage)

    @cached_property
    def described(self) -> dict[str, tuple[str, str | None, str]]:
        """All tasks that the storage has described."""
        return self.lab.storage.described()

    @cached_property
    def known(self) -> Descriptions:
        """The tasks of the storage, and those of the plan."""
        return Descriptions(self.described, self._live)

    def _live(self, key: str) -> Any:
        """A task of the plan; None for one that it does not have."""
        graph = self.prepared.plan.graph if self.prepared else None
        return graph.tasks[graph.index[key]] if graph is not None and key in graph.index else None

    @cached_property
    def _nearest(self) -> Nearest:
        return Nearest(self.known, lambda kind, texts: self.lab.storage.alike(kind, texts, _MOST_COMPARED))

    @cached_property
    def _aside(self) -> set[str]:
        return {item.key for item in self.lab.storage.aside()}

    # -- a task of the plan --------------------------------------------------------------------------

    def task(self, number: int) -> Explanation:
        """Why a task of the plan would run or not."""
        assert self.prepared is not None
        plan = self.prepared.plan
        task, why = plan.graph.tasks[number], plan.whys[number]
        found = Explanation(task._labtech_key, type(task).__labtech__.name, "", str(why.value))
        found.action = plan.actions[number].value
        found.unsure = self._unsure(self._code(number))
        if why in (Why.NO_STORAGE, Why.NO_CACHE):
            found.state = str(why.value)
            kept = "there is no storage" if why is Why.NO_STORAGE else "its type has cache=None"
            found.reason = f"{kept}: it runs each time it is needed"
        elif why is Why.NOT_CACHED:
            self._absent(found)
        else:
            self._cached(found, number)
        return found

    def _cached(self, found: Explanation, number: int) -> None:
        assert self.prepared is not None
        self._add_result(found)
        if found.state:
            found.action = Action.RUN.value if found.state == "damaged" else found.action
            return
        staleness = self.prepared.staleness
        if found.key in staleness.stale:
            found.state, found.reason = "stale", _STALE[self.lab.on_code_change]
            found.causes = self._with_paths(found.key, staleness.causes(found.key))
        else:
            found.state = "current"
            found.reason = "cached and current" if found.row and found.row.code else _NOT_RECORDED

    def _code(self, number: int) -> dict[str, Fingerprint]:
        assert self.prepared is not None
        codes = self.prepared.staleness.codes
        return codes.of_closure(codes.current[number])

    def _absent(self, found: Explanation) -> None:
        """There is no result: it was damaged, was removed, or never was."""
        if found.key in self._aside:
            found.state, found.reason = "damaged", "its result was damaged, and was set aside"
        elif found.key in self.described:
            found.state, found.reason = "removed", "it ran before, and its result was removed"
        else:
            found.state, found.reason = "never run", "never run, and no result of its type is cached"
            nearest = self._nearest.to(found.key)
            if nearest is not None:
                (found.nearest,) = self.lab.storage.rows([nearest])
                found.differences = differences(self.known, nearest, found.key)
                found.reason = "never run"

    # -- a key of the storage ------------------------------------------------------------------------

    def key(self, key: str) -> Explanation:
        """What is recorded of a task, compared with its code where that is at hand."""
        kind, version, _ = self.described[key]
        found = Explanation(key, kind, "", "")
        self._add_result(found)
        code = self._recorded.known_closure(found.row.code) if found.row and found.row.code else None
        live = live_code({kind, *(name for name, _ in code or ())}, self.types)
        found.unsure = self._unsure(live or self._then(code or ()))
        if found.row is None:
            self._absent(found)
        elif not found.state:
            self._compare(found, version, live)
        return found

    def _compare(self, found: Explanation, version: str | None, live: Mapping[str, Fingerprint]) -> None:
        """The state of a cached result, as far as live code tells."""
        assert found.row is not None
        kind = live_type(found.type, self.types)
        if kind is None and module_of(found.type) in self._modules:
            found.state, found.reason = "orphaned", "cached, but its type is gone"
        elif kind is None:
            found.state, found.reason = "unknown", "cached; add --module FILE.py to compare it with its code"
        elif kind.code_version != version:
            found.state, found.reason = "stale", "cached, but its type has another code_version now: it is not used"
            found.differences = [Difference("code_version", "code_version", version, kind.code_version)]
        elif found.row.code and self._recorded.differs(found.row.code, live):
            found.state, found.reason = "stale", "cached, but its code changed since"
            causes = self._recorded.causes(found.row.code, live, found.type)
            found.causes = self._with_paths(found.key, causes)
        else:
            found.state, found.reason = "current", "cached and current" if found.row.code else _NOT_RECORDED

    def _then(self, code: Any) -> dict[str, Fingerprint]:
        """The code of a recorded closure, as it was."""
        return {name: known for name, digest in code if (known := self._recorded.fingerprint(digest)) is not None}

    # -- both ----------------------------------------------------------------------------------------

    def text(self, key: str) -> str:
        """A task as people write it."""
        task = self._live(key)
        return render(task, 200) if task is not None else task_text(key, self.known)

    def parameters(self, key: str) -> tuple[str | None, dict[str, Any]]:
        """The `code_version` and the parameters of a task, as JSON has them."""
        task = self._live(key)
        if task is not None:
            return task._labtech_version, params_json(task)
        _, version, params = self.described[key]
        return version, self.catalogue.params(params)

    def _add_result(self, found: Explanation) -> None:
        """Its result, if there is one, and whether it is whole."""
        for row in self.lab.storage.rows([found.key]):
            found.row = row
            texts = self.lab.storage.documents([row.origin]) if row.origin else {}
            found.origin = origin_of(texts.get(row.origin or "")) or {}
        stored = self.lab.storage.load([found.key]).get(found.key)
        if stored is None:
            return
        try:
            found.state = "untrusted"
            self.lab.trust.check(found.key, stored)
            found.state = "damaged"
            verify(stored)
            found.state = ""
        except LabtechError as error:
            found.reason = f"cached, but {error.message}"

    def _with_paths(self, key: str, causes: Sequence[Cause]) -> list[tuple[Cause, str]]:
        return [(cause, path_to(self.known, key, cause.type) or "") for cause in causes]

    def _unsure(self, code: Mapping[str, Fingerprint]) -> list[Unsure]:
        return list(dict.fromkeys(item for known in code.values() for item in known.unsure))


_NOT_RECORDED = "cached; the code that made it was not recorded"


def live_type(name: str, types: Mapping[str, Any]) -> Any:
    """The task type of this name, among `types` or in modules that are imported; None if there is none."""
    from labtech_cli.store.restore import find_class

    if name in types:
        return types[name]
    return vars(found).get("__labtech__") if isinstance(found := find_class(name), type) else None
