"""What an annotation asks for: which kind of value, and how to say so.

The kinds are `any`, `none`, `literal`, `bool`, `int`, `float`, `enum`, `task`, `mapping`, `items`
(lists, tuples, sets), `str` and `union`. A class that is none of the others is one of tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, Union, get_args, get_origin

SCALARS: Final[dict[Any, str]] = {bool: "bool", int: "int", float: "float", str: "str"}


def expectation(annotation: Any) -> str:
    """What a parameter annotated so takes, in words."""
    annotation = plain(annotation)
    kind = kind_of(annotation)
    if kind == "none":
        return "None"
    if kind == "any":
        return "any value"
    if kind == "union":
        return " or ".join(dict.fromkeys(expectation(member) for member in members(annotation)))
    if kind == "literal":
        return " or ".join(repr(member) for member in get_args(annotation))
    if kind == "enum":
        return f"a member of {annotation.__qualname__}"
    label = annotation.__qualname__ if isinstance(annotation, type) and not get_args(annotation) else ""
    label = label or re.sub(r"\b(?:[a-z_]\w*\.)+(?=\w)", "", str(annotation))
    return f"a {label}" if kind == "task" else label


def plain(annotation: Any) -> Any:
    """The annotation without wrappers that do not change which values it takes."""
    while True:
        if hasattr(annotation, "__supertype__"):  # a NewType
            annotation = annotation.__supertype__
        elif get_origin(annotation) in (Annotated, ClassVar, Final):
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, TypeVar):
            among = annotation.__constraints__
            annotation = Union[among] if among else annotation.__bound__ or Any  # noqa: UP007
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def kind_of(annotation: Any) -> str:
    """The kind of value that a (plain) annotation asks for."""
    if annotation is None or annotation is NoneType:
        return "none"
    origin = get_origin(annotation) or annotation
    if origin is Literal:
        return "literal"
    if origin is Union or origin is UnionType:
        return "union"
    if not isinstance(origin, type) or origin in (object, Any):  # Any is a class from Python 3.11 on
        return "any"
    if origin in SCALARS:
        return SCALARS[origin]
    if issubclass(origin, Enum):
        return "enum"
    if origin.__module__ in ("builtins", "collections", "collections.abc", "frozendict"):
        if issubclass(origin, Iterable):
            return "mapping" if issubclass(origin, Mapping) else "items"
        if origin.__module__ == "collections.abc":
            return "any"
    return "task"


def members(annotation: Any) -> list[Any]:
    """The members of a union, those of unions in it included."""
    found: list[Any] = []
    for member in map(plain, get_args(annotation)):
        found.extend(members(member) if kind_of(member) == "union" else [member])
    return found
