"""The way in: the fingerprint of a task type's code, and what changed between two of them."""

from __future__ import annotations

from enum import Enum
from weakref import WeakKeyDictionary

from labtech_cli.code.changes import changes
from labtech_cli.code.model import Change, Fingerprint, Symbol, Unsure, digest_of_symbols
from labtech_cli.code.places import Owner
from labtech_cli.code.project import Project
from labtech_cli.code.record import from_json, renamed, to_json
from labtech_cli.code.registries import Registries
from labtech_cli.code.walk import Walk
from labtech_cli.core.key import enum_name
from labtech_cli.core.task import type_of
from labtech_cli.names import canonical_module

__all__ = [
    "Change",
    "Fingerprint",
    "Symbol",
    "Unsure",
    "changes",
    "edited_modules",
    "fingerprint",
    "forget",
    "from_json",
    "is_projects",
    "renamed",
    "to_json",
]


class _Shared:
    """What this process knows: one project, and the fingerprints made of it."""

    def __init__(self) -> None:
        self.project = Project()
        self.registries = Registries(self.project)
        self.known: WeakKeyDictionary[type, Fingerprint] = WeakKeyDictionary()


_shared = _Shared()


def fingerprint(kind: type) -> Fingerprint:
    """The code that a task type, or an Enum type, can reach. Once per process; raises `TaskError` for other classes."""
    known = _shared.known.get(kind)
    if known is None:
        name = enum_name(kind) if issubclass(kind, Enum) else type_of(kind).name
        qual = kind.__qualname__
        known = fingerprint_of(name.removesuffix(f".{qual}"), qual)
        _shared.known[kind] = known
    return known


def edited_modules(*, imported: bool) -> set[str]:
    """See `Modules.edited`."""
    return _shared.project.modules.edited(imported=imported)


def is_projects(kind: type) -> bool:
    """Whether a class is the project's own: the code of others is not followed."""
    return _shared.project.modules.places[canonical_module(kind.__module__)].owner is Owner.PROJECT


def fingerprint_of(module: str, qual: str) -> Fingerprint:
    """The fingerprint of the task type or Enum type `qual` of `module`, read from its files: nothing is imported."""
    global _shared
    if not _shared.project.modules.is_current():
        kept = _shared.known
        _shared = _Shared()
        _shared.known = kept
    walk = Walk(_shared.project, _shared.registries)
    walk.start(module, qual)
    symbols = {name: walk.symbols[name] for name in sorted(walk.symbols)}
    return Fingerprint(
        type=f"{module}.{qual}",
        digest=digest_of_symbols(symbols),
        symbols=symbols,
        unsure=tuple(sorted(walk.unsure, key=lambda item: (item.file, item.line, item.symbol, item.reason))),
        packages=dict(sorted(walk.packages.items())),
        tasks=tuple(sorted(walk.tasks)),
    )


def forget() -> None:
    """Forget all that was read: for processes in which the user's modules are loaded anew."""
    global _shared
    _shared = _Shared()
