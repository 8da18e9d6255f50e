"""What goes into a storage and comes out of it, besides the bytes of results."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from labtech_cli.store.blobs import Stored, digest

_LEAST_MEMORY, _MOST_MEMORY = 1 << 20, 1 << 50  # bytes: less is nothing, more is no task's


@dataclass(slots=True)
class Record:
    """A task that was run: described always, with its result where one is to be kept."""

    key: str
    type: str
    code_version: str | None
    params: str
    """As `core.codec.encode_params` writes them."""
    duration: float
    started_at: float
    stored: Stored | None
    replace: bool = True
    """Whether to replace a result that is there. A run that found none leaves alone what another run
    committed meanwhile: its files may be in use."""
    peak_memory: int | None = None
    code: str | None = None
    """The digest of the document that says which code produced it (`Storage.keep`)."""
    origin: str | None = None
    """The digest of the document that says where and from what it was produced."""


@dataclass(slots=True)
class Row:
    """What a storage's listing tells of one result, without its bytes."""

    key: str
    type: str
    code_version: str | None
    params: str
    format: str
    started_at: float
    duration: float
    size: int
    peak_memory: int | None = None
    code: str | None = None
    origin: str | None = None


def unreadable_row(key: str) -> Row:
    """What a listing tells of an entry that is no description of a result: that it is there."""
    return Row(key, "unreadable", None, "", UNREADABLE_FORMAT, 0.0, 0.0, 0)


@dataclass(frozen=True, slots=True)
class TypeStats:
    """Totals of one task type."""

    type: str
    results: int
    size_bytes: int
    duration_seconds: float
    oldest: float
    newest: float


@dataclass(slots=True)
class Timings:
    """How long tasks took before, by key, else by type; and the most memory they took."""

    by_key: dict[str, float] = field(default_factory=dict)
    by_type: dict[str, float] = field(default_factory=dict)
    memory_by_key: dict[str, int] = field(default_factory=dict)
    """Bytes, of tasks that took any to speak of."""
    memory_by_type: dict[str, int] = field(default_factory=dict)
    """What the largest of a type took."""

    def of(self, task: Any) -> float | None:
        known = self.by_key.get(task._labtech_key)
        return known if known is not None else self.by_type.get(type(task).__labtech__.name)

    @classmethod
    def learn(cls, rows: Iterable[tuple[str, str, float, Any]]) -> Timings:
        """From the key, type, duration and peak memory of tasks; a peak that is no number is none."""
        found = cls()
        sums: dict[str, tuple[int, float]] = {}
        for key, kind, duration, peak in rows:
            found.by_key[key] = duration
            count, total = sums.get(kind, (0, 0.0))
            sums[kind] = count + 1, total + duration
            if type(peak) is int and _LEAST_MEMORY <= peak < _MOST_MEMORY:
                found.memory_by_key[key] = peak
                if peak > found.memory_by_type.get(kind, 0):
                    found.memory_by_type[kind] = peak
        found.by_type = {kind: total / count for kind, (count, total) in sums.items()}
        return found


UNREADABLE_FORMAT = "unreadable"


class Aside(NamedTuple):
    """A result that was set aside as damaged."""

    name: str
    """Of the folder in `damaged/`."""
    at: float
    """When, in seconds since 1970 by the storage's clock."""
    size: int

    @property
    def key(self) -> str:
        """The task's."""
        return self.name.partition(".")[0]


class Claim(IntEnum):
    """What became of asking for a task that is to be computed."""

    MINE = 0
    """Nobody else computes it until it is committed or released."""
    DONE = 1
    """Another run has committed its result meanwhile."""
    HELD = 2
    """Another live run computes it now."""


class Owner(NamedTuple):
    """A run that uses a storage: who it is, and that it lives."""

    id: str
    host: str
    """The machine, or the container: where its `pid` means something."""
    pid: int
    born: str
    """When the process started, as the machine tells it: another process that gets its pid is not it."""
    began: float
    """When it began to use the storage, seconds since 1970 by its own clock."""
    beat: int
    """Grows while it lives."""


def content_of(parts: object) -> str:
    """A digest of a result by the list of its parts, as a storage keeps it, to tell it from one that replaces it."""
    return digest(json.dumps(parts, sort_keys=True).encode(), strong=False)


@dataclass(frozen=True, slots=True)
class Move:
    """A result that gets another identity: `cache migrate`. Its bytes stay as they are."""

    key: str
    new_key: str
    type: str
    code_version: str | None
    params: str
    code: str | None
    signature: str = ""
    """For the new key; empty leaves that of a result which keeps its key."""
    content: str = ""
    """Of a move that leads back: what `content_of` said of the result. It is made for no other: what was computed since
    is the work of other code."""


@dataclass(frozen=True, slots=True)
class Journal:
    """A rewrite that was done, with what it takes to undo it."""

    number: int
    at: float
    title: str
    moves: tuple[Move, ...]
    before: tuple[Move, ...]
    """The moves that lead back, in the same order."""
