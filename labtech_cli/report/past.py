"""Runs of the past, as `report.history` kept them: read line by line, whatever became of the writer.

A line that is torn, as the last one of a killed run may be, or that says nothing, is passed over.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labtech_cli.core.events import Outcome
from labtech_cli.core.present import params_inline
from labtech_cli.report.files import utc
from labtech_cli.report.history import ABOUT, EVENTS, OUTPUT

_KEY = re.compile("[0-9a-f]{32}")
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_ENDED = re.compile(rb'^\{"event":"task_finished","outcome":"(\w+)","key":"([0-9a-f]{32})"', re.MULTILINE)
_MOST_ABOUT = 1 << 20
_MOST_PIECE = 1 << 23
_LAST_TIME = 1e11  # in the year 5138
_ENDLESS = 1e17  # neither seconds nor bytes are as many


@dataclass(slots=True)
class Story:
    """What is known of one task of a run."""

    key: str
    type: str = ""
    named: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """The parameters of all tasks of the run by key, nested tasks in them by type and key."""
    outcome: str | None = None
    """None while it has not ended; it never has where the run died."""
    started: float | None = None
    ended: float | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """Those that failed, the last one included."""
    duration: float | None = None
    peak_memory: int | None = None
    because: str | None = None
    pieces: list[tuple[int, int]] = field(default_factory=list)
    """Where in the output of the run its own is: starts and sizes."""

    @property
    def params(self) -> dict[str, Any] | None:
        """With nested tasks inline, as events tell them. None where none were written down: of loaded results."""
        shown = self.named.get(self.key)
        return None if shown is None else params_inline(shown, self.named.get)

    @property
    def written(self) -> int:
        """How many bytes of what it wrote were kept."""
        return sum(size for _, size in self.pieces)

    @property
    def error(self) -> dict[str, Any] | None:
        """Why it failed in the end."""
        return self.attempts[-1]["error"] if self.outcome == Outcome.FAILED and self.attempts else None

    def as_json(self) -> dict[str, Any]:
        """As documented."""
        return {
            "key": self.key,
            "type": self.type,
            "params": self.params,
            "outcome": self.outcome,
            "started_at": None if self.started is None else utc(self.started),
            "duration_seconds": self.duration,
            "peak_memory_bytes": self.peak_memory,
            "failed_attempts": self.attempts,
            "because": self.because,
            "output_bytes": self.written,
        }


@dataclass(slots=True)
class Past:
    """One run: `about` is its `run.json`, empty where there is none that can be read."""

    folder: Path
    about: dict[str, Any]

    @property
    def run_id(self) -> str:
        return self.folder.name

    def beat(self) -> float:
        """When the run last said that it lives, by the clock of the file system; 0 where nothing says."""
        try:
            return os.stat(self.folder / ABOUT).st_mtime
        except OSError:
            return 0.0

    def events(self) -> Iterator[dict[str, Any]]:
        """Its events as they were written down."""
        try:
            with open(self.folder / EVENTS, "rb") as file:
                for line in file:
                    event = _object(line)
                    if event is not None and isinstance(event.get("event"), str):
                        yield event
        except OSError:  # it was removed, or never begun
            return

    def outcomes(self) -> dict[str, str]:
        """How each task that ended did, by key; a fraction of the work of `stories`."""
        try:
            data = (self.folder / EVENTS).read_bytes()
        except OSError:
            return {}
        return {key.decode(): outcome.decode() for outcome, key in _ENDED.findall(data)}

    def stories(self) -> dict[str, Story]:
        """Its tasks by key, in the order in which something was first heard of them."""
        found: dict[str, Story] = {}
        named: dict[str, dict[str, Any]] = {}
        for event in self.events():
            key, told = event.get("key"), _TOLD.get(event["event"])
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                continue
            if isinstance(event.get("params"), dict):
                named[key] = event["params"]
            if told is not None:
                with suppress(KeyError, TypeError, ValueError, OverflowError):  # not as we write it
                    told(found.get(key) or found.setdefault(key, Story(key, named=named)), event)
        return found

    def output(self, story: Story) -> Iterator[bytes]:
        """What a task wrote, as it wrote it, piece by piece."""
        try:
            with open(self.folder / OUTPUT, "rb") as file:
                for start, size in story.pieces:
                    file.seek(start)
                    yield file.read(size)
        except OSError:
            return


def past_runs(folder: Path) -> Iterator[Past]:
    """The runs that a folder keeps, newest first; each is read when it is asked for."""
    for name in run_names(folder):
        about = _about(folder / name)
        if about is not None:
            yield Past(folder / name, about)


def run_names(folder: Path) -> list[str]:
    """The ids of the runs that a folder keeps, newest first."""
    try:
        return sorted(filter(_RUN.fullmatch, os.listdir(folder)), reverse=True)
    except OSError:
        return []


def past_run(folder: Path, name: str) -> Past:
    """One run by its id."""
    return Past(folder / name, _about(folder / name) or {})


def _about(folder: Path) -> dict[str, Any] | None:
    """What `run.json` says; None where the folder is gone."""
    try:
        with open(folder / ABOUT, "rb") as file:
            return _object(file.read(_MOST_ABOUT)) or {}
    except OSError:
        return {} if folder.is_dir() else None


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _started(story: Story, event: dict[str, Any]) -> None:
    story.started = _time(event)
    _describe(story, event)


def _retried(story: Story, event: dict[str, Any]) -> None:
    story.attempts.append(_attempt(event))
    _describe(story, event)


def _finished(story: Story, event: dict[str, Any]) -> None:
    story.ended, story.outcome = _time(event), Outcome(event["outcome"]).value
    _describe(story, event)
    story.duration, story.peak_memory = _number(event, "duration_seconds"), _number(event, "peak_memory_bytes", int)
    because = event.get("because")
    story.because = because if isinstance(because, str) else None
    if story.started is None and story.duration is not None:
        story.started = story.ended - story.duration
    if "error" in event:
        story.attempts.append(_attempt(event))


def _wrote(story: Story, event: dict[str, Any]) -> None:
    start, size = int(event["start"]), int(event["size"])
    if not story.type:
        _describe(story, event)
    if start >= 0 and 0 < size <= _MOST_PIECE:
        story.pieces.append((start, size))


def _describe(story: Story, event: dict[str, Any]) -> None:
    story.type = str(event.get("type", ""))


def _attempt(event: dict[str, Any]) -> dict[str, Any]:
    error = dict(event["error"])
    return {
        "attempt": int(event["attempt"]),
        "duration_seconds": _number(event, "duration_seconds"),
        "peak_memory_bytes": _number(event, "peak_memory_bytes", int),
        "error": {name: str(error.get(name, "")) for name in ("kind", "message", "traceback", "output")},
    }


def _number(event: dict[str, Any], name: str, *kinds: type) -> Any:
    """A number that is not below 0; None for anything else."""
    value = event.get(name)
    return (
        value
        if isinstance(value, (int, float)) and type(value) in (kinds or (int, float)) and 0 <= value < _ENDLESS
        else None
    )


def _time(event: dict[str, Any]) -> float:
    value = _number(event, "time")
    if not isinstance(value, (int, float)) or value > _LAST_TIME:
        raise ValueError("no time")
    return float(value)


_TOLD = {"task_started": _started, "task_retried": _retried, "task_finished": _finished, "task_output": _wrote}
