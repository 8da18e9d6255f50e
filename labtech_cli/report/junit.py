"""A run as a JUnit XML file, which CI systems show as test results.

One `<testsuite>` with a `<testcase>` per task, its type as the class name: the shape that pytest
writes, and so the one that every consumer knows. An exception of a task is a `<failure>`; its death or
timeout, where no exception tells what happened, is an `<error>`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from labtech_cli.core.events import Event, Failure, Outcome, RunFinished, RunStarted, TaskFinished, TaskOutput
from labtech_cli.report import words
from labtech_cli.report.base import Reporter

MOST_TEXT = 16_000  # characters of one traceback or output: its end, where the error is
MOST_TEXTS = 32_000_000  # of all of them together: consumers refuse larger files
MOST_MESSAGE = 1_000
MOST_NAME = 200
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0, even as references


class JUnitReporter(Reporter):
    """Writes `file` when the run is over, whole and in one step, however the run ended.

    Test cases wait in an unnamed file of the same folder, so memory does not grow with tasks and nothing
    is left behind by a command that is killed. Raises `OSError` where `file` could not be written.
    """

    def __init__(self, file: Path) -> None:
        self._file = Path(os.path.realpath(file))  # a link stays one
        if self._file.exists() and not self._file.is_file():
            code = errno.EISDIR if self._file.is_dir() else errno.EINVAL
            raise OSError(code, "is a directory" if self._file.is_dir() else "not a regular file")
        self._cases = tempfile.TemporaryFile(dir=self._file.parent)  # noqa: SIM115 - closed by `close`
        self._counts: Counter[str] = Counter()
        self._outputs: dict[str, str] = {}
        """The end of what each running task wrote, by key."""
        self._room = MOST_TEXTS
        self._started: RunStarted | None = None
        self._finished: RunFinished | None = None
        self._last = 0.0
        self._whole = True

    def handle(self, event: Event) -> None:
        self._last = event.time
        if isinstance(event, TaskOutput):
            key = event.task.cache_key
            self._outputs[key] = (self._outputs.get(key, "") + event.text)[-MOST_TEXT:]
        elif isinstance(event, TaskFinished):
            self._add(_name(event.task), type(event.task).__labtech__.name, event.duration_seconds, self._case(event))
        elif isinstance(event, RunStarted):
            self._started = event
        elif isinstance(event, RunFinished):
            self._finished = event

    def close(self) -> None:
        with self._cases:
            if self._started is None or not self._whole:  # nothing to tell, or a gap in it
                return
            if self._finished is None or self._broke(self._finished):
                stopped = Failure("RunStopped", "the run stopped before it ended; some tasks may not be told of here")
                self._add("run", "labtech", None, self._failure(stopped))
            self._publish(self._started)

    def _broke(self, finished: RunFinished) -> bool:
        """Whether the run ended with an error that is no task's."""
        told = self._counts["failures"] + self._counts["errors"]
        return finished.exit_code != 0 and not finished.interrupted and not told

    def _case(self, event: TaskFinished) -> str:
        """What a test case holds, in the order that the schema asks for."""
        output = self._outputs.pop(event.task.cache_key, "")
        if event.outcome is Outcome.LOADED:
            return "<system-out>loaded from the cache</system-out>"
        if event.outcome is Outcome.SKIPPED and event.because is not None:
            return self._skipped(f"because {words.label(event.because, MOST_NAME)} failed")
        if event.outcome in (Outcome.SKIPPED, Outcome.CANCELLED):
            return self._skipped(f"{event.outcome.value}: the run stopped first") + self._output(output)
        if event.error is not None:
            return self._failure(event.error) + self._output(output or event.error.output)
        return self._output(output)

    def _skipped(self, why: str) -> str:
        self._counts["skipped"] += 1
        return f"<skipped message={_attribute(why)}/>"

    def _failure(self, error: Failure) -> str:
        element = "failure" if error.traceback else "error"
        self._counts[element + "s"] += 1
        message = error.message or error.kind
        text = self._text(error.traceback or str(error))
        return f"<{element} type={_attribute(error.kind)} message={_attribute(message)}>{text}</{element}>"

    def _output(self, output: str) -> str:
        text = self._text(output) if output else ""
        return f"<system-out>{text}</system-out>" if text else ""

    def _text(self, text: str) -> str:
        """Foreign text as content: harmless, its end only where it is long, nothing once the file is full."""
        cut = text if len(text) <= MOST_TEXT else f"… its last {MOST_TEXT:,} characters:\n{text[-MOST_TEXT:]}"
        self._room -= len(cut)
        return escape(_legal(cut)) if self._room >= 0 else "left out: the report is too large"

    def _add(self, name: str, kind: str, seconds: float | None, content: str) -> None:
        self._counts["tests"] += 1
        head = f'<testcase classname={_attribute(kind)} name={_attribute(name)} time="{_seconds(seconds)}"'
        try:
            self._cases.write(f"{head}>{content}</testcase>\n".encode() if content else f"{head}/>\n".encode())
        except BaseException:
            self._whole = False
            raise

    def _publish(self, started: RunStarted) -> None:
        beside = self._file.with_name(f".labtech-{uuid.uuid4().hex}.tmp")
        try:
            with open(beside, "xb") as out:
                out.write("".join(self._head(started)).encode())
                self._cases.seek(0)
                shutil.copyfileobj(self._cases, out)
                out.write(b"</testsuite>\n</testsuites>\n")
            os.replace(beside, self._file)
        finally:
            beside.unlink(missing_ok=True)

    def _head(self, started: RunStarted) -> Iterator[str]:
        finished = self._finished
        totals = {name: str(self._counts[name]) for name in ("tests", "failures", "errors")}
        totals["time"] = _seconds(finished.duration_seconds if finished else self._last - started.time)
        suite = {
            "name": " ".join(started.targets)[:MOST_NAME] or "labtech",
            **totals,
            "skipped": str(self._counts["skipped"]),
            "timestamp": datetime.fromtimestamp(started.time, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": socket.gethostname(),
        }
        properties = {"run_id": started.run_id, "runner": started.runner, "workers": str(started.workers)}
        if finished is not None:
            properties["exit_status"] = str(finished.exit_code)
        yield '<?xml version="1.0" encoding="utf-8"?>\n'
        yield f"<testsuites{_attributes(name='labtech', **totals)}>\n<testsuite{_attributes(**suite)}>\n<properties>\n"
        for name, value in properties.items():
            yield f"<property{_attributes(name=name, value=value)}/>\n"
        yield "</properties>\n"


def _name(task: Any) -> str:
    """A task in one line, unlike that of any other task: consumers take tests of one name for one test."""
    text = words.label(task, MOST_NAME)
    fields = type(task).__dataclass_fields__
    if len(text) < MOST_NAME and all(fields[name].repr for name in type(task).__labtech__.parameters):
        return text
    return f"{text} [{task.cache_key[:12]}]"


def _seconds(seconds: float | None) -> str:
    return f"{max(0.0, seconds or 0.0):.3f}"


def _attributes(**values: str) -> str:
    return "".join([f" {name}={_attribute(value)}" for name, value in values.items()])


def _attribute(value: str) -> str:
    """A value with its quotes; line breaks become references, for a parser makes spaces of them."""
    return quoteattr(_legal(value[:MOST_MESSAGE]))


def _legal(text: str) -> str:
    """Foreign text without colours, cursor movements and what XML cannot hold."""
    return text if text.isprintable() else _ILLEGAL.sub("\ufffd", "\n".join(words.lines(text)))
