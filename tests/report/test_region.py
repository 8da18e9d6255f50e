"""The region of a terminal that is drawn again and again, read from the screen of an emulated one."""

from __future__ import annotations

import io

import pyte
from rich.console import Console
from rich.text import Text

from labtech_cli.report.region import Region


class Screen(io.StringIO):
    """A terminal of some size that keeps each piece it was sent."""

    def __init__(self, width: int = 20, height: int = 8) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.glass = pyte.Screen(width, height)
        self._feed = pyte.Stream(self.glass)
        self.glass.set_mode(pyte.modes.LNM)  # as the terminal driver makes it: a new line begins at the left

    def write(self, text: str) -> int:
        self.pieces += [text] if text else []
        self._feed.feed(text)
        return len(text)

    def shown(self) -> list[str]:
        lines = [line.rstrip() for line in self.glass.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines


def region(width: int = 20, height: int = 8) -> tuple[Region, Screen, Console]:
    screen = Screen(width, height)
    console = Console(file=screen, force_terminal=True, width=width, height=height, _environ={"TERM": "xterm"})
    return Region(console), screen, console


def rows(*texts: str) -> list[Text]:
    return [Text(text, no_wrap=True) for text in texts]


def test_rows_replace_those_before_and_what_is_printed_stays_above() -> None:
    drawn, screen, console = region()
    drawn.draw(rows("one", "two"))
    assert screen.shown() == ["one", "two"] and screen.glass.cursor.hidden
    drawn.draw(rows("three"), lambda: console.print("hello"))
    assert screen.shown() == ["hello", "three"]
    drawn.draw(rows("four", "five"))
    assert screen.shown() == ["hello", "four", "five"]
    assert len(screen.pieces) == 3  # a frame goes out in one piece
    drawn.clear()
    drawn.clear()
    assert screen.shown() == ["hello"] and not screen.glass.cursor.hidden and screen.glass.cursor.x == 0


def test_a_row_that_the_terminal_finds_wider_takes_one_line_all_the_same() -> None:
    drawn, screen, console = region(10)
    for _ in range(3):
        console.width = 40  # what the region believes: the terminal has 10 columns
        drawn.draw(rows("x" * 14, "end"))
        console.width = 10
    assert pyte.modes.DECAWM in screen.glass.mode
    drawn.draw(rows("short"), lambda: console.print("y" * 14, soft_wrap=True))
    assert screen.shown()[-3:] == ["y" * 10, "yyyy", "short"]  # what is printed wraps


def test_in_a_terminal_that_became_narrower_the_folded_rows_are_erased() -> None:
    drawn, screen, console = region(20)
    drawn.draw(rows("a" * 20, "total"))
    console.width = 10
    screen.pieces.clear()
    drawn.draw(rows("a" * 10, "total"))
    assert "\r\x1b[2A\x1b[J" in screen.pieces[0]  # the first row had become two


def test_nothing_is_written_to_clear_what_was_not_drawn() -> None:
    drawn, screen, _ = region()
    drawn.clear()
    assert screen.pieces == []
