"""The lines at the bottom of a terminal that are drawn again and again, below all that was printed.

Each time everything goes out in one piece: the old lines are erased, what came meanwhile is printed where
they were, the new lines follow. While these are written the terminal does not wrap: terminals disagree
on how wide some characters are, and a line that takes two would put the next erasure off by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # shown at once, where a terminal knows that
_ERASE_BELOW = "\x1b[J"


class Region:
    """Draws rows on a console that is a terminal. Between calls the terminal is as others expect it, but for
    the cursor, which is hidden from the first row drawn until `clear`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: list[int] = []  # how wide each row is that stands there

    def draw(self, rows: Sequence[Text], above: Callable[[], None] | None = None) -> None:
        """Show these rows in place of those before; `above` prints what belongs over them."""
        with self._console.capture() as printed:
            if above is not None:
                above()
        with self._console.capture() as drawn:
            for position, row in enumerate(rows):
                self._console.print(row, end="\n" if position < len(rows) - 1 else "", soft_wrap=True)
        start = _HIDE_CURSOR if not self._shown else ""
        erased = self._erasure()
        self._shown = [row.cell_len for row in rows]
        self._write(f"{_BEGIN}{start}{erased}{printed.get()}{_NO_WRAP}{drawn.get()}{_WRAP}{_END}")

    def clear(self) -> None:
        """Take the rows away, and give the cursor back."""
        if self._shown:
            erased, self._shown = self._erasure(), []
            self._write(erased + _SHOW_CURSOR)

    def forget(self) -> None:
        """What stands there is to stay: the next rows are drawn below."""
        self._shown = []

    def _erasure(self) -> str:
        """To the first row and all below it. A terminal that has become narrower has folded what was too wide."""
        if not self._shown:
            return ""
        width = max(1, self._console.width)
        lines = sum([max(1, -(-cells // width)) for cells in self._shown])
        return "\r" + (f"\x1b[{lines - 1}A" if lines > 1 else "") + _ERASE_BELOW

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()
