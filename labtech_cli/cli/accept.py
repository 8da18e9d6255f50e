"""`labtech cache migrate --accept`: results whose code changed harmlessly count as made by the code as it is."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from labtech_cli.cli.catalogue import types_of
from labtech_cli.cli.recode import Recoder
from labtech_cli.cli.shared import load_module
from labtech_cli.errors import ConfigError, did_you_mean
from labtech_cli.recorded import Recorded, is_enum_type, live_code
from labtech_cli.report.words import count
from labtech_cli.store.migrate import Change, Migration
from labtech_cli.store.records import Move
from labtech_cli.store.restore import find_class
from labtech_cli.store.storage import Storage


def plan_accept(place: Storage, words: Sequence[str], modules: Sequence[str], everything: bool) -> Migration:
    """The results that other code of a type has made; `words` are the type, unless `everything`, and a file."""
    names, targets = (words[:0], words) if everything else (words[:1], words[1:])
    files = [*modules, *(text.partition(":")[0] for text in targets)]
    if not names and not everything:
        raise ConfigError("which code is accepted is not said", hint="name a task type, or add --all")
    if not files:
        what = f"the code of '{names[0]}' is" if names else "the module is"
        raise ConfigError(f"{what} not at hand", hint="add --module FILE.py")
    types = types_of([load_module(file) for file in files])
    recorded = Recorded(place)
    known = {*types, *_enums(recorded, place)}
    live = live_code([_type_named(name, types, known) for name in names] or known, types)
    recoder = Recoder(recorded)
    migration, lost = Migration(), 0
    for row in place.rows():
        lost += row.code is not None and recorded.known_closure(row.code) is None
        code, changed = recoder.accepted(row.code, live) if row.code else ("", [])
        if changed:
            move = Move(row.key, row.key, row.type, row.code_version, row.params, code)
            reason = "code" if row.type in changed else f"depends on {changed[0]}"
            migration.changes.append(Change(move, row.type, row.code_version, (), reason, True))
    migration.documents = recoder.documents
    if lost:
        print(f"warning: the code behind {count(lost, 'result')} is not recorded: left alone", file=sys.stderr)
    return migration


def _enums(recorded: Recorded, place: Storage) -> set[str]:
    """The Enum types that results were recorded with, and that the modules have."""
    codes = {digest for _, digest in place.codes() if digest is not None}
    names = {name for digest in codes for name, _ in recorded.known_closure(digest) or ()}
    return {name for name in names if is_enum_type(find_class(name))}


def _type_named(text: str, types: Mapping[str, Any], known: Collection[str]) -> str:
    """The full name of a task type of the modules, or of an Enum type that results were recorded with."""
    found = sorted(name for name in known if name == text or name.endswith("." + text))
    if text in found or len(found) == 1:
        return text if text in found else found[0]
    if found:
        raise ConfigError(f"'{text}' is ambiguous: {', '.join(found)}", hint="give the full name")
    hint = did_you_mean(text, {*known, *(kind.label for kind in types.values())})
    raise ConfigError(f"the modules have no task type '{text}'", hint=hint)
