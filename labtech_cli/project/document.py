"""The configuration file: found, read, and each of its keys with its line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labtech_cli.errors import ConfigError

NAMES = ("labtech.toml", "pyproject.toml")
KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file; `inside` is the table its settings are in, `lines` where each key is."""

    path: Path
    shown: str
    inside: KeyPath
    tables: dict[str, Any]
    lines: dict[KeyPath, int] = field(repr=False)

    def line(self, path: KeyPath) -> int:
        """The line a key is on, or that of the nearest table around it."""
        full = self.inside + path
        return next((self.lines[full[:n]] for n in range(len(full), 0, -1) if full[:n] in self.lines), 1)

    def where(self, path: KeyPath) -> str:
        """`../labtech.toml:3`, for an error message."""
        return f"{self.shown}:{self.line(path)}"

    def title(self, path: KeyPath) -> str:
        """`[profiles.cluster.lab]`, as it is written in this file."""
        return f"[{'.'.join(self.inside + path)}]"


def find_document(start: Path) -> Document | None:
    """The nearest configuration file in `start` or a folder above it.

    `labtech.toml` comes before a `pyproject.toml` beside it, and a `pyproject.toml` without
    `[tool.labtech]` is passed over.
    """
    for folder in (start, *start.parents):
        for name in NAMES:
            path = folder / name
            if os.path.isfile(path):
                document = read_document(path, start)
                if document is not None:
                    return document
    return None


def open_document(path: Path, start: Path, origin: str) -> Document:
    """The file that `origin` (`--config`, `LABTECH_CONFIG`) names."""
    path = Path(os.path.abspath(start / os.path.expanduser(path)))
    if not path.exists():
        raise ConfigError(
            f"{origin}: there is no file '{_shown(path, start)}'",
            hint="check the path, or run 'labtech init'",
        )
    if path.is_dir():
        raise ConfigError(
            f"{origin}: '{_shown(path, start)}' is a folder", hint=f"name the file in it: '{path / NAMES[0]}'"
        )
    document = read_document(path, start)
    if document is None:
        raise ConfigError(
            f"{origin}: {_shown(path, start)} has no [tool.labtech]",
            hint="add the table, or name another file",
        )
    return document


def read_document(path: Path, start: Path) -> Document | None:
    """A configuration file, or None for a `pyproject.toml` that says nothing about labtech."""
    shown = _shown(path, start)
    in_pyproject = path.name == "pyproject.toml"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{shown}: cannot be read: {(error.strerror or str(error)).lower()}",
            hint="make it readable, or name another file with --config",
        ) from error
    if in_pyproject and b"labtech" not in data:
        return None
    text = _decoded(data, shown)
    tables = _parsed(text, shown)
    inside: KeyPath = ("tool", "labtech") if in_pyproject else ()
    lines = key_lines(text)
    for name in inside:
        if name not in tables:
            return None
        tables = tables[name]
        if not isinstance(tables, dict):
            line = lines.get(inside, lines.get(inside[:1], 1))
            raise ConfigError(f"{shown}:{line}: '{name}' must be a table", hint="write [tool.labtech.lab]")
    return Document(path, shown, inside, tables, lines)


def _shown(path: Path, start: Path) -> str:
    """The path as seen from the working directory, or whole where that is shorter."""
    return min(os.path.relpath(path, start), str(path), key=len)


def _decoded(data: bytes, shown: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{shown}:{line}: not UTF-8 text", hint="save the file as UTF-8") from error


def _parsed(text: str, shown: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        message = str(error)
        place = re.search(r"\s*\(at line (\d+), column (\d+)\)$", message)
        line = int(place[1]) if place else text.count("\n") + (not text.endswith("\n"))
        what = message[: place.start()] if place else message.removesuffix(" (at end of document)")
        column = f" at column {place[2]}" if place else ""
        raise ConfigError(
            f"{shown}:{line}: not valid TOML{column}: {what[:1].lower()}{what[1:]}",
            hint="text needs quotes, and each key a line of its own",
        ) from error


_TOKEN = re.compile(
    r'''
      (?P<skip>[ \t\r]+|\#[^\n]*)
    | (?P<newline>\n)
    | (?P<text>"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})|"(?:[^"\\]|\\.)*"|'[^']*')
    | (?P<mark>[=\[\]{},.])
    | (?P<bare>[^\s=\[\]{},.\#"']+)
    ''',
    re.VERBOSE | re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line each key and table of a valid TOML text is first written on; `tomllib` tells none.

    Dotted and quoted keys, inline tables and arrays of tables (all of one array share a path) are followed.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    around: list[tuple[str, KeyPath]] = []  # the open brackets, each with the table its keys are in
    key: list[str] = []
    in_key, path = True, table
    for kind, token, line in _tokens(text):
        if kind == "newline":
            if not around:
                key, in_key = [], True
        elif token == "=" and in_key:
            path = (around[-1][1] if around else table) + tuple(key)
            _note(lines, path, line)
            key, in_key = [], False
        elif in_key and kind in ("text", "bare"):
            key.append(tomllib.loads(f"key = {token}")["key"] if kind == "text" else token)
        elif in_key and token == "]" and key:
            table = tuple(key)
            _note(lines, table, line)
            key = []
        elif not in_key and kind == "mark" and token in "[{":
            around.append((token, path))
            in_key = token == "{"
        elif around and kind == "mark" and token in "]}":
            path = around.pop()[1]
            in_key = False
        elif token == "," and around:
            in_key = around[-1][0] == "{"
    return lines


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "skip":
            yield kind, match[0], line
        line += match[0].count("\n")


def _note(lines: dict[KeyPath, int], path: KeyPath, line: int) -> None:
    for length in range(1, len(path) + 1):
        lines.setdefault(path[:length], line)
