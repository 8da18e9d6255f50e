"""The configuration: the file, a profile, the environment and the command line, the later the stronger.

Each value knows where it came from, and is converted and checked where it is read, so that an error
can name the place: file and line, variable, or option.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labtech_cli.project.document import Document, KeyPath, find_document, open_document
from labtech_cli.project.given import Given, Origin, check
from labtech_cli.project.outside import from_environment, from_options, from_set, near_misses
from labtech_cli.project.settings import FREE_TABLES, SETTINGS, TABLES
from labtech_cli.project.tables import from_file, from_profile


@dataclass(frozen=True, slots=True)
class Config:
    """The resolved configuration: `config["lab.workers"]` is ready to use, its paths absolute."""

    file: Path | None
    """The file that was found."""
    root: Path
    """Its folder, or the working directory."""
    profile: str | None
    context: dict[str, Any]
    """The plain values of `[context]`."""
    loaders: dict[str, str]
    targets: dict[str, str]
    warnings: list[str]
    _given: Mapping[str, Given] = field(repr=False)

    def __getitem__(self, key: str) -> Any:
        return self._given[key].value

    def source(self, key: str) -> str:
        """Where the value came from: `labtech.toml:12`, `environment LABTECH_WORKERS`, `default`, ..."""
        return self._given[key].origin.source

    def items(self) -> Iterator[tuple[str, Any, str]]:
        """Every setting as (key, value, source); then the context, the loaders and the targets."""
        for key, given in self._given.items():
            yield key, given.value, given.origin.source


def load_config(
    *,
    start: Path | None = None,
    file: Path | None = None,
    profile: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The configuration as seen from the folder `start` (the working directory, unless told).

    `overrides` are values of options by key (None: not given), `sets` the KEY=VALUE of `-s`.
    """
    environ = os.environ if environ is None else environ
    start = Path(os.path.abspath(start or Path.cwd()))
    document = _document(start, file, environ)
    root = document.path.parent if document else start
    chosen = profile or environ.get("LABTECH_PROFILE") or None
    given = _settled(
        [
            *_defaults(root),
            *from_file(document),
            *from_profile(document, chosen, "--profile" if profile else "LABTECH_PROFILE"),
            *from_environment(environ, start),
            *(from_set(text, start) for text in sets),
            *from_options(overrides or {}, start),
        ]
    )
    return Config(
        file=document.path if document else None,
        root=root,
        profile=chosen,
        context={one.name: one.value for one in given if one.table == "context"},
        loaders={one.name: one.value for one in given if one.table == "context.loaders"},
        targets={one.name: one.value for one in given if one.table == "targets"},
        warnings=near_misses(environ),
        _given={one.key: one for one in given},
    )


def _document(start: Path, file: Path | None, environ: Mapping[str, str]) -> Document | None:
    if file is not None:
        return open_document(file, start, "--config")
    if environ.get("LABTECH_CONFIG"):
        return open_document(Path(environ["LABTECH_CONFIG"]), start, "LABTECH_CONFIG")
    return find_document(start)


def _defaults(root: Path) -> Iterator[Given]:
    origin = Origin("default", "default", root)
    for setting in SETTINGS:
        value = setting.default
        yield Given(setting.table, setting.name, None if value is None else setting.value_of(value, root), origin)


def _settled(layers: Sequence[Given]) -> list[Given]:
    """The value that wins for each key: settings first, then the context, the loaders, the targets."""
    won: dict[tuple[str, str], Given] = {}
    rivals = {"context": "context.loaders", "context.loaders": "context"}
    for given in layers:
        before = won.get((given.table, given.name))
        value = _with_part(before.value if before else None, given.inner, given.value)
        won[given.table, given.name] = given._replace(value=value, inner=())
        won.pop((rivals.get(given.table, ""), given.name), None)
    for given in won.values():
        check(given)
    order = [*TABLES, *FREE_TABLES]
    return sorted(won.values(), key=lambda given: order.index(given.table))


def _with_part(old: object, inner: KeyPath, value: Any) -> Any:
    """A copy of the table `old` in which the key at `inner` is `value`."""
    if not inner:
        return value
    table = dict(old) if isinstance(old, dict) else {}
    table[inner[0]] = _with_part(table.get(inner[0]), inner[1:], value)
    return table
