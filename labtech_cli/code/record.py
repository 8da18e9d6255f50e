"""A fingerprint as JSON, and under another name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Final

from labtech_cli.code.model import Fingerprint, Symbol, Unsure, digest_of_symbols

SCHEMA: Final = "labtech.code/1"
_DIGEST = re.compile("[0-9a-f]{32}")


def to_json(fp: Fingerprint) -> str:
    """The fingerprint as text: the same text for the same fingerprint."""
    symbols = {
        name: {"digest": item.digest, "file": item.file, "line": item.line, "source": item.source}
        for name, item in fp.symbols.items()
    }
    unsure = [{"symbol": i.symbol, "file": i.file, "line": i.line, "reason": i.reason} for i in fp.unsure]
    document = {
        "schema": SCHEMA,
        "type": fp.type,
        "digest": fp.digest,
        "symbols": symbols,
        "unsure": unsure,
        "packages": dict(fp.packages),
        "tasks": list(fp.tasks),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> Fingerprint:
    """The fingerprint that `to_json` wrote. Raises `ValueError` for any other text."""
    try:
        document = json.loads(text)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a code fingerprint: {error}") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"not a code fingerprint: its schema is not {SCHEMA}")
    symbols = {
        name: _symbol(name, _of(item, dict, "a symbol")) for name, item in _field(document, "symbols", dict).items()
    }
    digest = _digest(document)
    if digest != digest_of_symbols(symbols):
        raise ValueError("damaged code fingerprint: its digest is not that of its symbols")
    packages = _field(document, "packages", dict)
    return Fingerprint(
        type=_field(document, "type", str),
        digest=digest,
        symbols=symbols,
        unsure=tuple(_unsure(_of(item, dict, "unsure")) for item in _field(document, "unsure", list)),
        packages={name: _of(item, str, "packages") for name, item in packages.items()},
        tasks=tuple(_of(item, str, "tasks") for item in _field(document, "tasks", list)),
    )


def renamed(fp: Fingerprint, old_prefix: str, new_prefix: str) -> Fingerprint:
    """`fp` as it would be had its module or class always been called `new_prefix`.

    Prefixes are dotted names of a package, a module (`old.train`) or a class (`old.train.Trainer`). A
    class keeps as many dots after the module as it had, unless `new_prefix` has a colon where its
    module ends. Best effort: digests of symbols in *other* modules that refer to what moved still
    contain its old name, so these show as changed; a module whose symbols only refer to each other
    compares equal.
    """
    symbols = {}
    for item in fp.symbols.values():
        moved = replace(item, name=_moved(item.name, old_prefix, new_prefix))
        symbols[moved.name] = moved
    kept = {name: symbols[name] for name in sorted(symbols)}
    return replace(
        fp,
        type=_moved_dotted(fp.type, old_prefix, new_prefix),
        symbols=kept,
        digest=digest_of_symbols(kept),
        unsure=tuple(replace(item, symbol=_moved(item.symbol, old_prefix, new_prefix)) for item in fp.unsure),
        tasks=tuple(sorted(_moved_dotted(item, old_prefix, new_prefix) for item in fp.tasks)),
    )


def _moved(name: str, old: str, new: str) -> str:
    """A symbol's name `module:qual` with another beginning."""
    module, _, qual = name.partition(":")
    dotted = _moved_dotted(f"{module}.{qual}", old, new)
    if dotted == f"{module}.{qual}":
        return name
    inside = module == old.replace(":", ".") or module.startswith(old.replace(":", ".") + ".")
    if inside or ":" not in new:
        parts = dotted.split(".")
        count = len(parts) - len(qual.split("."))
    else:
        parts, count = dotted.split("."), len(new.partition(":")[0].split("."))
    return ".".join(parts[:count]) + ":" + ".".join(parts[count:])


def _moved_dotted(name: str, old: str, new: str) -> str:
    old, new = old.replace(":", "."), new.replace(":", ".")
    return new + name.removeprefix(old) if name == old or name.startswith(f"{old}.") else name


def _symbol(name: str, item: dict[str, Any]) -> Symbol:
    line = _field(item, "line", int)
    return Symbol(name, _digest(item), _field(item, "file", str), line, _field(item, "source", str))


def _unsure(item: dict[str, Any]) -> Unsure:
    line = _field(item, "line", int)
    return Unsure(_field(item, "symbol", str), _field(item, "file", str), line, _field(item, "reason", str))


def _digest(item: dict[str, Any]) -> str:
    digest: str = _field(item, "digest", str)
    if not _DIGEST.fullmatch(digest):
        raise ValueError("damaged code fingerprint: a digest is not 32 hexadecimal digits")
    return digest


def _field(item: dict[str, Any], name: str, kind: type) -> Any:
    return _of(item.get(name), kind, f"'{name}'")


def _of(value: Any, kind: type, where: str) -> Any:
    if type(value) is not kind:
        raise ValueError(f"damaged code fingerprint: {where} is not {kind.__name__}")
    return value
