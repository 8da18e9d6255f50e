"""One value that somebody gave to a key: converted, checked, and sure of where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from labtech_cli.errors import ConfigError
from labtech_cli.project.document import KeyPath
from labtech_cli.project.settings import BY_KEY, FREE_TABLES, Refused, Setting, from_text, shown


class Origin(NamedTuple):
    """Where a value was given: as `Config.source` says it, as an error says it, and its folder."""

    source: str
    where: str
    base: Path


class Given(NamedTuple):
    """A converted value that one layer gives to a key; with `inner`, to a part of a table of the context."""

    table: str
    name: str
    value: Any
    origin: Origin
    inner: KeyPath = ()

    @property
    def key(self) -> str:
        return f"{self.table}.{self.name}"


def give(setting: Setting, name: str, value: object, origin: Origin, inner: KeyPath = ()) -> Given:
    """The value converted; an error names the place it was given at."""
    table = setting.key if setting.key in FREE_TABLES else setting.table
    try:
        return Given(table, name, setting.value_of(value, origin.base), origin, inner)
    except Refused as refused:
        hint = refused.hint or _quotes_hint(setting, value)
        raise _bad_value(setting, f"{table}.{name}", value, origin, hint) from None


def _bad_value(setting: Setting, key: str, value: object, origin: Origin, hint: str | None) -> ConfigError:
    return ConfigError(f"{origin.where}: {key} must be {setting.allowed}, not {shown(value)}", hint=hint)


def _quotes_hint(setting: Setting, value: object) -> str | None:
    if setting.kind is str and not isinstance(value, (str, dict, list)):
        return "put it in quotes"
    if isinstance(value, str) and isinstance(from_text(setting.kind, value, quotes=False), setting.kind):
        return "write it without quotes" if setting.kind is not str else None
    return None


def check(given: Given) -> None:
    """Raise `ConfigError` where the setting refuses the value."""
    setting = BY_KEY.get(given.key)
    if setting is None or setting.check is None:
        return
    try:
        setting.check(given.value)
    except Refused as refused:
        raise _bad_value(setting, given.key, given.value, given.origin, refused.hint) from None
