"""Values from outside the file: the environment and the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labtech_cli.errors import ConfigError, did_you_mean, nearest
from labtech_cli.project.document import KeyPath
from labtech_cli.project.given import Given, Origin, give
from labtech_cli.project.settings import (
    BY_KEY,
    BY_VARIABLE,
    FREE_TABLES,
    OTHER_VARIABLES,
    SETTINGS,
    Setting,
    from_text,
)


def from_environment(environ: Mapping[str, str], start: Path) -> Iterator[Given]:
    """What `LABTECH_...` variables set; paths are relative to `start`."""
    for variable, setting in BY_VARIABLE.items():
        text = environ.get(variable)
        if text:  # an empty variable is as good as none
            origin = Origin(f"environment {variable}", f"{variable}={text}", start)
            yield give(setting, setting.name, from_text(setting.kind, text, quotes=False), origin)


def from_set(text: str, start: Path) -> Given:
    """One `-s KEY=VALUE`: the value as TOML, else as the bare text it is."""
    key, equals, value = text.partition("=")
    where = f"-s {text}"
    if not equals:
        raise ConfigError(f"{where}: must be KEY=VALUE", hint="for example -s lab.workers=4")
    setting, name, inner = _locate(key.strip(), where)
    origin = Origin("command line", where, start)
    return give(setting, name, from_text(setting.kind, value.strip(), quotes=True), origin, inner)


def from_options(overrides: Mapping[str, Any], start: Path) -> Iterator[Given]:
    """What options of their own set, such as `--workers`; None means not given."""
    for key, value in overrides.items():
        if value is None:
            continue
        option = "--" + key.removeprefix("lab.").replace("_", "-")
        setting, name, inner = _locate(key, option)
        origin = Origin("command line", option, start)
        yield give(setting, name, os.fspath(value) if isinstance(value, Path) else value, origin, inner)


def _locate(key: str, where: str) -> tuple[Setting, str, KeyPath]:
    """The setting a key of the command line means, the name it gets and the place inside its value."""
    if key in BY_KEY:
        return BY_KEY[key], BY_KEY[key].name, ()
    for table in ("context.loaders", "targets"):
        if key.startswith(f"{table}.") and key != f"{table}.":
            return FREE_TABLES[table], key.removeprefix(f"{table}."), ()
    first, *rest = key.split(".")
    if first == "context" and rest and all(rest) and rest[0] != "loaders":
        return FREE_TABLES["context"], rest[0], tuple(rest[1:])
    short = [setting for setting in SETTINGS if setting.name == key]
    if len(short) == 1:
        return short[0], key, ()
    if short:
        raise ConfigError(
            f"{where}: '{key}' is short for more than one key",
            hint=did_you_mean(key, [setting.key for setting in short]),
        )
    close = nearest(key, (*BY_KEY, *(setting.name for setting in SETTINGS)))
    hint = f"did you mean '{close}'?" if close else did_you_mean(key, (*BY_KEY, "context.NAME"), most=12)
    raise ConfigError(f"{where}: there is no setting {key!r}", hint=hint)


def near_misses(environ: Mapping[str, str]) -> list[str]:
    """A warning for each variable that is nearly one of ours; other tools may share the prefix."""
    prefix = "LABTECH_"
    known = {name.removeprefix(prefix): name for name in (*BY_VARIABLE, *OTHER_VARIABLES)}
    warnings = []
    for variable in sorted(environ):
        rest = variable.removeprefix(prefix)
        if variable.startswith(prefix) and rest not in known and (close := nearest(rest, known)):
            warnings.append(f"the environment variable {variable} is not used; did you mean {known[close]}?")
    return warnings
