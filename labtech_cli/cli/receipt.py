"""The document that says where a result comes from, read as what it is: text that somebody else wrote."""

from __future__ import annotations

import json
import shlex
from typing import Any

from labtech_cli.report.words import one_line

_LONGEST, _MOST = 1 << 20, 1_000  # characters of a document; items of a list
_TEXTS = ("host", "user", "platform", "python", "labtech", "git_commit", "folder")


def origin_of(text: str | None) -> dict[str, Any] | None:
    """What a document tells of a result's origin; fields that it lacks, or that are odd, are null.

    None where there is no document, or it is not one of ours.
    """
    if text is None or len(text) > _LONGEST:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    packages, arguments, dirty = found.get("packages"), found.get("argv"), found.get("git_dirty")
    return {
        **{name: _text(found.get(name)) for name in _TEXTS},
        "git_dirty": dirty if isinstance(dirty, bool) else None,
        "packages": _table(packages) if isinstance(packages, dict) else {},
        "argv": [str(_text(item)) for item in arguments[:_MOST]] if isinstance(arguments, list) else [],
    }


def told(origin: dict[str, Any]) -> dict[str, str]:
    """The same for people: a short line for each field that says something."""
    if not origin:
        return {}
    lines = {name: str(value) for name, value in origin.items() if isinstance(value, str)}
    if origin["git_commit"] and origin["git_dirty"]:
        lines["git_commit"] += " (and changes)"
    lines["packages"] = ", ".join(f"{name} {version}" for name, version in origin["packages"].items())
    lines["argv"] = shlex.join(origin["argv"])
    return {name: one_line(line, 400) for name, line in lines.items() if line}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _table(values: dict[str, Any]) -> dict[str, str]:
    items = list(values.items())[:_MOST]
    return {name: version for name, version in items if isinstance(version, str)}
