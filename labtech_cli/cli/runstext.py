"""One run as a row, as lines of text, and as a document."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from labtech_cli.core.events import Outcome
from labtech_cli.report import words
from labtech_cli.report.past import Past, Story

_OUTCOMES = [outcome.value for outcome in Outcome]
_TEXTS = ("started_at", "runner", "folder", "host", "user", "labtech")
_NUMBERS = ("workers", "pid", "exit_code", "duration_seconds", "saved_seconds")
_SLOWEST = 5
_TRACEBACKS = 10  # failures that are told with theirs
_TRACEBACK_LINES = 15


def document(run: Past, status: str) -> dict[str, Any]:
    """What is known of a run, as documented; a file that says something else counts as saying nothing."""
    about = run.about
    counts = about.get("counts")
    if not isinstance(counts, dict):
        counts = Counter(run.outcomes().values())
    return {
        "run_id": run.run_id,
        "status": status,
        **{name: _kind(about.get(name), str) for name in _TEXTS},
        **{name: _kind(about.get(name), int, float) for name in _NUMBERS},
        "targets": _texts(about.get("targets")),
        "argv": _texts(about.get("argv")),
        "counts": {name: _kind(counts.get(name), int) or 0 for name in _OUTCOMES},
    }


def row(found: dict[str, Any]) -> dict[str, Any]:
    """A line of the listing."""
    lasted = found["duration_seconds"]
    return {
        "run": found["run_id"],
        "started": _local(found["started_at"]),
        "status": found["status"],
        "took": None if lasted is None else words.duration(float(lasted)),
        "tasks": tally(found["counts"]),
        "targets": " ".join(found["targets"])[:100],
    }


def tally(counts: dict[str, int]) -> str:
    """`3 succeeded, 1 failed`."""
    return ", ".join([f"{many:,} {outcome}" for outcome, many in counts.items() if many]) or "none"


class RunText:
    """One run in full."""

    def __init__(self, about: dict[str, Any], events: Sequence[dict[str, Any]], stories: Sequence[Story]) -> None:
        self._about, self._stories = about, stories
        self._warnings = [str(event.get("message", "")) for event in events if event["event"] == "warning"]

    def as_json(self) -> dict[str, Any]:
        """As documented."""
        return {
            "schema": "labtech.run/1",
            **self._about,
            "warnings": self._warnings,
            "types": self._types(),
            "tasks": [story.as_json() for story in self._stories],
        }

    def lines(self, log_command: str) -> Iterator[str]:
        """For people."""
        yield from self._head()
        for message in self._warnings:
            yield f"warning   {words.one_line(message)}"
        rows = self._types()
        if rows:
            yield ""
            yield "types"
            for found in rows:
                yield f"  {found['type']}: {tally({name: found[name] for name in _OUTCOMES})}"
        yield from self._failures(log_command)
        yield from self._unfinished()
        yield from self._slowest()

    def _head(self) -> Iterator[str]:
        about = self._about
        status = about["status"] + (f", exit status {about['exit_code']}" if about["exit_code"] else "")
        lasted = about["duration_seconds"]
        took = f", took {words.duration(float(lasted))}" if lasted is not None else ""
        yield f"run       {about['run_id']}"
        yield f"status    {status}"
        yield f"tasks     {tally(about['counts'])}"
        yield f"started   {_local(about['started_at']) or '-'}{took}"
        yield f"targets   {' '.join(about['targets']) or '-'}"
        yield f"command   {' '.join(about['argv']) or '-'}"
        yield f"where     {about['host'] or '-'}, process {about['pid']}, user {about['user']}, in {about['folder']}"
        yield f"runner    {about['runner']}, {about['workers']} workers, labtech {about['labtech']}"

    def _types(self) -> list[dict[str, Any]]:
        found: dict[str, Counter[str]] = {}
        for story in self._stories:
            if story.outcome is not None:
                found.setdefault(story.type, Counter())[story.outcome] += 1
        return [{"type": name, **{outcome: tally[outcome] for outcome in _OUTCOMES}} for name, tally in found.items()]

    def _failures(self, log_command: str) -> Iterator[str]:
        tried = [story for story in self._stories if story.attempts]
        for number, story in enumerate(tried):
            yield ""
            again = " at first" if story.outcome == Outcome.SUCCEEDED else ""
            yield f"{label(story)} failed{again}"
            for attempt in story.attempts:
                lasted = attempt["duration_seconds"]
                took = f" after {words.duration(float(lasted))}" if isinstance(lasted, (int, float)) else ""
                error = attempt["error"]
                told = words.one_line(f"{error['kind']}: {error['message']}" if error["message"] else error["kind"])
                yield f"  attempt {attempt['attempt']}{took}: {told}"
            if number < _TRACEBACKS:
                lines = [line for line in words.lines(story.attempts[-1]["error"]["traceback"]) if line.strip()]
                yield from [f"    {line}" for line in lines[-_TRACEBACK_LINES:]]
            skipped = sum(other.because == story.key for other in self._stories)
            if skipped:
                yield f"  skipped because of it: {words.count(skipped, 'task')}"
            if story.pieces:
                yield f"  log: {log_command} {self._about['run_id']} {story.key[:12]}"

    def _unfinished(self) -> Iterator[str]:
        open_ones = [story for story in self._stories if story.outcome is None]
        if open_ones:
            yield ""
            yield "running" if self._about["status"] == "running" else "not finished"
            yield from [f"  {label(story)}" for story in open_ones]

    def _slowest(self) -> Iterator[str]:
        timed = [story for story in self._stories if isinstance(story.duration, (int, float))]
        if len(timed) > 1:
            yield ""
            yield "slowest"
            for story in sorted(timed, key=lambda story: -float(story.duration or 0))[:_SLOWEST]:
                peak = f", {words.size(story.peak_memory)}" if isinstance(story.peak_memory, int) else ""
                yield f"  {words.duration(float(story.duration or 0))}{peak}: {label(story)}"


def label(story: Story, limit: int = 100) -> str:
    """A task in one line: its type and parameters as they were written down, else its key."""
    if story.params is None:
        return f"{story.type} {story.key[:12]}".strip()
    text = _call(story.type, story.params)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _call(kind: str, params: Any) -> str:
    if not isinstance(params, dict):
        return f"{kind}(…)"
    return f"{kind}({', '.join([f'{name}={_value(value)}' for name, value in params.items()])})"


def _value(value: Any) -> str:
    if isinstance(value, dict) and "type" in value and "key" in value:
        return _call(str(value["type"]), value.get("params"))
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else repr(value)


def _kind(value: Any, *kinds: type) -> Any:
    return value if type(value) in kinds else None


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _local(started: str | None) -> str | None:
    """A time of JSON as the clock on the wall shows it."""
    try:
        return f"{datetime.fromisoformat(started or '').astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return None
