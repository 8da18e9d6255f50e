"""Rows and documents written for people and programs: tables, JSON, JSON lines, CSV, Markdown.

Whatever the format, no control character of a value reaches a terminal, JSON has no NaN, and no text
is too odd for the encoding of the stream.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, TextIO

from labtech_cli.errors import ConfigError, did_you_mean

FORMATS: Final = ("table", "json", "jsonl", "csv", "md")
_WIDEST: Final = 500  # characters of a cell in a table; the other formats have all of them
_NARROWEST: Final = 12  # characters a column keeps on a terminal that is too narrow
# Controls, line separators, marks that reorder text, and surrogates.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_UNSAFE_JSON: Final = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", ""))
_NOT_ASCII: Final = re.compile("[^\x00-\x7e]")
_MARKDOWN: Final = re.compile(r"[\\|*`\[~]|(?<!\w)_|_(?!\w)")
_NUMBERS: Final = ("nan", "inf", "-inf")  # as `core.present` writes the numbers JSON does not have
_ATOMS: Final = frozenset((str, int, bool, type(None)))


def write_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None,
    format: str,
    stream: TextIO,
    *,
    schema: str,
    key: str,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write `rows` in one of `FORMATS`.

    `columns` says which are shown, and in what order, in a table, CSV and Markdown; None is all of
    them (see `merged_columns`). JSON has the whole rows: `{"schema": ..., **extra, key: [...]}`, or a
    row a line, each with its `schema` (a row's own column of that name becomes `row.schema`).
    """
    if format not in FORMATS:
        raise ConfigError(f"there is no format '{format}'", hint=did_you_mean(format, FORMATS))
    if format == "json":
        write_json({"schema": schema, **(extra or {}), key: list(rows)}, stream)
    elif format == "jsonl":
        lines = ({"row.schema" if name == "schema" else name: row[name] for name in row} for row in rows)
        stream.writelines(_json({"schema": schema, **line}, stream, None) + "\n" for line in lines)
    else:
        names = list(columns) if columns is not None else merged_columns(rows)
        text = _WRITERS[format](rows, names, stream) if names else ""
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def merged_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """All columns of `rows`; one that only some rows have stands before what follows it in those."""
    names: list[str] = []
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        columns = tuple(row)
        if columns in seen:
            continue
        seen.add(columns)
        following = None  # the nearest column to the right that is known already
        for name in reversed(columns):
            if name not in names:
                names.insert(len(names) if following is None else names.index(following), name)
            following = name
    return names


def write_json(document: Any, stream: TextIO) -> None:
    """Write one document: indented on a terminal, on one line elsewhere."""
    stream.write(_json(document, stream, 2 if stream.isatty() else None) + "\n")


def write_objects(objects: Iterable[str], format: str, stream: TextIO, *, schema: str, key: str) -> None:
    """Rows that are JSON objects in text already, as `write_rows` would write them in `json` or `jsonl`."""
    head = json.dumps(schema)
    if format == "jsonl":
        stream.writelines(f'{{"schema":{head},{_safe_json(text, stream)[1:]}\n' for text in objects)
        return
    stream.write(f'{{"schema":{head},{json.dumps(key)}:[')
    separator = ""
    for text in objects:
        stream.write(separator + _safe_json(text, stream))
        separator = ","
    stream.write("]}\n")


def plain(value: Any) -> Any:
    """A value as JSON has it: enum members by name, numbers it lacks and foreign objects as text."""
    if type(value) in _ATOMS:
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, (dict, Mapping)):
        return {str(name): item if type(item) in _ATOMS else plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _json(document: Any, stream: TextIO, indent: int | None) -> str:
    separators = (",", ":") if indent is None else (",", ": ")
    return _safe_json(json.dumps(plain(document), ensure_ascii=False, indent=indent, separators=separators), stream)


def _safe_json(text: str, stream: TextIO) -> str:
    """JSON text in which what a terminal would obey, and what the stream cannot encode, is escaped."""
    if text.isascii() and "\x7f" not in text:
        return text
    unicode = (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")
    return (_UNSAFE_JSON if unicode else _NOT_ASCII).sub(_escape_json, text)


def _escape_json(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def safe(text: str) -> str:
    """Text in which what a terminal would obey is escaped."""
    return text if text.isprintable() else _UNSAFE.sub(_escape, text)


def _exact(value: Any) -> str:
    """A cell's text without loss; nothing for None."""
    if type(value) in _ATOMS or type(value) is float:
        return "" if value is None else str(value)
    shown = plain(value)
    return json.dumps(shown, ensure_ascii=False) if isinstance(shown, (dict, list)) else str(shown)


def _short(value: Any) -> str:
    """A cell's text for people: six significant digits are enough."""
    return safe(f"{value:.6g}" if isinstance(value, float) else _exact(value))


def _is_numeric(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a column has numbers and nothing else: it is aligned to the right."""
    values = [value for row in rows if (value := row.get(name)) is not None]
    return bool(values) and all(map(_is_number, values))


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value in _NUMBERS
    return isinstance(value, (int, float)) and type(value) is not bool


def _csv(rows: Sequence[Mapping[str, Any]], names: Sequence[str], stream: TextIO) -> str:
    """Line breaks and tabs within a value are data here, in quotes; other controls are escaped."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for line in [names, *([_exact(row.get(name)) for name in names] for row in rows)]:
        writer.writerow([_UNSAFE.sub(lambda m: m[0] if m[0] in "\n\t" else _escape(m), cell) for cell in line])
    return buffer.getvalue()


def _markdown(rows: Sequence[Mapping[str, Any]], names: Sequence[str], stream: TextIO) -> str:
    rules = ["---:" if _is_numeric(rows, name) else "---" for name in names]
    header = [_markdown_text(name) for name in names]
    body = [[_markdown_text(_short(row.get(name))) for name in names] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in [header, rules, *body])


def _markdown_text(text: str) -> str:
    text = _MARKDOWN.sub(r"\\\g<0>", safe(text))
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _table(rows: Sequence[Mapping[str, Any]], names: Sequence[str], stream: TextIO) -> str:
    numeric = [_is_numeric(rows, name) for name in names]
    lines = [[safe(name) for name in names]]
    cells = [[_short(row.get(name)) or "-" for name in names] for row in rows]
    lines += [[text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…" for text in line] for line in cells]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return _rich(lines, numeric, widths, stream)
    return "".join(_aligned(line, numeric, widths) + "\n" for line in lines)


def _aligned(line: Sequence[str], numeric: Sequence[bool], widths: Sequence[int]) -> str:
    cells = []
    for text, right, width in zip(line, numeric, widths, strict=True):
        gap = " " * (width - _width(text))
        cells.append(gap + text if right else text + gap)
    return "  ".join(cells).rstrip()


def _rich(lines: list[list[str]], numeric: list[bool], widths: list[int], stream: TextIO) -> str:
    """The table with a bold header, folded into the terminal as far as columns stay readable."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, right in zip(lines[0], numeric, strict=True):
        table.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    console = Console(file=stream, highlight=False)
    console.width = max(console.width, sum(min(width, _NARROWEST) + 2 for width in widths))
    with console.capture() as captured:
        console.print(table, crop=False)
    return captured.get()


def _width(text: str) -> int:
    """The columns of a terminal that `text` takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


_WRITERS: Final = {"table": _table, "csv": _csv, "md": _markdown}
