"""Parameters as text that a storage keeps, typed and readable without the user's code.

JSON in which a nested task is `{"$task": key}`, an enum member `{"$enum": type, "name": name}`, and a
number JSON cannot hold `{"$float": ...}` or `{"$int": hex}`. Reading it back gives the same values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from frozendict import frozendict

from labtech_cli.core.key import enum_name, member_name
from labtech_cli.core.present import json_int

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_PLAIN = frozenset({str, bool, type(None)})
_INT_LIMIT = 1 << 63  # larger ones have no bound on their decimal digits


def encode_params(task: Any) -> str:
    """The parameters of `task` as one line of text."""
    values = {}
    for name in type(task).__labtech__.parameters:
        value = getattr(task, name)
        values[name] = value if type(value) in _PLAIN else encode_value(value)
    return write_params(values)


def write_params(values: Mapping[str, Any]) -> str:
    """The text of parameters that are encoded already."""
    text = _dump(values)
    return text if text.isascii() else _storable(text)


def read_params(text: str) -> dict[str, Any]:
    """The parameters as they are encoded in `text`: JSON, with tasks and enum members as the objects above."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise Undecodable("stored parameters are not a table")
    return values


def _storable(text: str) -> str:
    """Lone surrogates cannot be stored as UTF-8: escape them the way JSON does."""
    return "".join(f"\\u{ord(char):04x}" if 0xD800 <= ord(char) <= 0xDFFF else char for char in text)


def encode_value(value: Any) -> Any:
    """One value as a task keeps it (see `core.key.freeze`), as the JSON that stands for it."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -_INT_LIMIT < value < _INT_LIMIT else {"$int": format(value, "x")}
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if kind is tuple:
        return [encode_value(item) for item in value]
    if kind is frozendict:
        encoded = {name: encode_value(item) for name, item in value.items()}
        return {"$dict": encoded} if any(name.startswith("$") for name in encoded) else encoded
    if isinstance(value, Enum):
        return {"$enum": enum_name(kind), "name": member_name(value)}
    return {"$task": value._labtech_key}


class Undecodable(Exception):
    """A stored parameter no longer means anything: its enum, or a task in it, is gone."""


def decode_params(
    text: str, resolve_task: Callable[[str], Any], resolve_enum: Callable[[str, str], Any]
) -> dict[str, Any]:
    """The parameters by name; `resolve_task(key)` and `resolve_enum(type, name)` give the objects."""

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return tuple([decode(item) for item in value])
        if not isinstance(value, dict):
            return value
        if "$task" in value:
            return resolve_task(value["$task"])
        if "$enum" in value:
            return resolve_enum(value["$enum"], value["name"])
        if "$float" in value:
            return float(value["$float"])
        if "$int" in value:
            return int(value["$int"], 16)
        return frozendict({name: decode(item) for name, item in value.get("$dict", value).items()})

    return {name: decode(value) for name, value in read_params(text).items()}


def present_params(text: str, inline: Callable[[str], Any]) -> dict[str, Any]:
    """The parameters as JSON for people and programs: enum members by name, tasks as `inline(key)`."""

    def show(value: Any) -> Any:
        if isinstance(value, list):
            return [show(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$task" in value:
            return inline(value["$task"])
        if "$enum" in value:
            return value["name"]
        if "$float" in value:
            return value["$float"]
        if "$int" in value:
            return json_int(int(value["$int"], 16))
        return {name: show(item) for name, item in value.get("$dict", value).items()}

    return {name: show(value) if isinstance(value, (list, dict)) else value for name, value in json.loads(text).items()}
