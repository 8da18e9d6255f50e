"""A task's result as rows of a table: its parameters beside the scalars of the result.

Results are anybody's objects. Nothing here imports their packages or trusts them: they are known by
attributes alone, and one that misbehaves becomes the name of its type.
"""

from __future__ import annotations

import dataclasses
import re
import reprlib
from collections import Counter
from collections.abc import Mapping, Set
from datetime import date, time, timedelta
from enum import Enum
from numbers import Number
from pathlib import PurePath
from typing import Any, Final

from labtech_cli.core.present import flatten, params_json, render
from labtech_cli.core.task import is_task

WIDTH: Final = 60
"""Characters of the text that stands for a value that is no scalar."""
_MOST_COLUMNS: Final = 200  # a longer mapping is data, not a set of measures
_DEEPEST: Final = 8
_MOST_BITS: Final = 2_000  # longer whole numbers may not be written in decimal: a limit of Python
_SIZED: Final = (bytes, bytearray, list, tuple, Mapping, Set)
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


def result_rows(task: Any, result: Any) -> list[dict[str, Any]]:
    """The rows that show `result`, with columns in the order they came. Never raises for odd results.

    - A scalar is the column `result`; a mapping, dataclass or named tuple is a column per item,
      dotted where nested; what has no scalars is `describe`d in the column `result`.
    - A list of such mappings is a row each.
    - A mapping from tasks is a row per task: `type`, that task's parameters, and its value.

    A column of the result whose name a parameter has already gets the prefix `result.`.
    """
    per_task = _by_task(result)
    if per_task is not None:
        return [_merged(_merged({"type": _label(key)}, _params(key), "params."), _columns(value), "result.")
                for key, value in per_task]  # fmt: skip
    params = _params(task)
    items = list(result) if type(result) in (list, tuple) else []
    if items and all(_items(item) is not None for item in items):
        return [_merged(params, _columns(item), "result.") for item in items]
    return [_merged(params, _columns(result), "result.")]


def describe(value: Any, width: int = WIDTH) -> str:
    """A value in one line of at most `width` characters: `ndarray float64 (1797, 10)`, `DataFrame 100x4`."""
    name = type(value).__name__
    try:
        text = _description(value, name, width)
        text = " ".join(_ADDRESS.sub("", text).split()) if not isinstance(value, str) else text
    except Exception:  # a foreign __repr__, __len__ or property
        text = f"<{name}>"
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _description(value: Any, name: str, width: int) -> str:
    if is_task(value):
        return render(value, width)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"{name} of {value.bit_length()} bits"
    shape = _attribute(value, "shape")
    if isinstance(shape, tuple) and all(type(size) is int for size in shape):
        dtype = _attribute(value, "dtype")
        if dtype is None or _attribute(value, "columns") is not None:
            return f"{name} {'x'.join(map(str, shape))}"
        return f"{name} {dtype} {tuple(shape)}"
    if type(value) in (list, tuple, dict, set, frozenset):
        return _Brief(width).repr(value)
    return f"{name} of {len(value)}" if isinstance(value, _SIZED) else repr(value)


class _Brief(reprlib.Repr):
    """Containers in a few words: the first items, each of them described."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 10
        self.width = width

    def repr_instance(self, x: Any, level: int) -> str:
        return describe(x, self.width)


def _columns(result: Any) -> dict[str, Any]:
    items = _items(result)
    return _flat(items, "", (id(result),)) if items else {"result": _cell(result)}


def _flat(items: list[tuple[str, Any]], prefix: str, path: tuple[int, ...]) -> dict[str, Any]:
    """Dotted columns; `path` has the containers around `items`, for some contain themselves."""
    flat: dict[str, Any] = {}
    for name, value in items:
        nested = _items(value) if len(path) < _DEEPEST and id(value) not in path else None
        column = prefix + name
        flat.update(_flat(nested, f"{column}.", (*path, id(value))) if nested else {column: _cell(value)})
    return flat


def _items(value: Any) -> list[tuple[str, Any]] | None:
    """The named parts of a mapping, a dataclass or a named tuple; None for all else."""
    try:
        if is_task(value) or isinstance(value, type):
            return None
        if isinstance(value, Mapping):
            if len(value) > _MOST_COLUMNS:
                return None
            return [(key if type(key) is str else str(_cell(key)), part) for key, part in value.items()]
        if dataclasses.is_dataclass(value):
            return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        if isinstance(value, tuple) and isinstance(names := getattr(value, "_fields", None), tuple):
            return list(zip(names, value, strict=True))
    except Exception:  # a foreign mapping or property
        pass
    return None


def _by_task(result: Any) -> list[tuple[Any, Any]] | None:
    """The items of a mapping whose keys are all tasks."""
    try:
        if isinstance(result, Mapping) and result and all(map(is_task, result)):
            return list(result.items())
    except Exception:  # a foreign mapping
        pass
    return None


def _cell(value: Any) -> Any:
    """A value as None, a bool, number or text: itself where it is a scalar, else its description."""
    if value is None or type(value) is bool:
        return value
    try:
        return _scalar(value)
    except Exception:  # no scalar, or a foreign one that misbehaves
        return describe(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if _attribute(value, "shape") == () and callable(_attribute(value, "item")):  # of numpy, torch, ...
        value = value.item()
    if type(value) is bool:
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MOST_BITS else describe(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (timedelta, Number, PurePath)):
        return str(value)
    raise TypeError(type(value).__name__)


def _params(task: Any) -> dict[str, Any]:
    return {name: _tasks_in_words(value) for name, value in flatten(params_json(task)).items()}


def _tasks_in_words(value: Any) -> Any:
    """A list of tasks as how many there are of each type; anything else as it is."""
    if type(value) is not list or not value:
        return value
    types = [item.get("type") if type(item) is dict and "key" in item else None for item in value]
    if not all(types):
        return value
    return ", ".join(f"{count} {name}" for name, count in Counter(types).items())


def _merged(left: Mapping[str, Any], right: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Both, where a column of `right` whose name is taken gets a prefix."""
    return {**left, **{prefix + name if name in left else name: value for name, value in right.items()}}


def _label(task: Any) -> str:
    return str(type(task).__labtech__.label)


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # a foreign property
        return None
