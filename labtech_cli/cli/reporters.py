"""Who reads the events of `labtech run`: the options and the environment, as reporters."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from labtech_cli.errors import ConfigError
from labtech_cli.report.progress import Mode, make_progress

if TYPE_CHECKING:
    from labtech_cli.report.base import Reporter

ONCE = ("-B", "--rerun", "--rerun-targets", "--failed")  # what the failed tasks need not be run with again


@dataclass(frozen=True, slots=True)
class Readers:
    """What the options of a run ask for."""

    progress: Mode
    stdout: TextIO | None = None
    """Where `--json` writes events."""
    events: Path | None = None
    junit_xml: Path | None = None
    rerun_command: str | None = None
    log_command: str | None = None
    """What a run and a key are added to, to see what a task wrote."""

    def make(self) -> tuple[list[Reporter], Callable[[], bool]]:
        """The reporters, and whether the reader of stdout went away. Files are opened now, before the run."""
        logs = self.log_command
        found: list[Any] = [
            make_progress(
                self.progress,
                sys.stderr,
                rerun_command=self.rerun_command,
                log_command=None if logs is None else lambda run, key: f"{logs} {run} {key[:12]}",
            )
        ]
        printer = None
        if self.stdout is not None or self.events is not None:
            from labtech_cli.report.files import EventWriter

            if self.events is not None:
                with _writing("--events", self.events):
                    stream = open(self.events, "w", encoding="utf-8")  # noqa: SIM115 - the writer closes it
                found.append(EventWriter(stream, close_stream=True))
            if self.stdout is not None:
                printer = EventWriter(self.stdout)
                found.append(printer)
        if self.junit_xml is not None:
            from labtech_cli.report.junit import JUnitReporter

            with _writing("--junit-xml", self.junit_xml):
                found.append(JUnitReporter(self.junit_xml))
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from labtech_cli.report.github import GitHubReporter

            found.append(GitHubReporter(sys.stderr, os.environ, rerun_command=self.rerun_command))
        return found, lambda: printer is not None and printer.broken


def rerun_command(arguments: list[str]) -> str:
    """The command line that runs again what failed; what succeeded is loaded."""
    return " ".join(["labtech", *[shlex.quote(item) for item in arguments if item not in ONCE]])


@contextmanager
def _writing(option: str, file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{option} {file}: {(error.strerror or str(error)).lower()}",
            hint="name a file in a folder that exists and can be written",
        ) from None
