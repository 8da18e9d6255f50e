"""What is known of the code behind a task type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function, class, method or constant of the project."""

    name: str
    """`package.module:Qual.name`; `package.module:<import>` for what importing the module does."""
    digest: str
    """Of its meaning: the same however it is laid out."""
    file: str
    """Relative to the folder its module is imported from."""
    line: int
    source: str
    """As written."""


@dataclass(frozen=True, slots=True)
class Unsure:
    """A place from which the code cannot be followed."""

    symbol: str
    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The code a task type can reach."""

    type: str
    """The task type's name, as in `TaskType.name`; or that of an Enum type."""
    digest: str
    """Of the names and digests of `symbols`, and of nothing else."""
    symbols: Mapping[str, Symbol]
    unsure: tuple[Unsure, ...]
    packages: Mapping[str, str]
    """Versions of the installed distributions it uses; recorded, not part of the digest."""
    tasks: tuple[str, ...]
    """Other task types it names; their code is in their own fingerprints."""


@dataclass(frozen=True, slots=True)
class Change:
    """How one symbol differs between two fingerprints."""

    symbol: str
    kind: Literal["changed", "added", "removed"]
    file: str
    line: int
    diff: str
    """A unified diff from the recorded to the current source; empty when one of them is not known."""


def digest_of(parts: list[str]) -> str:
    """32 hexadecimal digits that stand for `parts`, in this order; source text has no NUL, so neither have they."""
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def digest_of_symbols(symbols: Mapping[str, Symbol]) -> str:
    """The digest of a fingerprint with these symbols."""
    return digest_of([part for name in sorted(symbols) for part in (name, symbols[name].digest)])
