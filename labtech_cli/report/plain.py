"""Progress without a terminal: few plain lines. Imports nothing that draws."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TextIO

from labtech_cli.core.events import (
    Active,
    Event,
    Outcome,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskOutput,
    TaskRetried,
    TaskStarted,
    Warned,
)
from labtech_cli.report import words
from labtech_cli.report.base import Reporter
from labtech_cli.report.summary import Line, LogCommand, Tally, ending, failure_line, retry_line, warning_lines

MANY_TASKS = 200  # above this, no line per succeeded task
HEARTBEAT = 30.0  # seconds between signs of life, at least
MOST_OF_A_TASK = 100  # lines of what one task prints
MOST_OF_ALL = 10_000  # lines of what all tasks of a run print: a log is to be read
SLOW_START = 5.0  # a task that runs longer than this gets a line before it ends
_COMMAND = re.compile(r"^(\s*:)(?=:)|##(?=\[)", re.MULTILINE)
"""How a line begins that GitHub Actions takes for a command, and what makes one of it wherever it is."""
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class LineWriter:
    """Writes styled lines to a text stream, in whatever characters its encoding has.

    `guarded`: GitHub Actions reads them, and nothing that foreign text says in them is to be a command.
    """

    def __init__(self, stream: TextIO, *, colour: bool = False, guarded: bool = False) -> None:
        self._stream = stream
        self._colour, self._guarded = colour, guarded

    def write(self, styled: Iterable[Line]) -> None:
        if self._guarded:
            styled = [(_COMMAND.sub(r"\g<0> ", text), style) for text, style in styled]
        text = "".join([f"{self._paint(text, style)}\n" for text, style in styled])
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:
            encoding = error.encoding
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()

    def _paint(self, text: str, style: str) -> str:
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._colour and style and text else text


class QuietReporter(Reporter):
    """Says nothing of a run that goes well: warnings as they come, and failures at the end."""

    ignores = frozenset((TaskStarted,))

    def __init__(
        self,
        stream: TextIO,
        *,
        rerun_command: str | None = None,
        log_command: LogCommand | None = None,
        colour: bool = False,
        guarded: bool = False,
    ) -> None:
        self._writer = LineWriter(stream, colour=colour, guarded=guarded)
        self._tally = Tally()
        self._commands = rerun_command, log_command
        self._ended = False

    def handle(self, event: Event) -> None:
        self._tally.add(event)
        if isinstance(event, Warned):
            self._writer.write(warning_lines(event))
        elif isinstance(event, RunFinished):
            self._end()

    def close(self) -> None:
        self._end()

    def _end(self) -> None:
        if self._ended or self._tally.started is None:
            return
        self._ended = True
        if self._worth_telling():
            self._writer.write(ending(self._tally, *self._commands))

    def _worth_telling(self) -> bool:
        finished = self._tally.finished
        return bool(self._tally.counts[Outcome.FAILED]) or finished is None or finished.interrupted


class PlainReporter(QuietReporter):
    """At most two lines per task, a heartbeat every half minute, a summary.

    Loaded, skipped and cancelled tasks are only counted. In a run of many tasks, so are succeeded ones.
    """

    interval = 1.0

    def __init__(
        self,
        stream: TextIO,
        *,
        rerun_command: str | None = None,
        log_command: LogCommand | None = None,
        colour: bool = False,
        guarded: bool = False,
    ) -> None:
        super().__init__(stream, rerun_command=rerun_command, log_command=log_command, colour=colour, guarded=guarded)
        self._many = False
        self._beat: float | None = None
        self._announced: set[str] = set()  # keys of tasks that have their first line and no end
        self._printed: dict[str, int] = {}  # lines that running tasks have printed, by key
        self._room = MOST_OF_ALL  # for lines that tasks print

    def handle(self, event: Event) -> None:
        if type(event) is TaskFinished:
            self._tally.add(event)
            self._task_finished(event)
        elif isinstance(event, TaskRetried):
            self._retried(event)
        elif isinstance(event, TaskOutput):
            self._writer.write(self._output(event))
        else:
            super().handle(event)
            if isinstance(event, RunStarted):
                self._many = self._tally.total > MANY_TASKS
                self._beat = event.time
                self._writer.write([_opening(event)])

    def tick(self, now: float, active: Callable[[], Sequence[Active]]) -> None:
        if self._beat is None or self._ended:
            return
        if not self._many:
            self._announce(now, active())
        if now - self._beat >= HEARTBEAT:
            self._beat = now
            self._writer.write([self._heartbeat(now, len(active()))])

    def _worth_telling(self) -> bool:
        return True

    def _task_finished(self, event: TaskFinished) -> None:
        self._announced.discard(event.task.cache_key)
        self._printed.pop(event.task.cache_key, None)
        if event.outcome is Outcome.FAILED:
            self._writer.write([failure_line(event)])
        elif event.outcome is Outcome.SUCCEEDED and not self._many:
            took = f" in {words.duration(event.duration_seconds)}" if event.duration_seconds is not None else ""
            self._writer.write([(f"finished {words.label(event.task)}{took}", "")])

    def _retried(self, event: TaskRetried) -> None:
        """The first of the lines a task may have; how often it was tried is told with its end."""
        if event.task.cache_key not in self._announced:
            self._announced.add(event.task.cache_key)
            self._writer.write([retry_line(event)])

    def _output(self, event: TaskOutput) -> list[Line]:
        """What a task prints, as far as there is room, and then once that there is more."""
        name, key, lines = words.label(event.task), event.task.cache_key, words.lines(event.text)
        before = self._printed.get(key, 0)
        self._printed[key] = before + len(lines)
        room = min(MOST_OF_A_TASK - before, self._room)
        if room < 0 or not self._room:
            return []
        self._room -= min(room, len(lines))
        shown = [(f"{name} | {words.shortened(line)}", "") for line in lines[:room]]
        if len(lines) > room:
            where = f": {self._commands[1](event.run_id, key)}" if self._commands[1] is not None else ""
            shown.append((f"{name} | … more is in its log{where}", "dim"))
        if not self._room:
            shown.append((f"… of what tasks print, nothing more is shown here after {MOST_OF_ALL:,} lines", "dim"))
        return shown

    def _announce(self, now: float, active: Sequence[Active]) -> None:
        for item in active:
            key = item.task.cache_key
            if now - item.started >= SLOW_START and key not in self._announced:
                self._announced.add(key)
                self._writer.write([(f"running {words.label(item.task)}", "")])

    def _heartbeat(self, now: float, running: int) -> Line:
        tally = self._tally
        text = f"{tally.ended:,} of {tally.total:,} done, {running:,} running"
        if failed := tally.counts[Outcome.FAILED]:
            text += f", {failed:,} failed"
        left = tally.remaining(now)
        return text + (f", about {words.rough(left)} left" if left is not None else ""), "dim"


def _opening(event: RunStarted) -> Line:
    run, load = sum(event.to_run.values()), sum(event.to_load.values())
    text = f"{words.count(run, 'task')} to run"
    if load:
        text += f", {load:,} to load"
    if run:
        text += f", with {words.count(event.workers, 'worker')}"
    if run and event.estimated_seconds is not None:
        text += f", about {words.rough(event.estimated_seconds)}"
    return text, "dim"
