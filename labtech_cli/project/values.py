"""Text from the command line made into parameter values, by the annotation of the parameter.

A plain `str` takes the text literally; everything else is typed by the annotation or, without one,
as a TOML value if it is one. Text in double quotes is always a string, so `int | str` can be given `"1"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, time
from enum import Enum
from typing import Any, get_args, get_origin

from labtech_cli.core.task import Task, is_task
from labtech_cli.errors import TargetError, did_you_mean
from labtech_cli.project.annotations import expectation, kind_of, members, plain
from labtech_cli.project.literals import BRACKETS, NOTHING, Bare, structured, toml_value, unquoted
from labtech_cli.project.usercode import UserCodeError

Resolve = Callable[[str], Any]
"""A target's text -> the task it names, or the list of tasks."""
Reader = Callable[[Any, Any, Resolve], Any]

_FILE_TARGET = re.compile(r"[^\s:\[\]{}\"']+\.py:[\w.]+")
_BOOLS = {"true": True, "True": True, "false": False, "False": False}


class _Mismatch(Exception):
    """A value is not what the annotation asks for, `steps` inside it."""

    def __init__(self, annotation: Any, got: Any, hint: str | None = None) -> None:
        super().__init__(hint)
        self.annotation, self.got, self.hint = annotation, got, hint
        self.steps: list[str] = []


def convert(text: str, annotation: Any, resolve_target: Resolve, *, name: str = "value") -> Any:
    """The value that `text` gives a parameter called `name`. Raises `TargetError`.

    `resolve_target` turns the text of a target into the task, or the list of tasks, that it names.
    """
    if plain(annotation) is str:
        return text
    try:
        return _read(unquoted(text), annotation, resolve_target)
    except _Mismatch as error:
        at = f" at {''.join(error.steps)}" if error.steps else ""
        got = f"'{error.got}'" if isinstance(error.got, str) else repr(error.got)
        raise TargetError(
            f"parameter '{name}': expected {expectation(error.annotation)}{at}, not {got}", hint=error.hint
        ) from None
    except RecursionError:
        raise TargetError(f"parameter '{name}': the value is nested too deeply", hint="use fewer levels") from None
    except TargetError as error:
        error.message = f"parameter '{name}': {error.message}"
        raise


def _read(value: Any, annotation: Any, resolve: Resolve) -> Any:
    annotation = plain(annotation)
    return _READERS[kind_of(annotation)](value, annotation, resolve)


def _none(value: Any, annotation: Any, resolve: Resolve) -> None:
    if value is not None and not (type(value) is Bare and value == "None"):
        raise _Mismatch(None, value, "write None")


def _bool(value: Any, annotation: Any, resolve: Resolve) -> bool:
    if type(value) is bool:
        return value
    if type(value) is Bare and value in _BOOLS:
        return _BOOLS[value]
    raise _Mismatch(annotation, value, "write true or false")


def _int(value: Any, annotation: Any, resolve: Resolve) -> int:
    if type(value) is int:
        return value
    if type(value) is Bare:
        for base in (10, 0):
            try:
                return int(value, base)
            except ValueError:
                continue
    raise _Mismatch(annotation, value, "give a whole number")


def _float(value: Any, annotation: Any, resolve: Resolve) -> float:
    if type(value) in (int, float, Bare):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise _Mismatch(annotation, value, "give a number")


def _str(value: Any, annotation: Any, resolve: Resolve) -> str:
    if not isinstance(value, str):
        raise _Mismatch(annotation, value, f'write it in quotes: "{value}"')
    return str(value)


def _enum(value: Any, annotation: type[Enum], resolve: Resolve) -> Any:
    if isinstance(value, str):
        name = value.removeprefix(f"{annotation.__name__}.")
        if name in annotation.__members__:
            return annotation.__members__[name]
        raise _Mismatch(annotation, value, did_you_mean(name, annotation.__members__))
    raise _Mismatch(annotation, value, did_you_mean("", annotation.__members__))


def _literal(value: Any, annotation: Any, resolve: Resolve) -> Any:
    choices = get_args(annotation)
    for member in choices:
        try:
            same = _read(value, type(member), resolve)
        except _Mismatch:
            continue
        if type(same) is type(member) and same == member:
            return member
    names = [member.name if isinstance(member, Enum) else str(member) for member in choices]
    raise _Mismatch(annotation, value, did_you_mean(str(value), names))


_ORDER = ("none", "literal", "bool", "int", "float", "enum", "task", "mapping", "items", "str", "any")


def _union(value: Any, annotation: Any, resolve: Resolve) -> Any:
    choices = sorted(members(annotation), key=lambda member: _ORDER.index(kind_of(member)))
    refused: list[_Mismatch] = []
    for member in choices:
        try:
            return _read(value, member, resolve)
        except _Mismatch as error:
            refused.append(error)
        except TargetError as error:
            broken = isinstance(error, UserCodeError) or _FILE_TARGET.fullmatch(str(value))
            if broken or not {"str", "any"} & {kind_of(item) for item in choices}:
                raise
    deepest = max(refused, key=lambda error: len(error.steps))
    if deepest.steps:
        raise deepest
    hints = [error.hint for error in refused if error.hint and kind_of(error.annotation) in ("enum", "literal")]
    raise _Mismatch(annotation, value, hints[0] if hints else refused[-1].hint)


def _task(value: Any, annotation: Any, resolve: Resolve) -> Any:
    found = value
    if not is_task(value):
        if not isinstance(value, str) or value.lstrip()[:1] in ("", *BRACKETS):
            raise _Mismatch(annotation, value, "name a target, such as experiments.py:NAME")
        found = resolve(str(value))
    if not is_task(found):
        raise _Mismatch(annotation, value, "it names several tasks: name one")
    wanted = get_origin(annotation) or annotation
    every = wanted is Task or getattr(wanted, "_is_protocol", False)  # what no isinstance can tell
    if not every and not isinstance(found, wanted):
        raise _Mismatch(annotation, value, f"it names a task of type {type(found).__qualname__}")
    return found


def _items(value: Any, annotation: Any, resolve: Resolve) -> Any:
    given = _opened(value, annotation, resolve)
    if not isinstance(given, (list, tuple, set, frozenset)):
        raise _Mismatch(annotation, value, "write it as TOML or JSON, for example [1, 2]")
    kind, wanted = get_origin(annotation) or annotation, get_args(annotation)
    if kind is tuple and wanted and wanted[-1] is not ... and len(wanted) != len(given):
        raise _Mismatch(annotation, value, f"give exactly {len(wanted)} values")
    each = wanted if kind is tuple and wanted and wanted[-1] is not ... else [*wanted[:1], Any][:1] * len(given)
    items = [
        _inside(f"[{position}]", item, inner, resolve)
        for position, (item, inner) in enumerate(zip(given, each, strict=True))
    ]
    return kind(items) if kind in (tuple, set, frozenset) else items


def _mapping(value: Any, annotation: Any, resolve: Resolve) -> dict[Any, Any]:
    given = _opened(value, annotation, resolve)
    if not isinstance(given, Mapping):
        raise _Mismatch(annotation, value, 'write it as TOML or JSON, for example {"a": 1}')
    inner = (*get_args(annotation), Any, Any)[1] if get_args(annotation) else Any
    return {key: _inside(f"[{key!r}]", item, inner, resolve) for key, item in given.items()}


def _opened(value: Any, annotation: Any, resolve: Resolve) -> Any:
    """The list or dict that a text writes, or that the target it names gives."""
    if not isinstance(value, str):
        return value
    parsed = structured(value) if type(value) is Bare else NOTHING
    if parsed is not NOTHING:
        return parsed
    of_tasks = any(kind_of(plain(inner)) == "task" for inner in get_args(annotation))
    return resolve(str(value)) if (":" in value or of_tasks) and value[:1] not in BRACKETS else value


def _inside(step: str, value: Any, annotation: Any, resolve: Resolve) -> Any:
    try:
        return _read(value, annotation, resolve)
    except _Mismatch as error:
        error.steps.insert(0, step)
        raise


def _any(value: Any, annotation: Any, resolve: Resolve) -> Any:
    """Without an annotation: None, true, false, a target in a file, a TOML value, else the text."""
    if isinstance(value, str) and _FILE_TARGET.fullmatch(value):
        return resolve(str(value))
    if type(value) is Bare:
        if value == "None" or value in _BOOLS:
            return _BOOLS.get(value)
        parsed = toml_value(value)
        parsed = structured(value) if parsed is NOTHING else parsed
        return str(value) if parsed is NOTHING or isinstance(parsed, (date, time)) else _any(parsed, Any, resolve)
    if isinstance(value, (list, tuple)):
        return [_inside(f"[{position}]", item, Any, resolve) for position, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {key: _inside(f"[{key!r}]", item, Any, resolve) for key, item in value.items()}
    return value.isoformat() if isinstance(value, (date, time)) else value


_READERS: dict[str, Reader] = {
    "none": _none,
    "literal": _literal,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "enum": _enum,
    "task": _task,
    "mapping": _mapping,
    "items": _items,
    "str": _str,
    "any": _any,
    "union": _union,
}
