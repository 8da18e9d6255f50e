"""The run history: what happened in a run, kept in a folder of its own.

    run.json       what the run was asked for and how it ended; written whole at its beginning and its end
    events.jsonl   its events, a line each; appended by the clock
    output.bin     what its tasks wrote, one piece after the other; events say which piece is whose

A task costs a line of some 200 bytes, made in a few microseconds, and no file. The lines are the events
of `report.files` without what all of them share, and with a place in `output.bin` instead of text; of
results that were loaded they have no parameters. Nested tasks are named by type and key: each is told once, in
its own line or in one that only tells its parameters, so the file is linear in tasks and dependencies.
`report.past` reads them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any

from labtech_cli.core.events import (
    Active,
    Event,
    Outcome,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskOutput,
    TaskStarted,
)
from labtech_cli.core.present import NESTED_IN_JSON, params_json
from labtech_cli.report.base import Reporter
from labtech_cli.report.files import event_json, utc

SCHEMA = "labtech.run/1"
ABOUT, EVENTS, OUTPUT = "run.json", "events.jsonl", "output.bin"
BEAT_SECONDS = 5.0
"""How often a live run touches `run.json`."""
_LONG_SECONDS = 1.0  # a task that has run this long gets a line before it ends
_MANY_LINES = 500
_MANY_BYTES = 1 << 20
_dump = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_INT_LIMIT = 1 << 63
_forms: dict[Any, tuple[str, list[tuple[str, str]]]] = {}


class HistoryWriter(Reporter):
    """Keeps one run. What it cannot write it tells once, by `warn`; the run goes on."""

    ignores = frozenset((TaskStarted,))
    interval = 0.5

    def __init__(self, folder: Path, about: dict[str, Any], warn: Callable[[OSError], None]) -> None:
        self._folder, self._about, self._warn = folder, about, warn
        self._files: tuple[int, int] | None = None  # events and output, while there is somewhere to write to
        self._lines: list[str] = []
        self._chunks: list[bytes] = []
        self._waiting = self._written = 0  # bytes of output: not written yet, and all
        self._begun: set[str] = set()  # keys of tasks whose beginning was noted
        self._loads = False  # whether tasks may name others that do not run, and so have no line of their own
        self._told: dict[str, int] = {}  # keys of tasks that were told, and to how many levels below them
        self._beaten = 0.0
        self._ended = True  # or not begun

    def handle(self, event: Event) -> None:
        if type(event) is RunStarted:
            self._begin(event)
        if type(event) is RunFinished:
            self._end(event)
        if self._files is None:
            return
        if type(event) is TaskFinished:
            if event.outcome is Outcome.LOADED:
                self._loads = True
            elif self._loads:
                self._tell_nested(event.task)
            self._lines.append(finished_line(event))
        elif type(event) is TaskOutput:
            self._output(event)
        elif type(event) is not RunFinished:
            self._lines.append(event_line(event))
        if len(self._lines) >= _MANY_LINES or self._waiting > _MANY_BYTES:
            self._flush()

    def tick(self, now: float, active: Callable[[], Sequence[Active]]) -> None:
        if self._files is None:
            return
        for item in active():
            key = item.task.cache_key
            if now - item.started > _LONG_SECONDS and key not in self._begun:
                self._begun.add(key)
                if self._loads:
                    self._tell_nested(item.task)
                self._lines.append(started_line(item))
        self._flush()
        if time.monotonic() - self._beaten > BEAT_SECONDS and self._files is not None:
            self._beaten = time.monotonic()
            try:
                os.utime(self._folder / ABOUT)
            except OSError as error:
                self._give_up(error)

    def abandon(self, event: RunFinished) -> None:
        self._end(event)

    def close(self) -> None:
        if not self._ended and self._files is not None:  # the run raised
            stopped = isinstance(sys.exc_info()[1], KeyboardInterrupt)
            self._flush()
            self._tell({"status": "interrupted" if stopped else "failed"})
        self._let_go()

    def _begin(self, event: RunStarted) -> None:
        self._loads = bool(event.to_load)
        self._about |= {
            "status": "running",
            "started_at": utc(event.time),
            "targets": list(event.targets),
            "runner": event.runner,
            "workers": event.workers,
            "to_run": event.to_run,
            "to_load": event.to_load,
        }
        try:
            self._folder.mkdir(parents=True)
            self._write_about()
            self._ended = False
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._files = os.open(self._folder / EVENTS, flags, 0o666), os.open(self._folder / OUTPUT, flags, 0o666)
        except OSError as error:
            self._give_up(error)

    def _output(self, event: TaskOutput) -> None:
        key, (label, _) = event.task._labtech_key, _form(type(event.task))
        self._lines.append(
            f'{{"event":"task_output","key":"{key}","type":{label},"time":{event.time!r},'
            f'"start":{self._written},"size":{len(event.data)}}}\n'
        )
        self._chunks.append(event.data)
        self._written += len(event.data)
        self._waiting += len(event.data)

    def _end(self, event: RunFinished) -> None:
        """In `run.json` even where the events could not be written."""
        if self._ended:
            return
        self._ended = True
        self._lines.append(event_line(event))
        self._flush()
        self._tell(
            {
                "status": "interrupted" if event.interrupted else "failed" if event.exit_code else "succeeded",
                "exit_code": event.exit_code,
                "counts": event.counts,
                "duration_seconds": event.duration_seconds,
                "saved_seconds": event.saved_seconds,
            }
        )

    def _flush(self) -> None:
        """Output before the events that name it."""
        if self._files is None:
            return
        lines, chunks = self._lines, self._chunks
        self._lines, self._chunks, self._waiting = [], [], 0
        try:
            if chunks:
                _write(self._files[1], b"".join(chunks))
            if lines:
                _write(self._files[0], "".join(lines).encode("ascii"))
        except OSError as error:
            self._give_up(error)

    def _tell_nested(self, task: Any) -> None:
        """Before a task's own line: those it names that were not told yet, as results that are loaded are not."""
        told, level = self._told, [task]
        told[task._labtech_key] = NESTED_IN_JSON
        for levels in reversed(range(NESTED_IN_JSON)):
            below = []
            for parent in level:
                for nested in parent._labtech_deps:
                    if told.get(nested._labtech_key, -1) < levels:
                        if nested._labtech_key not in told:
                            self._lines.append(nested_line(nested))
                        told[nested._labtech_key] = levels
                        below.append(nested)
            if not below:
                return
            level = below

    def _tell(self, more: dict[str, Any]) -> None:
        self._about |= more
        try:
            self._write_about()
        except OSError as error:
            self._give_up(error)

    def _write_about(self) -> None:
        beside = self._folder / (ABOUT + ".new")
        beside.write_text(json.dumps(self._about, indent=2) + "\n", encoding="ascii")
        os.replace(beside, self._folder / ABOUT)

    def _give_up(self, error: OSError) -> None:
        self._let_go()
        if not self._about.get("incomplete"):
            self._about["incomplete"] = True
            self._warn(error)

    def _let_go(self) -> None:
        if self._files is not None:
            for file in self._files:
                os.close(file)
            self._files = None


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def event_line(event: Event) -> str:
    """Any event, without what the events of a run share."""
    shown = event_json(event) or {}
    del shown["schema"], shown["run_id"]
    return _dump({**shown, "time": event.time}) + "\n"


def started_line(item: Active) -> str:
    """A task that takes long has begun."""
    label, names = _form(type(item.task))
    return (
        f'{{"event":"task_started","key":"{item.task._labtech_key}","time":{item.started!r},'
        f'"type":{label},"params":{_params(item.task, names)},"worker":{item.worker}}}\n'
    )


def finished_line(event: TaskFinished) -> str:
    """A task ended. `event`, `outcome` and `key` come first: `past.outcomes` finds them without reading the rest."""
    task, outcome = event.task, event.outcome
    label, names = _form(type(task))
    told = "succeeded" if outcome is Outcome.SUCCEEDED else outcome.value
    head = (
        f'{{"event":"task_finished","outcome":"{told}","key":"{task._labtech_key}","time":{event.time!r},"type":{label}'
    )
    if outcome is Outcome.LOADED:
        return head + "}\n"
    lasted, peak = event.duration_seconds, event.peak_memory_bytes
    line = (
        f'{head},"params":{_params(task, names)},"attempt":{event.attempt},'
        f'"duration_seconds":{"null" if lasted is None else lasted},'
        f'"peak_memory_bytes":{"null" if peak is None else peak}'
    )
    if event.error is not None:
        line += f',"error":{_dump((event_json(event) or {})["error"])}'
    if event.because is not None:
        line += f',"because":"{event.because._labtech_key}"'
    return line + "}\n"


def nested_line(task: Any) -> str:
    """A task that another one names."""
    label, names = _form(type(task))
    return f'{{"event":"task_named","key":"{task._labtech_key}","type":{label},"params":{_params(task, names)}}}\n'


def _form(cls: Any) -> tuple[str, list[tuple[str, str]]]:
    """What the lines of tasks of one type share: its label, and its parameters with their names in JSON."""
    found = _forms.get(cls)
    if found is None:
        kind = cls.__labtech__
        found = _forms[cls] = quoted(kind.label), [(name, quoted(name)) for name in kind.parameters]
    return found


def _params(task: Any, names: list[tuple[str, str]]) -> str:
    """The parameters as `params_json(task, 0)` has them; written by hand while they are plain, which is several
    times as fast."""
    parts = []
    for name, shown in names:
        value = getattr(task, name)
        kind = type(value)
        if kind is int and -_INT_LIMIT < value < _INT_LIMIT:
            parts.append(f"{shown}:{value}")
        elif kind is str:
            parts.append(f"{shown}:{quoted(value)}")
        elif "__labtech__" in kind.__dict__:
            parts.append(f"{shown}:{_named(value)}")
        elif kind is tuple and all(["__labtech__" in type(item).__dict__ for item in value]):
            parts.append(f"{shown}:[{','.join(map(_named, value))}]")
        else:
            return _dump(params_json(task, levels=0))
    return f"{{{','.join(parts)}}}"


def _named(task: Any) -> str:
    return f'{{"type":{_form(type(task))[0]},"key":"{task._labtech_key}"}}'
