"""Explanations written for people, and as JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from labtech_cli.cli.catalogue import short, utc
from labtech_cli.cli.differing import difference_json, difference_text
from labtech_cli.cli.explain import Explainer, Explanation
from labtech_cli.code.model import Change, Unsure
from labtech_cli.recorded import Cause
from labtech_cli.report.tables import safe
from labtech_cli.report.words import duration
from labtech_cli.store.records import Row

_MOST_DIFFERENCES = 20
_MOST_UNSURE = 10
_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}


def lines(item: Explanation, explainer: Explainer, *, diff: bool, colour: bool) -> Iterator[str]:
    """An explanation as text; nothing in it that a terminal would obey, but our own colours."""
    yield safe(f"{item.key[:12]}  {explainer.text(item.key)}")
    yield safe(f"  {item.reason}")
    if item.row is not None:
        yield safe(f"  {_made(item.row, item.origin)}")
    for cause, path in item.causes:
        yield from _cause(cause, path, diff, colour)
    if item.nearest is not None:
        yield f"  nearest result: {item.nearest.key[:12]}, computed {_when(item.nearest)}; it differs in"
    told = [difference_text(each, explainer.known) for each in item.differences[:_MOST_DIFFERENCES]]
    yield from (safe(f"    {text}") for text in told)
    if len(item.differences) > len(told):
        yield f"    and {len(item.differences) - len(told):,} more"
    for place in item.unsure[:_MOST_UNSURE]:
        yield safe(f"  not followed: {place.file}:{place.line} {_name(place.symbol)}: {place.reason}")
    if len(item.unsure) > _MOST_UNSURE:
        yield f"  and {len(item.unsure) - _MOST_UNSURE:,} more places that cannot be followed"


def _cause(cause: Cause, path: str, diff: bool, colour: bool) -> Iterator[str]:
    """A type whose code changed: where it comes in, and each change."""
    yield safe(f"  {path} -> {short(cause.type)}:" if path else f"  {short(cause.type)}:")
    if not cause.changes:
        yield "    its code changed; what it was is not recorded"
    for change in cause.changes:
        yield safe(f"    {change.file}:{change.line} {_name(change.symbol)} {change.kind}")
        if diff and change.diff:
            yield from (f"      {_painted(line, colour)}" for line in change.diff.split("\n"))


def _painted(line: str, colour: bool) -> str:
    text = safe(line.expandtabs(4))
    start = _COLOURS.get(line[:1]) if colour and not line.startswith(("+++", "---")) else None
    return f"{start}{text}\x1b[0m" if start else text


def _made(row: Row, origin: Any) -> str:
    """When and where a result was computed."""
    text = f"computed {_when(row)} in {duration(row.duration)}"
    if origin.get("host"):
        text += f" on {origin['host']}"
    if origin.get("git_commit"):
        text += f", commit {str(origin['git_commit'])[:12]}"
        text += " with uncommitted changes" if origin.get("git_dirty") else ""
    return text


def _when(row: Row) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.started_at))


def _name(symbol: str) -> str:
    """A symbol's name without its module; what importing the module does, in words."""
    name = symbol.partition(":")[2]
    return "the module's import" if name == "<import>" else name


def as_json(item: Explanation, explainer: Explainer) -> dict[str, Any]:
    """An explanation as documented."""
    version, params = explainer.parameters(item.key)
    known = explainer.known
    return {
        "key": item.key,
        "type": short(item.type),
        "params": params,
        "code_version": version,
        "state": item.state,
        "reason": item.reason,
        "action": item.action,
        "result": _result(item.row, item.origin) if item.row else None,
        "causes": [
            {"type": cause.type, "path": path, "changes": [_change(change) for change in cause.changes]}
            for cause, path in item.causes
        ],
        "nearest": {"key": item.nearest.key, "started_at": utc(item.nearest.started_at)} if item.nearest else None,
        "differences": [difference_json(each, known) for each in item.differences],
        "unsure": [_unsure(place) for place in item.unsure],
    }


def _result(row: Row, origin: Any) -> dict[str, Any]:
    names = ("host", "user", "git_commit", "git_dirty", "labtech", "python")
    return {
        "started_at": utc(row.started_at),
        "duration_seconds": row.duration,
        **{name: origin.get(name) for name in names},
    }


def _change(change: Change) -> dict[str, Any]:
    place = {"file": change.file, "line": change.line}
    return {"symbol": change.symbol, "kind": change.kind, **place, "diff": change.diff}


def _unsure(place: Unsure) -> dict[str, Any]:
    return {"symbol": place.symbol, "file": place.file, "line": place.line, "reason": place.reason}
