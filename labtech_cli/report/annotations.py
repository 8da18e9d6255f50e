"""Type annotations as people read them: `list[Task] | None`, without the names of modules."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

from labtech_cli.core.task import TaskType


def parameter_text(kind: TaskType, name: str) -> str:
    """The annotation of a parameter; one written as text that does not resolve stays as written."""
    field = vars(kind.cls)["__dataclass_fields__"][name]
    # the field object is shared by all that inherit it: the last of them is where it was written
    owner = [base for base in kind.cls.__mro__ if _fields(base).get(name) is field][-1]
    module = sys.modules.get(owner.__module__)
    return type_text(_resolved(field.type, vars(module) if module else {}, vars(owner)))


def result_text(kind: TaskType) -> str:
    """What `run()` is annotated to return, or nothing."""
    try:
        run = inspect.unwrap(kind.cls.run)  # type: ignore[attr-defined]
        hints = inspect.get_annotations(run)
    except Exception:  # not a plain function, or annotations that cannot be evaluated
        return ""
    if "return" not in hints:
        return ""
    return type_text(_resolved(hints["return"], getattr(run, "__globals__", {}), vars(kind.cls)))


def type_text(hint: Any) -> str:
    """An annotation as people write it: no module names, `X | None` for an optional."""
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(hint, (str, ForwardRef)):
        return _without_modules(hint if isinstance(hint, str) else hint.__forward_arg__)
    if isinstance(hint, list):
        return f"[{', '.join(map(type_text, hint))}]"
    if hint is ...:
        return "..."
    if hint is None or hint is NoneType:
        return "None"
    if origin is Union or origin is UnionType:
        return " | ".join(map(type_text, args))
    if origin is Annotated:
        return type_text(args[0])
    if origin is Literal:
        return f"Literal[{', '.join(map(_literal_text, args))}]"
    if origin is not None and args:
        return f"{type_text(origin)}[{', '.join(map(type_text, args))}]"
    for named in (hint,) if origin is None else (origin, hint):
        name = getattr(named, "__qualname__", None) or getattr(named, "__name__", None)
        if isinstance(name, str):
            return name.rpartition("<locals>.")[2]
    return _without_modules(repr(hint))


def _fields(base: type) -> Mapping[str, Any]:
    found: Mapping[str, Any] = vars(base).get("__dataclass_fields__", {})
    return found


def _resolved(hint: Any, module: Mapping[str, Any], owner: Mapping[str, Any]) -> Any:
    """A textual annotation evaluated where it was written; a class's own names come second."""
    for names in ({}, owner) if isinstance(hint, str) else ():
        with suppress(Exception):
            return eval(hint, dict(module), names)
    return hint


def _literal_text(value: Any) -> str:
    return f"{type(value).__qualname__}.{value.name}" if isinstance(value, Enum) else repr(value)


def _without_modules(text: str) -> str:
    """`np.ndarray` as `ndarray`; text with quotes is left alone, for its dots may mean anything."""
    text = " ".join(text.split())
    return text if set(text) & {"'", '"'} else re.sub(r"\b(?:[a-z_][a-z0-9_]*\.)+(?=\w)", "", text)
