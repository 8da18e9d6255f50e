"""The tables of a configuration file and of its profiles -> values; unknown keys and tables are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labtech_cli.errors import ConfigError, did_you_mean
from labtech_cli.project.document import Document, KeyPath
from labtech_cli.project.given import Given, Origin, give
from labtech_cli.project.settings import FREE_TABLES, SETTINGS, TABLES, shown


def from_file(document: Document | None) -> list[Given]:
    """What the tables of a configuration file set, profiles aside."""
    return list(_read_tables(document, (), document.tables)) if document else []


def from_profile(document: Document | None, chosen: str | None, chosen_by: str) -> list[Given]:
    """The values of the chosen profile; the other profiles are checked all the same."""
    profiles: dict[str, Any] = document.tables.get("profiles", {}) if document else {}
    layers = {}
    for name, tables in profiles.items():
        assert document is not None
        at = ("profiles", name)
        _need_table(document, at, tables)
        layers[name] = list(_read_tables(document, at, tables))
    if chosen is not None and chosen not in layers:
        place = f"{document.shown} has no profile" if document else "there is no configuration file with a profile"
        raise ConfigError(f"{chosen_by}: {place} '{chosen}'", hint=did_you_mean(chosen, layers))
    return layers[chosen] if chosen is not None else []


def _read_tables(document: Document, at: KeyPath, tables: Mapping[str, Any]) -> Iterator[Given]:
    """The values in the tables of the file (`at` is empty) or of a profile, unknown keys refused."""
    known = (*TABLES, "context", "targets", *(() if at else ("profiles",)))
    for name, entries in tables.items():
        path = (*at, name)
        if name not in known:
            raise _unknown_table(document, path, entries, known)
        _need_table(document, path, entries)
        if name == "context":
            yield from _read_context(document, path, entries)
        elif name != "profiles":
            yield from _read_table(document, path, name, entries)


def _read_context(document: Document, path: KeyPath, entries: Mapping[str, Any]) -> Iterator[Given]:
    loaders = entries.get("loaders", {})
    inner = (*path, "loaders")
    _need_table(document, inner, loaders)
    for name in loaders:
        if name in entries:
            raise ConfigError(
                f"{document.where((*inner, name))}: '{name}' is in {document.title(inner)} "
                f"and in {document.title(path)}",
                hint="give it a value or a loader, not both",
            )
    plain = {name: value for name, value in entries.items() if name != "loaders"}
    yield from _read_table(document, path, "context", plain)
    yield from _read_table(document, inner, "context.loaders", loaders)


def _read_table(document: Document, path: KeyPath, table: str, entries: Mapping[str, Any]) -> Iterator[Given]:
    for name, value in entries.items():
        full = (*path, name)
        setting = FREE_TABLES.get(table) or TABLES[table].get(name)
        if setting is None:
            raise ConfigError(
                f"{document.where(full)}: {document.title(path)} has no key {name!r}",
                hint=_key_hint(name, table),
            )
        source = f"{document.path.name}:{document.line(full)}"
        if path[0] == "profiles":
            source = f"profile {path[1]} ({source})"
        yield give(setting, name, value, Origin(source, document.where(full), document.path.parent))


def _need_table(document: Document, path: KeyPath, value: object) -> None:
    if not isinstance(value, dict):
        raise ConfigError(
            f"{document.where(path)}: '{'.'.join(path)}' must be a table, not {shown(value)}",
            hint=f"write {document.title(path)} on a line of its own, and its keys below",
        )


def _unknown_table(document: Document, path: KeyPath, value: object, known: Sequence[str]) -> ConfigError:
    name = path[-1]
    hint = did_you_mean(name, known)
    if isinstance(value, dict):
        return ConfigError(f"{document.where(path)}: there is no table {document.title(path)}", hint=hint)
    homes = [setting.table for setting in SETTINGS if setting.name == name]
    if homes:
        hint = f"write it below {document.title((*path[:-1], homes[0]))}"
    return ConfigError(f"{document.where(path)}: there is no key {name!r} outside a table", hint=hint)


def _key_hint(name: str, table: str) -> str:
    homes = [f"[{setting.table}]" for setting in SETTINGS if setting.name == name]
    return f"'{name}' belongs in {homes[0]}" if homes else did_you_mean(name, TABLES[table])
