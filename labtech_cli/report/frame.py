"""One frame of the live display: a bar per task type, the active tasks, the whole run.

Pure: from numbers and tasks to lines that are never wider than asked for.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from labtech_cli.core.events import Active
from labtech_cli.report import words
from labtech_cli.report.summary import Tally, TypeCount
from labtech_cli.report.usage import Use

DONE, REST = "━", "─"  # told apart without colour too
TOTAL = "total"
NARROWEST_BAR = 8
WIDEST_BAR = 40
WIDEST_NAME = 40
ROOM_FOR_MORE = 24  # columns beside a bar, for failures or the time left
_JOINERS = re.compile("[\u200d\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
NUMBERS = 60  # columns below which a task's CPU and memory are left out


def frame(
    tally: Tally,
    now: float,
    active: Sequence[Active],
    use: Callable[[int | None], Use | None],
    width: int,
    height: int,
) -> list[Text]:
    """The whole display, at most `width` columns wide, about two thirds of `height` lines high."""
    most = room(height)
    running = oldest(active, most)
    columns = Columns.for_types(tally, width)
    rows = _type_rows(tally, columns, most)
    rows += [_active_row(item, now, use(item.pid), width) for item in running]
    if len(running) < len(active):
        rows.append(Text(f"  … and {len(active) - len(running):,} more", style="dim"))
    rows.append(_total_row(tally, now, columns))
    rows = rows[-max(1, height - 1) :]  # the total is what a tiny terminal has room for
    for row in rows:
        row.truncate(width, overflow="ellipsis")
    return rows


def room(height: int) -> int:
    """How many lines of a terminal the active tasks may take, and the task types."""
    return max(1, (height - 2) // 3)


def oldest(active: Sequence[Active], most: int) -> list[Active]:
    """The tasks that are shown in `most` lines: those that have run longest, with a line for the others."""
    shown = most if len(active) <= most else max(1, most - 1)
    return heapq.nsmallest(shown, active, key=lambda item: item.started)


def fit(text: str, width: int) -> str:
    """`text` in at most `width` columns, cut with an ellipsis; wide characters count as two.

    What joins or colours emoji is left out: terminals disagree on how wide the outcome is.
    """
    if not text.isascii():
        text = _JOINERS.sub("", text)
    if cell_len(text) > width:
        text = set_cell_size(text, max(0, width - 1)).rstrip() + "…"[:width]
    return text


def cut(text: str, width: int) -> str:
    """The same in exactly `width` columns, padded."""
    return set_cell_size(fit(text, width), width)


class Columns(NamedTuple):
    """How wide the parts of a bar's line are."""

    name: int
    bar: int
    done: int

    @classmethod
    def for_types(cls, tally: Tally, width: int) -> Columns:
        """Wide enough for all types, so that the bars stand below each other."""
        names = max([cell_len(name) for name in (TOTAL, *tally.types)])
        name = min(names, WIDEST_NAME, max(8, width // 3))
        done = len(_done(tally.total, tally.total))
        bar = min(WIDEST_BAR, width - name - done - 4 - ROOM_FOR_MORE)
        return cls(name, bar if bar >= NARROWEST_BAR else 0, done)

    def row(self, name: str, done: int, total: int, colour: str) -> Text:
        """A name, a bar, and how many of how many."""
        full = self.bar * min(done, total) // total if total else self.bar
        text = Text(cut(name, self.name) + "  ", no_wrap=True)
        text.append(DONE * full, style=colour)
        text.append(REST * (self.bar - full) + "  " * (self.bar > 0), style="dim")
        text.append(f"{_done(done, total):>{self.done}}")
        return text


def _type_rows(tally: Tally, columns: Columns, most: int) -> list[Text]:
    types = list(tally.types.items())
    shown = types
    if len(types) > most:  # what is in progress is of more interest than what is over or has not begun
        shown = sorted(types, key=lambda item: (item[1].ended >= item[1].total, item[1].ended == 0))
        shown = shown[: max(1, most - 1)]
    rows = [_type_row(name, row, columns) for name, row in shown]
    if len(shown) < len(types):
        rows.append(Text(f"… and {words.count(len(types) - len(shown), 'more type')}", style="dim"))
    return rows


def _type_row(name: str, row: TypeCount, columns: Columns) -> Text:
    text = columns.row(name, row.ended, row.total, "yellow" if row.failed else "green")
    if row.failed:
        text.append(f"  {row.failed:,} failed", style="red")
    if row.loaded:
        text.append(f"  {row.loaded:,} loaded", style="dim")
    return text


def _active_row(item: Active, now: float, use: Use | None, width: int) -> Text:
    numbers = f"{words.duration(now - item.started):>{10 if width >= NUMBERS else 7}}"
    if width >= NUMBERS:
        cpu = f"{use.cpu:.0f} %" if use is not None and use.cpu is not None else ""
        numbers += f"  {cpu:>7}  {words.size(use.memory) if use is not None else '':>7}"
    room = max(0, width - len(numbers) - 4)
    text = Text(no_wrap=True)
    text.append(f"  {cut(words.label(item.task, max(1, room)), room)}  ")
    text.append(numbers, style="dim")
    return text


def _total_row(tally: Tally, now: float, columns: Columns) -> Text:
    elapsed = int(max(0, now - tally.started.time)) if tally.started is not None else 0
    left = tally.remaining(now) if tally.ended < tally.total else None
    text = columns.row(TOTAL, tally.ended, tally.total, "cyan")
    text.append(f"  {words.duration(elapsed)}")
    if left is not None:
        text.append(f", about {words.rough(left)} left")
    text.stylize("bold")
    return text


def _done(done: int, total: int) -> str:
    return f"{done:,}/{total:,}"
