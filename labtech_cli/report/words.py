"""Numbers and foreign text as people read them: durations, sizes, counts, and output made harmless."""

from __future__ import annotations

import re
from typing import Any

from labtech_cli.core.present import render
from labtech_cli.core.units import duration as duration
from labtech_cli.core.units import size as size

LABEL = 60  # characters of a task's label
LINE = 2_000  # characters of a line that a task printed


def rough(seconds: float) -> str:
    """A duration that is only a guess, in one unit while that says enough: `40 s`, `3 min`, `2 h 4 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5_370 else duration(round(seconds / 60) * 60)


def count(many: int, noun: str, plural: str | None = None) -> str:
    """`1 task`, `1,234 tasks`."""
    return f"{many:,} {noun if many == 1 else plural or noun + 's'}"


def label(task: Any, limit: int = LABEL) -> str:
    """A task in one short line."""
    return render(task, limit)


_SEQUENCES = re.compile(
    r"\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # titles, links
    r"|\x1b[PX^_][^\x1b\n]*(?:\x1b\\)?"  # device control and other strings
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours, cursor movements
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def lines(text: str) -> list[str]:
    """The lines of foreign `text`, without anything that would move a cursor, colour or reorder.

    Of a line that was overwritten in place (a progress bar that uses carriage returns) the last state stays.
    """
    if not text.isprintable():
        text = _SEQUENCES.sub("", text)
        text = "\n".join([line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")])
        text = _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text)).expandtabs(8)
    found = text.split("\n")
    return found[:-1] if not found[-1] else found


def shortened(line: str) -> str:
    """A line as far as a person reads it."""
    return line if len(line) <= LINE else f"{line[:LINE]}… and {len(line) - LINE:,} more characters"


def one_line(text: str, limit: int = 200) -> str:
    """The first line of foreign `text`, made harmless and cut to `limit` characters."""
    first = next((line for line in lines(text) if line.strip()), "")
    return first if len(first) <= limit else first[: limit - 1] + "…"
