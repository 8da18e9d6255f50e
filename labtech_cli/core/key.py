"""Parameters made immutable, encoded canonically, and digested into a cache key.

Two values encode alike exactly when they are the same, typed: `1`, `1.0` and `True` differ, so do
`0.0` and `-0.0`; every `nan` is the same; the order of dict keys does not matter. The encoding does
not depend on the process, the machine or the Python version: each item is a type letter followed by
a fixed or announced length, so no two sequences of items run together.

A nested task is encoded by its key alone. That makes keys Merkle digests: each costs what its own
parameters cost, however deep or shared its dependencies are.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from enum import Enum, Flag
from hashlib import blake2b
from typing import Any

from frozendict import frozendict

from labtech_cli.errors import TaskError
from labtech_cli.names import canonical_module

KEY_BYTES = 16  # 128 bits: a collision by chance needs about 2**64 tasks
_NAN = b"f\x7f\xf8\x00\x00\x00\x00\x00\x00"
_pack_double = struct.Struct(">d").pack


class UnsupportedValue(Exception):
    """A parameter holds a value of a type that has no canonical encoding, `steps` inside it."""

    def __init__(self, value: object, why: str) -> None:
        super().__init__(why)
        self.value, self.why = value, why
        self.steps: list[str] = []

    def under(self, step: str) -> UnsupportedValue:
        self.steps.insert(0, step)
        return self


def encode_str(value: str) -> bytes:
    """`value` as length and UTF-8; lone surrogates are kept."""
    data = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(data), data)


def _encode_float(value: float) -> bytes:
    return _NAN if math.isnan(value) else b"f" + _pack_double(value)


def enum_name(kind: type[Enum]) -> str:
    """The identity of an Enum type: its module and qualified name."""
    return f"{canonical_module(kind.__module__)}.{kind.__qualname__}"


def member_name(member: Enum) -> str:
    """The identity of a member within its Enum type: its name; `A|B` for a combination of flags, its value for none."""
    return member.name if isinstance(member.name, str) else repr(member.value)


def find_member(kind: type[Enum], name: str) -> Enum:
    """The reverse of `member_name`. Raises KeyError for a name that `kind` does not have."""
    if name in kind.__members__ or not issubclass(kind, Flag):
        return kind[name]
    bits = 0
    for part in name.split("|"):
        bits |= int(part, 0) if part[:1].isdigit() else int(kind[part].value)
    try:
        return kind(bits)
    except ValueError:
        raise KeyError(name) from None


_ATOMS: dict[type, Callable[[Any], bytes]] = {
    str: encode_str,
    int: lambda value: b"i%b;" % format(value, "x").encode(),  # hex: no length limit, linear cost
    float: _encode_float,
    bool: lambda value: b"T" if value else b"F",
    type(None): lambda value: b"N",
}


def freeze(value: Any, dependencies: list[Any]) -> tuple[Any, bytes]:
    """`value` as kept by a task (lists as tuples, dicts as frozendicts) and its encoding.

    Tasks found in it are appended to `dependencies`. Raises `UnsupportedValue`.
    """
    kind = type(value)
    atom = _ATOMS.get(kind)
    if atom is not None:
        return value, atom(value)
    if "__labtech__" in kind.__dict__:
        dependencies.append(value)
        return value, b"t" + value._labtech_key.encode()
    if kind is tuple or kind is list:
        return _freeze_items(value, dependencies)
    if isinstance(value, Enum):
        return value, b"e" + encode_str(enum_name(kind)) + encode_str(member_name(value))
    if isinstance(value, (dict, frozendict)):
        return _freeze_dict(value, dependencies)
    return _freeze_subclass(value, kind, dependencies)


def _freeze_items(values: Any, dependencies: list[Any]) -> tuple[Any, bytes]:
    frozen, parts = [], [b"(%d:" % len(values)]
    if values and all(["__labtech__" in kind.__dict__ for kind in set(map(type, values))]):
        # As `freeze` does, without a call for each: aggregates hold many tasks and nothing else.
        dependencies.extend(values)
        return tuple(values), parts[0] + "t".join(["", *[item._labtech_key for item in values]]).encode()
    for position, item in enumerate(values):
        try:
            kept, part = freeze(item, dependencies)
        except UnsupportedValue as error:
            raise error.under(f"[{position}]") from None
        frozen.append(kept)
        parts.append(part)
    return tuple(frozen), b"".join(parts)


def _freeze_dict(values: Mapping[Any, Any], dependencies: list[Any]) -> tuple[Any, bytes]:
    frozen, parts = {}, []
    for name, item in values.items():
        if not isinstance(name, str):
            raise UnsupportedValue(name, "dict keys must be strings").under(f"[{name!r}]")
        name = str.__str__(name)
        try:
            frozen[name], part = freeze(item, dependencies)
        except UnsupportedValue as error:
            raise error.under(f"[{name!r}]") from None
        parts.append(encode_str(name) + part)
    return frozendict(frozen), b"{%d:%b" % (len(parts), b"".join(sorted(parts)))


def _freeze_subclass(value: Any, kind: type, dependencies: list[Any]) -> tuple[Any, bytes]:
    """Subclasses of the plain types (numpy's float64 is a float) become the plain type."""
    if isinstance(value, str):
        plain: Any = str.__str__(value)
    elif isinstance(value, int):
        plain = int.__int__(value)
    elif isinstance(value, float):
        plain = float.__float__(value)
    elif isinstance(value, list):
        plain = list(value)
    elif isinstance(value, tuple) and not hasattr(kind, "_fields"):
        plain = tuple(value)
    else:
        raise UnsupportedValue(value, _why_unsupported(value, kind))
    return freeze(plain, dependencies)


def _why_unsupported(value: object, kind: type) -> str:
    if hasattr(kind, "__labtech__"):
        return "its class extends a task type but is not decorated with @task itself"
    if isinstance(value, type) and "__labtech__" in value.__dict__:
        return "it is a task type, not a task: call it to make one"
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return "convert it to a plain Python value, for example with .item()"
    if isinstance(value, tuple):
        return "the names of a named tuple would be lost: give a dict"
    return (
        "give a str, bool, int, float, None, Enum member, task, or a list, tuple or dict of these; "
        "other objects come from a dependency's result, an Enum or the context"
    )


def encode_fields(type_name: str, parameter: str, value: Any, dependencies: list[Any]) -> tuple[Any, bytes]:
    """`freeze` for one parameter of a task type, with errors that name type, parameter and path."""
    try:
        return freeze(value, dependencies)
    except UnsupportedValue as error:
        path = parameter + "".join(error.steps)
        raise TaskError(
            f"{type_name}: parameter '{parameter}' cannot hold a value of type "
            f"'{type(error.value).__name__}' (at {path})",
            hint=error.why,
        ) from None
    except RecursionError:
        raise TaskError(
            f"{type_name}: parameter '{parameter}' is nested too deeply, or contains itself",
            hint="use fewer levels of list, tuple and dict; nested tasks are not limited",
        ) from None


def type_prefix(type_name: str, code_version: str | None) -> bytes:
    """What every key of a task type starts its digest with."""
    return b"labtech.key/1" + encode_str(type_name) + (b"N" if code_version is None else encode_str(code_version))


def digest(prefix: bytes, parts: list[bytes]) -> str:
    """The cache key: 32 hexadecimal digits."""
    return blake2b(prefix + b"".join(parts), digest_size=KEY_BYTES).hexdigest()
