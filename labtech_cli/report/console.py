"""Live progress on a terminal, drawn only when the run calls `tick`: no thread, no redirected streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from labtech_cli.core.events import (
    Active,
    Event,
    Outcome,
    RunFinished,
    TaskFinished,
    TaskOutput,
    TaskRetried,
    TaskStarted,
    Warned,
)
from labtech_cli.report import words
from labtech_cli.report.base import Reporter
from labtech_cli.report.frame import fit, frame, oldest, room
from labtech_cli.report.region import Region
from labtech_cli.report.summary import LogCommand, Tally, ending, failure_line, retry_line, warning_lines
from labtech_cli.report.usage import Usage, Use

SETTLED = 0.5  # seconds a task runs before its use of the machine is worth a look
MOST_PIECES = 2_000  # lines printed between two frames; a flood of output would hold up the run
_DIM = Style.parse("dim")
_Piece: TypeAlias = tuple[str, str, str]
"""A line: a prefix that steps back, the text, and the style of the text."""


class LiveReporter(Reporter):
    """A display that redraws itself below what tasks print; at the end it makes way for the summary."""

    interval = 0.1
    redraws = True
    ignores = frozenset((TaskStarted,))

    def __init__(
        self,
        console: Console,
        *,
        rerun_command: str | None = None,
        log_command: LogCommand | None = None,
    ) -> None:
        self._console = console
        self._commands = rerun_command, log_command
        self._region = Region(console)
        self._tally = Tally()
        self._usage = Usage()
        self._above: list[TaskOutput | TaskFinished | TaskRetried | Warned] = []  # to be printed at the next tick
        self._ended = False

    def handle(self, event: Event) -> None:
        self._tally.add(event)
        kind = type(event)
        if kind is TaskFinished:
            if event.outcome is Outcome.FAILED:  # type: ignore[union-attr]
                self._above.append(event)  # type: ignore[arg-type]
        elif isinstance(event, TaskOutput | TaskRetried | Warned):
            self._above.append(event)
        elif kind is RunFinished:
            self._end()

    def tick(self, now: float, active: Callable[[], Sequence[Active]]) -> None:
        if self._tally.started is None or self._ended:
            return
        width, height = self._console.size
        running = active()
        shown = oldest(running, room(height))
        settled = {item.pid for item in shown if item.pid is not None and now - item.started > SETTLED}
        self._usage.sample(now, settled)

        def use(pid: int | None) -> Use | None:
            """Not what the worker used for the task before."""
            return self._usage.of(pid) if pid in settled else None

        self._region.draw(frame(self._tally, now, running, use, width, height), self._print_above)

    def suspend(self) -> None:
        self._region.forget()

    def close(self) -> None:
        self._end()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._region.clear()
        self._print_above()
        if self._tally.started is not None:
            self._print(("", *line) for line in ending(self._tally, *self._commands))

    def _print_above(self) -> None:
        """Print what came since the last frame."""
        waiting, self._above = self._above, []
        width = self._console.width
        pieces = [piece for event in waiting for piece in _pieces(event, width)]
        if len(pieces) > MOST_PIECES:
            left_out = words.count(len(pieces) - MOST_PIECES, "line")
            pieces = [*pieces[:MOST_PIECES], ("", f"… {left_out} not shown here", "dim")]
        if pieces:
            self._print(pieces)

    def _print(self, pieces: Iterable[_Piece]) -> None:
        """Print lines above the display. As segments: no markup, no wrapping, and fast."""
        segments: list[Segment] = []
        for prefix, text, style in pieces:
            segments += [Segment(prefix, _DIM), Segment(text, Style.parse(style)), Segment.line()]
        self._console.print(Segments(segments), soft_wrap=True, end="")


def _pieces(event: TaskOutput | TaskFinished | TaskRetried | Warned, width: int) -> list[_Piece]:
    limit = min(words.LABEL, max(20, width // 3))
    if isinstance(event, TaskOutput):
        prefix = f"{fit(words.label(event.task, limit), limit)} │ "
        return [(prefix, words.shortened(line), "") for line in words.lines(event.text)]
    if isinstance(event, TaskFinished | TaskRetried):
        text, style = failure_line(event, limit) if isinstance(event, TaskFinished) else retry_line(event, limit)
        return [("", fit(text, width), style)]
    return [("", *line) for line in warning_lines(event)]
