"""A run under GitHub Actions: an annotation for each failed task, and a summary of the job.

Annotations are workflow commands, which GitHub reads from stderr as well as from stdout; stdout is for data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from labtech_cli.core.events import Event, Outcome, TaskFinished
from labtech_cli.report import words
from labtech_cli.report.base import Reporter
from labtech_cli.report.plain import LineWriter
from labtech_cli.report.summary import Tally, headline

MOST_ANNOTATIONS = 10  # GitHub shows no more errors of one step
MOST_MESSAGE = 1_000
MOST_CELL = 300
_FRAME = re.compile(r'^[ |+-]*File "([^"<\n]+)", line (\d+)', re.MULTILINE)
_INSTALLED = {"site-packages", "dist-packages"}  # a virtual environment may lie in the workspace
_MARKUP = re.compile(r"[^\w\s.,:=()'\"-]|_")


class GitHubReporter(Reporter):
    """Writes annotations to `stream` and appends to the job's summary, when the run is over."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str], rerun_command: str | None = None) -> None:
        self._writer = LineWriter(stream)
        self._workspace = os.path.realpath(environ.get("GITHUB_WORKSPACE") or os.getcwd())
        self._summary = environ.get("GITHUB_STEP_SUMMARY")
        self._rerun = rerun_command
        self._tally = Tally()

    def handle(self, event: Event) -> None:
        self._tally.add(event)

    def close(self) -> None:
        if self._tally.started is None:
            return
        self._writer.write([(line, "") for line in self._annotations()])
        if self._summary:
            text = "\n".join([*summary(self._tally, self._rerun), "", ""])
            try:
                with open(self._summary, "a", encoding="utf-8", errors="replace") as file:
                    file.write(text)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                self._writer.write([(f"warning: GITHUB_STEP_SUMMARY {self._summary}: {reason}", "")])

    def _annotations(self) -> Iterator[str]:
        failures = self._tally.failures[:MOST_ANNOTATIONS]
        for event in failures:
            title = f"{words.label(event.task, 120)} failed"
            yield _command("error", str(event.error or title), title=title, **self._place(event))
        more = self._tally.counts[Outcome.FAILED] - len(failures)
        if more > 0:  # no error, for it would not be shown
            yield _command("warning", f"{words.count(more, 'more task')} failed", title="labtech")

    def _place(self, event: TaskFinished) -> dict[str, str]:
        """The last line of the user's own code that the traceback names, as `file` and `line`."""
        for file, line in reversed(_FRAME.findall(event.error.traceback if event.error else "")):
            path = Path(os.path.realpath(file))
            if path.is_relative_to(self._workspace) and not _INSTALLED & set(path.parts):
                return {"file": path.relative_to(self._workspace).as_posix(), "line": line}
        return {}


def summary(tally: Tally, rerun_command: str | None = None) -> Iterator[str]:
    """What a run amounts to, as the lines of a Markdown document."""
    names = " ".join(tally.started.targets) if tally.started is not None else ""
    yield f"### labtech run {_cell(names)}"
    yield ""
    yield f"**{_cell(headline(tally)[0].partition(':')[0])}**"
    yield ""
    yield from ("| outcome | tasks |", "|---|---:|")
    yield from [f"| {outcome} | {many:,} |" for outcome, many in tally.counts.items() if many]
    loaded = tally.counts[Outcome.LOADED]
    if loaded:
        saved = tally.finished.saved_seconds if tally.finished is not None else 0.0
        yield ""
        yield f"{words.count(loaded, 'result')} came from the cache and saved {words.duration(saved)}."
    if tally.failures:
        yield from ("", "| failed task | error |", "|---|---|")
    for event in tally.failures:
        yield f"| {_cell(words.label(event.task, MOST_CELL))} | {_cell(str(event.error or ''))} |"
    more = tally.counts[Outcome.FAILED] - len(tally.failures)
    if more > 0:
        yield f"| … and {words.count(more, 'more failure')} | |"
    if rerun_command and tally.counts[Outcome.FAILED]:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", rerun_command)), default=0))
        yield from ("", "Run the failed tasks again with:", "", f"{fence}sh", rerun_command, fence)


def _command(name: str, message: str, **properties: str) -> str:
    """A workflow command; what would end a property or the line is written as GitHub reads it back."""
    given = ",".join([f"{key}={_property(value)}" for key, value in properties.items()])
    return f"::{name} {given}::{_data(message)}"


def _data(text: str) -> str:
    """The value of a command: foreign text, bounded and on one line."""
    clean = "\n".join(words.lines(text[:MOST_MESSAGE]))
    return clean.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    """Foreign text as one line of Markdown that is nothing but text: no table, link, mention or HTML."""
    line = words.one_line(text, MOST_CELL)
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", line)
