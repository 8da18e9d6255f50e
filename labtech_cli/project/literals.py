"""Values as they are written on a command line: TOML, JSON or Python; and text that is none of these."""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Callable
from typing import Any, Final

NOTHING: Final = object()
"""What the readers here return for text that does not write a value."""
BRACKETS: Final = ("[", "{", "(")


class Bare(str):
    """Text that was not quoted: it may stand for a number, a list or a target as well as for itself."""


def toml_value(text: str) -> Any:
    """The TOML value that `text` is, the whole of it; `NOTHING` when it is none."""
    try:
        alone, listed = tomllib.loads(f"v = {text}"), tomllib.loads(f"v = [{text}]")
    except (tomllib.TOMLDecodeError, RecursionError):
        return NOTHING
    whole = set(alone) == set(listed) == {"v"} and len(listed["v"]) == 1 and not text.rstrip().endswith(",")
    return alone["v"] if whole else NOTHING


def unquoted(text: str) -> str:
    """What a text in double quotes holds; other text as `Bare`."""
    if text[:1] == '"':
        value = toml_value(text)
        if isinstance(value, str):
            return value
    return Bare(text)


def structured(text: str) -> Any:
    """The list or dict that `text` writes as TOML, JSON or Python; `NOTHING` when it writes none."""
    if text.lstrip()[:1] not in BRACKETS:
        return NOTHING
    readers: tuple[Callable[[str], Any], ...] = (toml_value, json.loads, ast.literal_eval)
    for reader in readers:
        try:
            value = reader(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if value is not NOTHING:
            return value
    return NOTHING
