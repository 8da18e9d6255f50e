"""Which results get which other identity when types, fields or versions change: arithmetic on descriptions.

A task's key digests the keys of the tasks in it, so a change goes on to everything that depends on a
changed task. No code of the user is needed, neither the old nor the new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from labtech_cli.core.codec import read_params, write_params
from labtech_cli.core.rekey import UNREADABLE, references, rewritten, stored_key
from labtech_cli.errors import ConfigError
from labtech_cli.store.records import Move, Row
from labtech_cli.store.reshape import Fields, Request, check_fields, moved_values

Described: TypeAlias = Mapping[str, tuple[str, str | None, str]]
KEEPS = ("newest", "existing")


@dataclass(frozen=True, slots=True)
class Change:
    """A task's new identity, and why it gets one."""

    move: Move
    old_type: str
    old_version: str | None
    fields: tuple[str, ...]
    """What changed in its own fields, in words."""
    reason: str
    result: bool
    """Whether the task has a result; otherwise only its description moves."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Several results that would have one identity."""

    new_key: str
    keys: tuple[str, ...]
    """The results that would move there."""
    existing: bool
    """Whether there is one already, which does not move."""
    kept: str | None = None
    """The key of the one that gets (or has) the identity; the others stay under, or get, an old one."""


@dataclass(slots=True)
class Migration:
    """What is to be done: `changes`, once no conflict is left undecided."""

    changes: list[Change] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """Tasks that are meant, or depend on those, whose descriptions are damaged or foreign: left alone."""
    documents: dict[str, str] = field(default_factory=dict)
    """Texts to keep first, by their digests: the code that results are recorded with afterwards."""
    entangled: bool = False
    """Whether results take each other's keys, so that one that stays would be in the way of another."""

    @property
    def undecided(self) -> list[Conflict]:
        """Conflicts that must be decided before anything is done."""
        return [item for item in self.conflicts if item.kept is None]

    @property
    def moves(self) -> list[Move]:
        """What the storage is asked to do."""
        return [change.move for change in self.changes]


def plan_migration(described: Described, rows: Iterable[Row], request: Request, keep: str | None = None) -> Migration:
    """What becomes of a storage's tasks (see `Storage.described` and `rows`); linear in their number.

    `keep` decides which of several results gets the identity they would share: the `newest`, or the one
    `existing` there. Raises `ConfigError` for fields that do not exist, or exist twice.
    """
    results = {row.key: row for row in rows}
    survey = _Survey(described, request)
    changes: dict[str, Change] = {}
    keys: dict[str, str] = {}
    for key in survey.order():
        try:
            change = _change(key, described, results.get(key), request, survey, keys)
        except UNREADABLE:
            survey.unreadable.append(key)
            continue
        if change is not None:
            changes[key], keys[key] = change, change.move.new_key
    for key in references(request.set)[0]:
        if key in changes:
            raise ConfigError(
                f"--set names the task {key}, which would get another key itself", hint="migrate in two steps"
            )
    migration = _settle(changes, results, described, keep)
    migration.unreadable = survey.unreadable
    return migration


def enum_members(described: Described) -> dict[str, set[str]]:
    """The Enum types that stored parameters name, with the members that occur; those of damaged ones are left out."""
    found: dict[str, set[str]] = defaultdict(set)

    def on_member(kind: str, name: str) -> tuple[str, str]:
        found[kind].update(name.split("|"))
        return kind, name

    for _, _, params in described.values():
        if '"$enum"' in params:
            with suppress(*UNREADABLE):
                rewritten(read_params(params), lambda key: key, on_member)
    return dict(found)


class _Survey:
    """The tasks that change or depend on such, found in one pass over all descriptions."""

    def __init__(self, described: Described, request: Request) -> None:
        self.unreadable: list[str] = []
        self.nested: dict[str, list[str]] = {}
        self._holders: dict[str, list[str]] = defaultdict(list)
        self._touched: list[str] = []
        shapes: dict[frozenset[str], None] = {}
        for key, (kind, _, params) in described.items():
            own = request.selects(key, kind)
            if not own and '"$' not in params:
                continue
            try:
                values = read_params(params)
                tasks, enums = references(values)
            except UNREADABLE:
                if own:
                    self.unreadable.append(key)
                continue
            if own and kind == request.old:
                shapes[frozenset(values)] = None
            if own or any(map(request.names, enums)):
                self._touched.append(key)
            self.nested[key] = list(tasks)
            for inner in tasks:
                self._holders[inner].append(key)
        if request.shapes and shapes:
            check_fields(request, shapes)
        self.fields = Fields(request, shapes) if request.shapes else None

    def order(self) -> Iterator[str]:
        """What is touched and all that depends on it, dependencies first."""
        affected = dict.fromkeys(self._touched)
        stack = list(affected)
        while stack:
            for holder in self._holders.get(stack.pop(), ()):
                if holder not in affected:
                    affected[holder] = None
                    stack.append(holder)
        waits = {key: sum(inner in affected for inner in self.nested[key]) for key in affected}
        ready = [key for key, many in waits.items() if not many]
        for key in ready:  # grows while it is read
            yield key
            for holder in self._holders.get(key, ()):
                waits[holder] -= 1
                if not waits[holder]:
                    ready.append(holder)
        self.unreadable += [key for key, many in waits.items() if many]  # a damaged storage: tasks know no cycles


def _change(
    key: str, described: Described, row: Row | None, request: Request, survey: _Survey, keys: Mapping[str, str]
) -> Change | None:
    """The new identity of one task, whose dependencies have theirs in `keys`; None when it keeps its own."""
    kind, version, params = described[key]
    before = read_params(params)
    if stored_key(kind, version, before) != key:
        raise ValueError("the description is not of this key")
    values = moved_values(before, request, keys)
    new_kind, new_version = kind, version
    told: list[str] = []
    if request.selects(key, kind):
        new_kind = request.renamed(kind)
        if survey.fields is not None and kind == request.old:
            values, told = survey.fields.change(values)
        if request.code_version:
            (new_version,) = request.code_version
    new_key = stored_key(new_kind, new_version, values)
    if new_key == key:
        return None
    own = (("renamed", new_kind != kind), ("field", bool(told)), ("code_version", new_version != version))
    reason = ", ".join([name for name, holds in own if holds])
    if not reason:
        inner = next((described[inner][0] for inner in survey.nested[key] if inner in keys), None)
        reason = f"depends on {inner}" if inner else "enum"
    move = Move(key, new_key, new_kind, new_version, write_params(values), row.code if row else None)
    return Change(move, kind, version, tuple(told), reason, row is not None)


def _settle(
    changes: Mapping[str, Change], results: Mapping[str, Row], described: Described, keep: str | None
) -> Migration:
    """The changes that can be made together, and the conflicts between results."""
    moving = {key: change for key, change in changes.items() if change.result}
    rivals: dict[str, list[str]] = defaultdict(list)
    for key, change in moving.items():
        rivals[change.move.new_key].append(key)
    migration = Migration(entangled=any(key in moving for key in rivals))
    staying: set[str] = set()
    displaced: list[Change] = []
    for new_key, keys in rivals.items():
        existing = new_key in results and new_key not in moving
        if len(keys) + existing == 1:
            continue
        kept = None if migration.entangled else _kept(new_key, keys, results, existing, keep)
        migration.conflicts.append(Conflict(new_key, tuple(keys), existing, kept))
        staying.update(key for key in keys if key != kept)
        if existing and kept in keys:
            displaced.append(_swapped(results[new_key], kept, described[kept]))
    kept_changes = [change for key, change in moving.items() if key not in staying]
    taken = {change.move.new_key for change in kept_changes} | (results.keys() - (moving.keys() - staying))
    migration.changes = [*kept_changes, *displaced]
    for change in changes.values():
        if not change.result and change.move.new_key not in taken:
            taken.add(change.move.new_key)
            migration.changes.append(change)
    return migration


def _kept(new_key: str, keys: list[str], results: Mapping[str, Row], existing: bool, keep: str | None) -> str | None:
    """Which of the results that would share an identity gets it, as far as `keep` tells."""
    if keep == "existing":
        return new_key if existing else None
    if keep == "newest":
        return max([new_key, *keys] if existing else keys, key=lambda key: results[key].started_at)
    return None


def _swapped(row: Row, key: str, description: tuple[str, str | None, str]) -> Change:
    """A result that was there gets the old identity of the newer one that takes its place: nothing is lost."""
    move = Move(row.key, key, *description, row.code)
    return Change(move, row.type, row.code_version, (), f"replaced by {key}", True)
