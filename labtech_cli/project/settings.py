"""The table of settings: what each is called, what it may be, and what it is when nobody says.

A new setting is one line of `SETTINGS` (and one of `labtech.toml.example`). Everything else follows
from it: the key in the file and in profiles, the variable `LABTECH_...`, `-s KEY=VALUE`, the errors.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labtech_cli.core.needs import is_device
from labtech_cli.core.units import DURATIONS, SIZES, to_bytes, to_seconds
from labtech_cli.errors import did_you_mean

RUNNERS = ("process", "spawn", "fork", "fork-per-task", "thread", "serial")
RUNNER_PLUGINS = "labtech.runners"  # the entry point group in which other packages name theirs

Convert = Callable[[Any, Path], Any]
"""A value of the right kind, and the folder its relative paths start from -> the value to use."""


class Refused(ValueError):
    """A value that a setting cannot have, with a hint where there is one."""

    def __init__(self, hint: str | None = None) -> None:
        super().__init__(hint)
        self.hint = hint


def as_it_is(value: Any, base: Path) -> Any:
    """No conversion."""
    return value


def text(value: str, base: Path) -> str:
    """Any text but the empty one."""
    if not value.strip():
        raise Refused
    return value


def at_least(least: int) -> Convert:
    """A number that is not below `least`."""

    def convert(value: int, base: Path) -> int:
        if value < least:
            raise Refused
        return value

    return convert


def duration(value: str, base: Path) -> str:
    """A text such as "2h"; it stays text."""
    try:
        seconds = to_seconds(value)
    except ValueError:
        raise Refused(DURATIONS) from None
    if not seconds:
        raise Refused(DURATIONS)
    return value


def memory(value: str, base: Path) -> str:
    """A text such as "16GB"; it stays text."""
    try:
        if not to_bytes(value):
            raise ValueError(value)
    except ValueError:
        raise Refused(SIZES) from None
    return value


def devices(value: list[Any], base: Path) -> list[Any]:
    """GPUs by number or UUID, each once."""
    if not all(map(is_device, value)):
        raise Refused("write for example [0, 1]")
    if len({str(item) for item in value}) < len(value):
        raise Refused("name each once")
    return value


def storage(value: str, base: Path) -> str:
    """A folder, made absolute; "none", a URL and "package.module:attribute" stay as they are."""
    text(value, base)
    if value == "none" or "://" in value or _is_attribute(value):
        return value
    return absolute(value, base)


def tracking_uri(value: str, base: Path) -> str:
    """An MLflow URI; the path of a `sqlite:///` URI, or a mere path, is made absolute."""
    text(value, base)
    sqlite = re.fullmatch(r"(sqlite(?:\+\w+)?:///)(?![/:])([^?]+)(\?.*)?", value)
    if sqlite:
        return f"{sqlite[1]}{absolute(sqlite[2], base)}{sqlite[3] or ''}"
    if ":" in value or value in ("databricks", "databricks-uc", "uc"):
        return value
    return absolute(value, base)


def loader(value: str, base: Path) -> str:
    """ "package.module:attribute"."""
    if not _is_attribute(value):
        file = re.fullmatch(r"([\w/]+)\.py:(\w+)", value)
        raise Refused(f"write '{file[1].replace('/', '.')}:{file[2]}'" if file else None)
    return value


def target(value: str, base: Path) -> str:
    """ "FILE.py:NAME", the file made absolute, or "package.module:NAME"."""
    file, colon, name = value.rpartition(":")
    if colon and file.endswith(".py") and _is_dotted(name):
        return f"{absolute(file, base)}:{name}"
    return loader(value, base)


def known_runner(name: str) -> None:
    """Refuses the name of a runner that is neither ours nor any installed package's."""
    if name in RUNNERS or _is_attribute(name):
        return
    from importlib.metadata import entry_points  # slow to import, and needed for unknown names only

    plugins = {plugin.name for plugin in entry_points(group=RUNNER_PLUGINS)}
    if name not in plugins:
        raise Refused(did_you_mean(name, (*RUNNERS, *plugins)))


def one_of(*choices: str) -> Convert:
    """A text that must be one of a few."""

    def convert(value: Any, base: Path) -> str:
        if value not in choices:
            raise Refused(did_you_mean(value, choices))
        return str(value)

    return convert


def absolute(path: str, base: Path) -> str:
    """A path from `base`, absolute and tidy; `~` is the home folder."""
    return os.path.abspath(os.path.join(base, os.path.expanduser(path)))


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _is_attribute(value: str) -> bool:
    module, colon, name = value.partition(":")
    return bool(colon) and _is_dotted(module) and _is_dotted(name)


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the configuration: the kind of its value, what is allowed in words, and its default."""

    key: str
    kind: type
    allowed: str
    default: Any = None
    convert: Convert = as_it_is
    check: Callable[[Any], None] | None = None
    """Looks at the value that wins only: a profile for another machine may name what is not here."""

    @property
    def table(self) -> str:
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        return self.key.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """The environment variable that sets it: LABTECH_WORKERS, LABTECH_MLFLOW_EXPERIMENT."""
        return "LABTECH_" + self.key.removeprefix("lab.").replace(".", "_").upper()

    def value_of(self, value: object, base: Path) -> Any:
        """The value to use, or `Refused`."""
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is int):
            raise Refused
        return self.convert(value, base)


ON_CODE_CHANGE = ("warn", "rerun", "ignore", "error")  # results whose code has changed since
SETTINGS = (
    Setting("lab.storage", str, "a folder, a URL or 'none'", "labtech_storage", storage),
    Setting("lab.workers", int, "a whole number, at least 1", None, at_least(1)),
    Setting("lab.runner", str, "a runner or 'package.module:attribute'", "process", text, known_runner),
    Setting("lab.keep_going", bool, "true or false", False),
    Setting("lab.retries", int, "a whole number, at least 0", 0, at_least(0)),
    Setting("lab.retry_delay", str, "a duration such as '1s'", "1s", duration),
    Setting("lab.timeout", str, "a duration such as '2h'", None, duration),
    Setting("lab.keep_runs", int, "a whole number, at least 0", 1000, at_least(0)),
    Setting("lab.on_code_change", str, "warn, rerun, ignore or error", "warn", one_of(*ON_CODE_CHANGE)),
    Setting("resources.cpus", int, "a whole number, at least 1", None, at_least(1)),
    Setting("resources.memory", str, "a size such as '16GB'", None, memory),
    Setting("resources.gpus", list, "a list of the numbers or UUIDs of GPUs", None, devices),
    Setting("resources.enforce_memory", bool, "true or false", False),
    Setting("mlflow.tracking_uri", str, "the URI of an MLflow tracking server or database", None, tracking_uri),
    Setting("mlflow.experiment", str, "the name of an MLflow experiment", None, text),
)

FREE_TABLES = {
    "context": Setting("context", object, "a value"),
    "context.loaders": Setting("context.loaders", str, "'package.module:attribute'", None, loader),
    "targets": Setting("targets", str, "'FILE.py:NAME' or 'package.module:NAME'", None, target),
}
"""Tables whose keys the user chooses, and what each value in them must be."""


def settings_by_table() -> Mapping[str, Mapping[str, Setting]]:
    """`{"lab": {"workers": ...}}`."""
    tables: dict[str, dict[str, Setting]] = {}
    for setting in SETTINGS:
        tables.setdefault(setting.table, {})[setting.name] = setting
    return tables


TABLES = settings_by_table()
BY_KEY = {setting.key: setting for setting in SETTINGS}
BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
OTHER_VARIABLES = (
    "LABTECH_CONFIG",
    "LABTECH_PROFILE",
    "LABTECH_SIGNING_KEY",
    "LABTECH_HOST",
    "LABTECH_TRUST_LOCKS",
)
"""Variables of ours that are not settings."""

_BOOLEANS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def from_text(kind: type, given: str, *, quotes: bool) -> object:
    """What a user typed for a value of this kind; with `quotes`, text may be quoted as in TOML.

    What cannot be understood stays text, for the setting to refuse.
    """
    if kind is bool:
        return _BOOLEANS.get(given.strip().lower(), given)
    if kind is str and not (quotes and given[:1] in ("'", '"')):
        return given
    try:
        read = tomllib.loads(f"value = {given}")
    except ValueError:
        return given
    return read["value"] if list(read) == ["value"] else given


def shown(value: object) -> str:
    """A value in an error message; text is quoted and told from numbers, long things are cut or named."""
    if isinstance(value, str):
        return f"the text {value[:60] + '…' if len(value) > 60 else value!r}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    return "an array" if isinstance(value, list) else str(value)
