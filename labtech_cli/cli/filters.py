"""Which results of a storage are meant: by key, type, parameters, age and status."""

from __future__ import annotations

import json
import operator
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from labtech_cli.core.codec import present_params
from labtech_cli.errors import ConfigError, did_you_mean
from labtech_cli.store.storage import Row, Storage

STATUSES = ("current", "stale", "orphaned")
_CONDITION = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*(==|!=|<=|>=|=|<|>)\s*(?![=<>!])(\S.*?)\s*$", re.DOTALL)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)
_MISSING = object()
INLINE_LEVELS = 3


@dataclass(slots=True)
class Filters:
    """What `cache ls` and `cache rm` were asked for."""

    names: Sequence[str] = ()
    where: Sequence[str] = ()
    older_than: str | None = None
    statuses: Sequence[str] = ()
    _conditions: list[tuple[list[str], Callable[[Any, Any], bool], Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for text in self.where:
            found = _CONDITION.match(text)
            if found is None:
                raise ConfigError(f"--where '{text}' is not a condition", hint="write for example 'n_estimators>5'")
            self._conditions.append((found[1].split("."), _OPERATORS[found[2]], _value(found[3])))

    def select(self, catalogue: Catalogue) -> list[Row]:
        """The results that match everything asked."""
        rows = catalogue.rows
        if self.names:
            rows = self._named(rows)
        if self.older_than is not None:
            oldest = time.time() - seconds_of(self.older_than, "--older-than")
            rows = [row for row in rows if row.started_at < oldest]
        if self.statuses:
            rows = [row for row in rows if catalogue.status(row) in self.statuses]
        for path, compare, value in self._conditions:
            rows = [row for row in rows if _holds(compare, catalogue.parameter(row, path), value)]
        return rows

    def _named(self, rows: list[Row]) -> list[Row]:
        """Rows whose key starts with, or whose type is, one of the names. An unknown name is an error."""
        chosen: dict[str, Row] = {}
        for name in self.names:
            by_type = [row for row in rows if name in (row.type, short(row.type))]
            by_key = [row for row in rows if row.key.startswith(name)] if is_key(name) else []
            if not by_type and len(by_key) > 1:
                keys = ", ".join(row.key[: len(name) + 4] for row in by_key[:5])
                raise ConfigError(f"key '{name}' is ambiguous: {len(by_key)} results", hint=f"go on with {keys}")
            if not by_type and not by_key:
                hint = did_you_mean(name, {short(row.type) for row in rows})
                raise ConfigError(f"no result has the key or type '{name}'", hint=hint)
            chosen.update({row.key: row for row in by_type or by_key})
        return [row for row in rows if row.key in chosen]


class Catalogue:
    """A storage's listing, with parameters and, where the modules are at hand, statuses."""

    def __init__(self, storage: Storage, types: dict[str, Any] | None = None, modules: Iterable[str] = ()) -> None:
        self.rows = list(storage.rows())
        self._storage = storage
        self._types = types
        self._modules = {*modules, *map(module_of, types or ())}
        self._described: dict[str, tuple[str, str | None, str]] | None = None
        self._checked = "", False

    def status(self, row: Row) -> str:
        """`current`, `stale` (another code_version) or `orphaned` (no such type); `unknown` without modules.

        `damaged` is a result whose description cannot be read.
        """
        if not self._readable(row.params):
            return "damaged"
        if self._types is None:
            return "unknown"
        kind = self._types.get(row.type)
        if kind is None:
            return "orphaned" if module_of(row.type) in self._modules else "unknown"
        return "current" if row.code_version == kind.code_version else "stale"

    def as_json(self, row: Row) -> dict[str, Any]:
        """A row as documented: the task, its result's metadata, and where it came from."""
        return {
            "key": row.key,
            "type": short(row.type),
            "params": self.params(row.params),
            "code_version": row.code_version,
            "started_at": _utc(row.started_at),
            "duration_seconds": row.duration,
            "size_bytes": row.size,
            "status": self.status(row),
            "provenance": {"module": module_of(row.type), "format": row.format},
        }

    def params(self, text: str, levels: int = INLINE_LEVELS) -> dict[str, Any]:
        """Parameters with nested tasks inline, as `core.present.params_json` gives them."""

        def inline(key: str) -> Any:
            kind, _, params = self._task(key)
            shown = {"type": short(kind), "key": key}
            return {**shown, "params": self.params(params, levels - 1)} if levels > 0 and params else shown

        try:
            found = present_params(text, inline)
        except _UNREADABLE:
            found = {}
            self._checked = text, False
        else:
            self._checked = text, True  # so that the status of the same row need not read it again
        return found

    def _readable(self, text: str) -> bool:
        """Whether parameters are as `core.codec` writes them; in a damaged or foreign entry they are not."""
        if self._checked[0] != text:
            try:
                present_params(text, str)
                self._checked = text, True
            except _UNREADABLE:
                self._checked = text, False
        return self._checked[1]

    def parameter(self, row: Row, path: Sequence[str]) -> Any:
        """The value at a dotted path, followed into nested tasks; a marker of its own where there is none."""
        if not self._readable(row.params):
            return _MISSING
        value: Any = json.loads(row.params)
        for name in path:
            if isinstance(value, dict) and "$task" in value:
                value = json.loads(self._task(value["$task"])[2] or "{}")
            elif isinstance(value, dict) and "$dict" in value:
                value = value["$dict"]
            if isinstance(value, list) and name.isdigit() and int(name) < len(value):
                value = value[int(name)]
            elif isinstance(value, dict) and name in value:
                value = value[name]
            else:
                return _MISSING
        return _scalar(value, self._task)

    def _task(self, key: str) -> tuple[str, str | None, str]:
        if self._described is None:
            self._described = self._storage.described()
        return self._described.get(key, ("unknown", None, ""))


def short(type_name: str) -> str:
    """A task type's name without its module, as far as the text tells: the part from the first capital on."""
    parts = type_name.split(".")
    for position, part in enumerate(parts[1:], 1):
        if part[:1].isupper():
            return ".".join(parts[position:])
    return parts[-1]


def module_of(type_name: str) -> str:
    """The module part of a task type's name (see `short`)."""
    return type_name.removesuffix(short(type_name)).rstrip(".")


def is_key(text: str) -> bool:
    """Whether `text` may be the beginning of a cache key."""
    return bool(re.fullmatch(r"[0-9a-f]{4,32}", text))


def seconds_of(text: str, option: str) -> float:
    """A duration such as `90s`, `15m`, `2h`, `7d` in seconds."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text)
    if found is None or found[2] not in _UNITS:
        raise ConfigError(f"{option} '{text}' is not a duration", hint="write for example 90s, 15m, 2h or 7d")
    return float(found[1]) * _UNITS[found[2]]


def types_of(modules: Iterable[Any]) -> dict[str, Any]:
    """The task types of modules, by name."""
    found = {}
    for module in modules:
        stack = [value for value in vars(module).values() if isinstance(value, type)]
        while stack:
            kind = stack.pop().__dict__.get("__labtech__")
            if kind is not None and kind.name not in found:
                found[kind.name] = kind
                stack.extend(value for value in vars(kind.cls).values() if isinstance(value, type))
    return found


def _value(text: str) -> Any:
    """A condition's value: a number, true, false, null, a quoted string, or the text itself."""
    named = {"None": None, "none": None, "True": True, "False": False, "nan": "nan"}
    if text in named:
        return named[text]
    try:
        return json.loads(text)
    except ValueError:
        return text.strip("'\"")


def _scalar(value: Any, task: Callable[[str], tuple[str, str | None, str]]) -> Any:
    if isinstance(value, dict) and "$task" in value:
        return short(task(value["$task"])[0])
    if isinstance(value, dict) and "$enum" in value:
        return value["name"]
    if isinstance(value, dict) and "$float" in value:
        return float(value["$float"])
    return value


def _holds(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    if left is _MISSING:
        return False
    try:
        return bool(compare(left, right))
    except TypeError:
        return False


def _utc(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
