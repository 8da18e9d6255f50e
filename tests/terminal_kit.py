"""A terminal to run a command in, whose screen can be read: pexpect is its wire, pyte its glass."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pexpect
import pyte
import pyte.modes

BAR = "━─"


class Terminal:
    """A command in a terminal of some size."""

    def __init__(
        self, command: Sequence[str], folder: Path, env: Mapping[str, str], columns: int = 80, rows: int = 24
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=20_000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self.child = pexpect.spawn(
            command[0],
            list(command[1:]),
            cwd=str(folder),
            env={"TERM": "xterm-256color", "LANG": "C.UTF-8", **env},
            dimensions=(rows, columns),
            timeout=60,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.child.close(force=True)

    def until(self, true: Callable[[], object], seconds: float = 60.0) -> None:
        """Read on until something holds of the screen."""
        end = time.monotonic() + seconds
        while not true():
            assert self._read() and time.monotonic() < end, "not in time:\n" + "\n".join(self.everything)

    def finish(self) -> int:
        """Read to the end; the exit status."""
        while self._read():
            pass
        self.child.wait()
        return int(self.child.exitstatus if self.child.signalstatus is None else -self.child.signalstatus)

    def resize(self, columns: int, rows: int) -> None:
        """As when a person drags the window's corner. Unlike pyte, terminals drop empty lines at the bottom first, and
        move the cursor with its line. This one does not fold what becomes too wide."""
        screen = self.screen
        below = screen.lines - 1 - screen.cursor.y
        dropped = max(0, min(below, screen.lines - rows))
        for line in range(screen.lines - dropped, screen.lines):
            screen.buffer.pop(line, None)
        screen.lines -= dropped
        up, at = max(0, screen.lines - rows), screen.cursor.y
        screen.resize(rows, columns)
        screen.cursor.y = at - up
        self.child.setwinsize(rows, columns)

    @property
    def lines(self) -> list[str]:
        """What the screen shows, down to the last line with something on it."""
        shown = [line.rstrip() for line in self.screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    @property
    def everything(self) -> list[str]:
        """The same with what has scrolled off."""
        above = ["".join(row[x].data for x in range(self.screen.columns)).rstrip() for row in self.screen.history.top]
        return [*above, *self.lines]

    @property
    def bars(self) -> list[str]:
        """The lines of the display that have a bar."""
        return [line for line in self.lines if any(mark in line for mark in BAR)]

    def is_given_back(self) -> bool:
        """Whether the next program finds the terminal as it should be, with nothing of the display left."""
        left = [line for line in self.everything if any(mark in line for mark in BAR) or line.startswith("total ")]
        return not left and not self.screen.cursor.hidden and pyte.modes.DECAWM in self.screen.mode

    def press_until_it_ends(self, key: str) -> None:
        """Press Ctrl and a key again and again, as fast as a finger can: with each Ctrl-C a terminal drops what was
        written to it and not yet read, so faster ones may take the last words away."""
        while True:
            self.child.sendcontrol(key)
            next_time = time.monotonic() + 0.3
            while time.monotonic() < next_time:
                if not self._read(0.05):
                    return

    def _read(self, seconds: float = 5.0) -> bool:
        try:
            data = self.child.read_nonblocking(65_536, timeout=seconds)
        except pexpect.EOF:
            return False
        except pexpect.TIMEOUT:
            return True
        self.raw += data
        self._stream.feed(data)
        return True
