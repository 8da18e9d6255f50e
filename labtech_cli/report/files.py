"""The events of a run as JSON, one object a line: `"schema": "labtech.event/1"`."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from labtech_cli.core.events import (
    SCHEMA,
    Active,
    Event,
    Failure,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskOutput,
    TaskRetried,
    TaskStarted,
    Warned,
)
from labtech_cli.core.present import params_json
from labtech_cli.report.base import Reporter


def event_json(event: Event) -> dict[str, Any] | None:
    """An event as a JSON object, or None for one that the format does not have."""
    form = _FORMS.get(type(event))
    if form is None:
        return None
    name, fields = form
    return {
        "schema": SCHEMA,
        "event": name,
        "run_id": event.run_id,
        "time": utc(event.time),
        **fields(event),
    }


class EventWriter(Reporter):
    """Writes each event as one line of JSON, flushed at each tick.

    When the reader of the stream has gone away, `broken` becomes True and nothing more is written.
    """

    interval = 0.25

    def __init__(self, stream: TextIO, close_stream: bool = False) -> None:
        self.broken = False
        self._stream = stream
        self._close_stream = close_stream
        self._written = False

    def handle(self, event: Event) -> None:
        if self.broken:
            return
        shown = event_json(event)
        if shown is None:
            return
        try:
            self._write(shown)
            if type(event) is RunFinished:
                self._flush()
        except BrokenPipeError:
            self.broken = True

    def tick(self, now: float, active: Callable[[], Sequence[Active]]) -> None:
        try:
            self._flush()
        except BrokenPipeError:
            self.broken = True

    def abandon(self, event: RunFinished) -> None:
        self.handle(event)
        self.close()

    def close(self) -> None:
        self.tick(0.0, tuple)
        if self._close_stream:
            with contextlib.suppress(BrokenPipeError):
                self._stream.close()

    def _write(self, shown: dict[str, Any]) -> None:
        line = to_line(shown)
        self._written = True
        try:
            self._stream.write(line)
        except UnicodeEncodeError:  # half a character pair, or a stream that is not UTF-8
            self._stream.write(to_line(json.loads(line), ascii_only=True))

    def _flush(self) -> None:
        if self._written and not self.broken:
            self._written = False
            self._stream.flush()


def to_line(shown: dict[str, Any], *, ascii_only: bool = False) -> str:
    """One object as one line of strict JSON: a number that JSON does not have becomes null."""
    encode = _ASCII if ascii_only else _UNICODE
    try:
        return encode(shown) + "\n"
    except ValueError:
        return encode(_finite(shown)) + "\n"


_UNICODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode
_ASCII = json.JSONEncoder(allow_nan=False, check_circular=False).encode


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def utc(seconds: float) -> str:
    """A time as events have it: ISO 8601 with microseconds, UTC."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_second(whole)}.{micros:06d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    """A second of UTC; most events share theirs with the one before."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _run_started(event: RunStarted) -> dict[str, Any]:
    return {
        "targets": list(event.targets),
        "workers": event.workers,
        "runner": event.runner,
        "to_run": event.to_run,
        "to_load": event.to_load,
        "estimated_seconds": event.estimated_seconds,
    }


def _task_started(event: TaskStarted) -> dict[str, Any]:
    return {
        "key": event.task.cache_key,
        "type": type(event.task).__labtech__.label,
        "params": params_json(event.task),
        "attempt": event.attempt,
        "worker": event.worker,
    }


def _task_retried(event: TaskRetried) -> dict[str, Any]:
    return {
        "key": event.task.cache_key,
        "type": type(event.task).__labtech__.label,
        "params": params_json(event.task),
        "attempt": event.attempt,
        "error": _failure(event.error),
        "delay_seconds": event.delay_seconds,
        "duration_seconds": event.duration_seconds,
        "peak_memory_bytes": event.peak_memory_bytes,
    }


def _task_output(event: TaskOutput) -> dict[str, Any]:
    return {"key": event.task.cache_key, "type": type(event.task).__labtech__.label, "text": event.text}


def _task_finished(event: TaskFinished) -> dict[str, Any]:
    return {
        "outcome": event.outcome.value,
        "key": event.task.cache_key,
        "type": type(event.task).__labtech__.label,
        "params": params_json(event.task),
        "attempt": event.attempt,
        "duration_seconds": event.duration_seconds,
        "peak_memory_bytes": event.peak_memory_bytes,
        "error": _failure(event.error),
        "because": None if event.because is None else event.because.cache_key,
    }


def _failure(error: Failure | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {
        "kind": error.kind,
        "message": error.message,
        "traceback": error.traceback,
        "output": error.output,
    }


def _warned(event: Warned) -> dict[str, Any]:
    return {"message": event.message}


def _run_finished(event: RunFinished) -> dict[str, Any]:
    return {
        "counts": event.counts,
        "exit_code": event.exit_code,
        "duration_seconds": event.duration_seconds,
        "saved_seconds": event.saved_seconds,
        "interrupted": event.interrupted,
    }


_FORMS: dict[type, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    RunStarted: ("run_started", _run_started),
    TaskStarted: ("task_started", _task_started),
    TaskRetried: ("task_retried", _task_retried),
    TaskOutput: ("task_output", _task_output),
    TaskFinished: ("task_finished", _task_finished),
    Warned: ("warning", _warned),
    RunFinished: ("run_finished", _run_finished),
}
