"""Which results of a storage are meant: by key, type, parameters, age and status."""

from __future__ import annotations

import json
import math
import operator
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labtech_cli.cli.catalogue import MISSING, Catalogue, short
from labtech_cli.core.units import DURATIONS, SIZES, to_bytes, to_seconds
from labtech_cli.errors import ConfigError, did_you_mean
from labtech_cli.store.records import Row

STATUSES = ("current", "stale", "orphaned")
_CONDITION = re.compile(r"^\s*([^\W\d][\w.]*)\s*(==|!=|<=|>=|=|<|>)\s*(?![=<>!])(\S.*?)\s*$", re.DOTALL)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class _Condition(NamedTuple):
    """One condition on a parameter."""

    path: list[str]
    compare: Callable[[Any, Any], bool]
    value: Any
    text: str
    """The value as it was given."""

    def holds(self, found: Any) -> bool:
        """Whether it holds of a value. As two tasks differ by `True` and 1, so do values here; numbers are numbers."""
        value = self.value
        if found is MISSING:
            return False
        if isinstance(found, str) and isinstance(value, float) and not math.isfinite(value):
            value = self.text  # a text may be "nan"
        if isinstance(found, bool) != isinstance(value, bool):
            return self.compare is operator.ne
        if found != found and value != value:
            return self.compare is operator.eq  # nan, which Python holds to differ from itself
        try:
            return bool(self.compare(found, value))
        except TypeError:
            return False


@dataclass(slots=True)
class Filters:
    """Which results a command was asked for."""

    names: Sequence[str] = ()
    where: Sequence[str] = ()
    older_than: str | None = None
    statuses: Sequence[str] = ()
    _conditions: list[_Condition] = field(default_factory=list)

    def __post_init__(self) -> None:
        for text in self.where:
            found = _CONDITION.match(text)
            if found is None:
                raise ConfigError(f"--where '{text}' is not a condition", hint="write for example 'n_estimators>5'")
            self._conditions.append(_Condition(found[1].split("."), _OPERATORS[found[2]], _value(found[3]), found[3]))

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
        return [row for row in rows if self.holds(catalogue, row)] if self._conditions else rows

    def holds(self, catalogue: Catalogue, row: Row) -> bool:
        """Whether all conditions on parameters hold."""
        return all(condition.holds(catalogue.parameter(row, condition.path)) for condition in self._conditions)

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


def is_key(text: str) -> bool:
    """Whether `text` may be the beginning of a cache key."""
    return bool(re.fullmatch(r"[0-9a-f]{1,32}", text))


def seconds_of(text: str, option: str) -> float:
    """The value of an option that takes a duration, in seconds."""
    try:
        return to_seconds(text)
    except ValueError:
        raise ConfigError(f"{option} '{text}' is not a duration", hint=DURATIONS) from None


def bytes_of(text: str, option: str) -> int:
    """The value of an option that takes a size, in bytes."""
    try:
        return to_bytes(text)
    except ValueError:
        raise ConfigError(f"{option} '{text}' is not a size", hint=SIZES) from None


def _value(text: str) -> Any:
    """A condition's value: a number, nan and inf included, true, false, null, a quoted string, or the text itself."""
    named = {"None": None, "none": None, "True": True, "False": False}
    if text in named:
        return named[text]
    if _NOT_FINITE.fullmatch(text):
        return float(text)
    try:
        return json.loads(text)
    except ValueError:
        return text.strip("'\"")
