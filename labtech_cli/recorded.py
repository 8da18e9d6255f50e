"""The code documents that a storage keeps beside its results, each read once, and how live code differs from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from labtech_cli.code.changes import changes
from labtech_cli.code.closures import Closure, read_closure
from labtech_cli.code.fingerprint import fingerprint
from labtech_cli.code.model import Change, Fingerprint
from labtech_cli.code.record import from_json
from labtech_cli.core.task import is_task_type
from labtech_cli.store.restore import find_class
from labtech_cli.store.storage import Storage

_MOST_NAMED = 3
T = TypeVar("T")


class Cause(NamedTuple):
    """A task type whose code is not what it was when a result was made."""

    type: str
    """Its name; that of the result's own task type, of one that it depends on, or of an Enum of their parameters."""
    changes: tuple[Change, ...]
    """What changed; empty where the code of then was not recorded."""


class Recorded:
    """What a storage knows of the code behind its results."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._closures: dict[str, Closure | None] = {}
        self._fingerprints: dict[str, Fingerprint | None] = {}

    def closure(self, digest: str) -> Closure:
        """A recorded closure; where its document is lost or foreign, one that is like no other."""
        found = self.known_closure(digest)
        return frozenset({("unknown code", digest)}) if found is None else found

    def known_closure(self, digest: str) -> Closure | None:
        """A recorded closure; None where its document is lost or foreign."""
        return self._read(digest, read_closure, self._closures)

    def fingerprint(self, digest: str) -> Fingerprint | None:
        """The code of one task type as it was; None where its document is lost or foreign."""
        return self._read(digest, from_json, self._fingerprints)

    def _read(self, digest: str, reader: Callable[[str], T], known: dict[str, T | None]) -> T | None:
        if digest not in known:
            try:
                known[digest] = reader(self._storage.documents([digest])[digest])
            except (KeyError, ValueError):
                known[digest] = None
        return known[digest]

    def differs(self, digest: str, now: Mapping[str, Fingerprint]) -> bool:
        """Whether a closure has other code of the types in `now`; what is not known does not differ."""
        closure = self.known_closure(digest) or ()
        return any(name in now and now[name].digest != code for name, code in closure)

    def causes(self, digest: str, now: Mapping[str, Fingerprint], own: str) -> list[Cause]:
        """The types in `now` whose code is not that of a recorded closure: `own` first, then by name."""
        closure = self.known_closure(digest)
        if closure is None:
            return [Cause(own, ())]
        then: dict[str, set[str]] = {name: set() for name in now}
        for name, code in closure:
            then.setdefault(name, set()).add(code)
        names = [name for name, codes in then.items() if name in now and codes != {now[name].digest}]
        names.sort(key=lambda name: (name != own, name))
        return [Cause(name, self._changes(sorted(then[name]), now[name])) for name in names]

    def _changes(self, then: Iterable[str], now: Fingerprint) -> tuple[Change, ...]:
        found: dict[str, Change] = {}
        for digest in then:
            before = self.fingerprint(digest)
            if before is not None and digest != now.digest:
                found.update({change.symbol: change for change in changes(before, now)})
        return tuple(found.values())


def live_code(names: Iterable[str], types: Mapping[str, Any]) -> dict[str, Fingerprint]:
    """The code of those of the types `names` that are task types in `types`, or types in modules that are imported."""
    found = {}
    for name in names:
        cls = types[name].cls if name in types else find_class(name)
        if is_task_type(cls) or is_enum_type(cls):
            found[name] = fingerprint(cls)
    return found


def is_enum_type(value: object) -> bool:
    """Whether `value` is an Enum type, whose code counts where a parameter holds one of its members."""
    return isinstance(value, type) and issubclass(value, Enum)


def describe(causes: Iterable[Cause], *, kinds: bool = True) -> str:
    """What changed, in few words: symbols and where they are; without `kinds`, "changed" goes without saying."""
    found: dict[str, str] = {}
    for cause in causes:
        for change in cause.changes:
            name = f"{change.file}:{change.symbol.partition(':')[2]}"
            found[change.symbol] = f"{name} {change.kind}" if kinds or change.kind != "changed" else name
        if not cause.changes:
            found[cause.type] = f"the code of {cause.type} changed" if kinds else f"the code of {cause.type}"
    texts = list(found.values())
    more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return ", ".join(texts[:_MOST_NAMED]) + more
