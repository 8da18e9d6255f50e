"""A storage's listing, with parameters and, where the modules are at hand, statuses. Never unpickles."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from labtech_cli.core.codec import from_text, present_params
from labtech_cli.recorded import Recorded, live_code
from labtech_cli.report.tables import plain
from labtech_cli.store.records import Row
from labtech_cli.store.storage import Storage

_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)
MISSING = object()
"""What `Catalogue.parameter` gives for a path that leads nowhere."""
INLINE_LEVELS = 3
_MOST_INLINED = 10_000
_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Catalogue:
    """A storage's listing, with parameters and, where the modules are at hand, statuses."""

    def __init__(self, storage: Storage, types: dict[str, Any] | None = None, modules: Iterable[str] = ()) -> None:
        self.storage = storage
        self.rows = list(storage.rows())
        self._types = types
        self._modules = {*modules, *map(module_of, types or ())}
        self._described: dict[str, tuple[str, str | None, str]] | None = None
        self._recorded = Recorded(storage)
        self._differ: dict[str, bool] = {}
        self._checked = "", False
        self._inlined: dict[tuple[str, int], dict[str, Any]] = {}
        self._texts: dict[tuple[str | None, ...], tuple[str, str, str]] = {}

    def status(self, row: Row) -> str:
        """`current`, `stale` (another code_version or code) or `orphaned` (no such type); `unknown` without modules.

        `damaged` is a result whose description cannot be read.
        """
        if not self._readable(row.params):
            return "damaged"
        if self._types is None:
            return "unknown"
        kind = self._types.get(row.type)
        if kind is None:
            return "orphaned" if module_of(row.type) in self._modules else "unknown"
        return "stale" if row.code_version != kind.code_version or self._changed(row.code) else "current"

    def _changed(self, code: str | None) -> bool:
        """Whether results of this closure were made by other code than types have now, as far as they are at hand."""
        if code is not None and code not in self._differ:
            named = [name for name, _ in self._recorded.known_closure(code) or ()]
            self._differ[code] = self._recorded.differs(code, live_code(named, self._types or {}))
        return code is not None and self._differ[code]

    def as_json(self, row: Row) -> dict[str, Any]:
        """A row as documented: the task, its result's metadata, and where it came from."""
        return {
            "key": row.key,
            "type": short(row.type),
            "params": self.params(row.params),
            "code_version": row.code_version,
            "started_at": utc(row.started_at),
            "duration_seconds": row.duration,
            "size_bytes": row.size,
            "status": self.status(row),
            "provenance": {**_made(row), "peak_memory_bytes": _whole(row.peak_memory)},
        }

    def as_text(self, row: Row) -> str:
        """`as_json` as one line of JSON: parameters that are plain values stand in it as they are stored."""
        if '"$' in row.params or not self._readable(row.params) or not math.isfinite(row.duration):
            return _dump(plain(self.as_json(row)))
        of_type = row.type, row.code_version, row.format, row.code, row.origin
        if of_type not in self._texts:
            if len(self._texts) >= _MOST_INLINED:
                self._texts.clear()
            self._texts[of_type] = _dump(short(row.type)), _dump(row.code_version), _dump(_made(row))[:-1]
        kind, version, source = self._texts[of_type]
        return (
            f'{{"key":{_dump(row.key)},"type":{kind},"params":{row.params},"code_version":{version},'
            f'"started_at":"{utc(row.started_at)}","duration_seconds":{row.duration!r},"size_bytes":{row.size},'
            f'"status":"{self.status(row)}","provenance":{source},'
            f'"peak_memory_bytes":{_dump(_whole(row.peak_memory))}}}}}'
        )

    def params(self, text: str, levels: int = INLINE_LEVELS) -> dict[str, Any]:
        """Parameters with nested tasks inline, as `core.present.params_json` gives them."""

        try:
            found = present_params(text, lambda key: self._inline(key, levels))
        except _UNREADABLE:
            found = {}
            self._checked = text, False
        else:
            self._checked = text, True  # so that the status of the same row need not read it again
        return found

    def _inline(self, key: str, levels: int) -> dict[str, Any]:
        """A nested task; one that many tasks share is made once."""
        if (key, levels) not in self._inlined:
            if len(self._inlined) >= _MOST_INLINED:
                self._inlined.clear()
            kind, _, params = self._task(key)
            shown: dict[str, Any] = {"type": short(kind), "key": key}
            if levels > 0 and params:
                shown["params"] = self.params(params, levels - 1)
            self._inlined[key, levels] = shown
        return self._inlined[key, levels]

    def _readable(self, text: str) -> bool:
        """Whether parameters are as `core.codec` writes them; in a damaged or foreign entry they are not."""
        if self._checked[0] != text:
            try:
                if '"$' in text or not isinstance(from_text(text), dict):
                    present_params(text, str)
                self._checked = text, True
            except _UNREADABLE:
                self._checked = text, False
        return self._checked[1]

    def parameter(self, row: Row, path: Sequence[str]) -> Any:
        """The value at a dotted path, followed into nested tasks; a marker of its own where there is none."""
        try:
            return self._at(from_text(row.params), path) if self._readable(row.params) else MISSING
        except _UNREADABLE:  # a value, or a task below, that is not as `core.codec` writes it
            return MISSING

    def _at(self, value: Any, path: Sequence[str]) -> Any:
        for name in path:
            if isinstance(value, dict) and "$task" in value:
                value = from_text(self._task(value["$task"])[2] or "{}")
            elif isinstance(value, dict) and "$dict" in value:
                value = value["$dict"]
            if isinstance(value, list) and name.isdigit() and int(name) < len(value):
                value = value[int(name)]
            elif isinstance(value, dict) and name in value:
                value = value[name]
            else:
                return MISSING
        return _scalar(value, self._task)

    def _task(self, key: str) -> tuple[str, str | None, str]:
        if self._described is None:
            self._described = self.storage.described()
        return self._described.get(key, ("unknown", None, ""))


def _made(row: Row) -> dict[str, str | None]:
    """By what a result was made; `code` and `origin` are digests of texts that the storage keeps."""
    return {"module": module_of(row.type), "format": row.format, "code": row.code, "origin": row.origin}


def _whole(number: Any) -> int | None:
    """A number that a foreign storage may have put anything in place of."""
    return number if type(number) is int and number >= 0 else None


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


def _scalar(value: Any, task: Callable[[str], tuple[str, str | None, str]]) -> Any:
    if isinstance(value, dict) and "$task" in value:
        return short(task(value["$task"])[0])
    if isinstance(value, dict) and "$enum" in value:
        return value["name"]
    if isinstance(value, dict) and "$float" in value:
        return float(value["$float"])
    if isinstance(value, dict) and "$int" in value:
        return int(value["$int"], 16)
    return value


def utc(seconds: float) -> str:
    """A time as JSON has it: ISO 8601 with milliseconds, UTC."""
    whole = int(seconds // 1)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=1024)  # results come in bursts: few of a listing's times differ in their seconds
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).replace(tzinfo=None).isoformat()
