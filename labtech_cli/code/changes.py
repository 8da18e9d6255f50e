"""What changed between two fingerprints, symbol by symbol."""

from __future__ import annotations

import difflib

from labtech_cli.code.model import Change, Fingerprint, Symbol


def changes(old: Fingerprint, new: Fingerprint) -> list[Change]:
    """How `new` differs from `old`: changed symbols first, then added, then removed ones."""
    found: list[Change] = []
    for name in sorted(old.symbols.keys() & new.symbols.keys(), key=lambda name: _place(new.symbols[name])):
        before, after = old.symbols[name], new.symbols[name]
        if before.digest != after.digest:
            found.append(Change(name, "changed", after.file, after.line, _diff(before, after)))
    for item in sorted((new.symbols[name] for name in new.symbols.keys() - old.symbols.keys()), key=_place):
        found.append(Change(item.name, "added", item.file, item.line, ""))
    for item in sorted((old.symbols[name] for name in old.symbols.keys() - new.symbols.keys()), key=_place):
        found.append(Change(item.name, "removed", item.file, item.line, ""))
    return found


def _place(symbol: Symbol) -> tuple[str, int, str]:
    return symbol.file, symbol.line, symbol.name


def _diff(before: Symbol, after: Symbol) -> str:
    if not before.source or not after.source:
        return ""
    old, new = before.source.split("\n"), after.source.split("\n")
    lines = difflib.unified_diff(
        old, new, f"{before.file}:{before.line} (recorded)", f"{after.file}:{after.line} (now)", lineterm=""
    )
    return "\n".join(lines)
