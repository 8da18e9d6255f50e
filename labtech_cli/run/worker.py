"""The only place that calls `task.run()`: one function for every runner.

`execute` runs one task with its inputs at hand and returns an `Outcome`: the result as it will be
kept, or why there is none. Whatever a task does short of ending the process becomes data here.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from labtech_cli.core.codec import encode_params
from labtech_cli.core.events import Failure
from labtech_cli.core.flat import pack
from labtech_cli.core.present import render
from labtech_cli.core.task import ResultMeta, attach
from labtech_cli.errors import DamagedResult, TaskError, type_and_words, words_of
from labtech_cli.run.context import Context
from labtech_cli.run.gauge import Gauge
from labtech_cli.store import formats
from labtech_cli.store.blobs import Stored, verify

_MAX_TRACEBACK = 32_768
_MAX_MESSAGE = 8_192
_MAX_KIND = 200
_CONSTANTS = (int, float, str, bool, type(None), bytes, complex)  # nobody can change these: one copy serves all
_MOST_CONSTANTS = 10_000
_NOTHING = nullcontext()
_OURS = __file__.rpartition("run")[0]
in_task = False
"""Whether this process is a worker: a Lab must not be used here."""
here = threading.local()
"""`here.in_task`: whether this thread runs a task."""


class Input(NamedTuple):
    """A dependency's result, for a task that is about to run."""

    stored: Stored | None
    value: Any
    """The result itself, where runner and task share a process and nothing is kept."""
    started_at: float
    duration: float
    verified: bool


class Outcome(NamedTuple):
    """What became of one execution."""

    number: int
    started_at: float
    duration: float
    peak_memory: int | None
    """Bytes, of its process and all it started; None where tasks share a process and nobody can tell."""
    stored: Stored | None
    value: Any
    failure: Failure | None
    params: str = ""
    """The task's parameters as a storage keeps them: written down here, where there is a CPU for it."""


class Tracker:
    """What is wrapped around `run()`: nothing, unless a subclass says otherwise."""

    note: Callable[[int, Any], None]
    """Set by the runner: tells the parent something about a task, at once."""

    def around(self, task: Any, number: int, attempt: int) -> AbstractContextManager[Any]:
        return nullcontext()


@dataclass(slots=True)
class Desk:
    """What a worker has at hand for every task it runs."""

    spool: str
    context: Context
    tracker: Tracker = field(default_factory=Tracker)
    gauge: Gauge | None = None
    """None where tasks share a process."""
    keep_values: bool = False
    """Hand results that are not kept on as they are: tasks and caller share this process."""
    verified: set[str] = field(default_factory=set)
    constants: dict[str, Any] = field(default_factory=dict)
    """Results by key that were loaded once and need not be again: small ones that nobody can change."""


class Frame:
    """The scope of one execution: finds its dependencies' results, loaded once and dropped with it.

    Each execution loads its own copy, so a task that changes what it was given harms no other.
    """

    def __init__(self, task: Any, inputs: Mapping[str, Input], desk: Desk) -> None:
        self._task, self._inputs, self._desk = task, inputs, desk
        self._values: dict[str, Any] = {}
        self._context: Any = None
        self._open = True

    def result(self, task: Any) -> Any:
        key = task._labtech_key
        if key not in self._values:
            self._values[key] = self._load(task)
        return self._values[key]

    def _load(self, task: Any) -> Any:
        given, key, desk = self._input(task), task._labtech_key, self._desk
        if given.stored is None:
            return given.value
        if key in desk.constants:
            return desk.constants[key]
        if not given.verified and key not in desk.verified:
            verify(given.stored)
            desk.verified.add(key)
        value = formats.load(task, given.stored)
        if type(value) in _CONSTANTS and given.stored.inline:
            if len(desk.constants) >= _MOST_CONSTANTS:
                desk.constants.clear()
            desk.constants[key] = value
        return value

    def _input(self, task: Any) -> Input:
        given = self._inputs.get(task._labtech_key)
        if given is None or not self._open:
            raise TaskError(
                f"the result of {render(task, 100)} is not available in {render(self._task, 100)}",
                hint="results of its own parameters are, while run() executes; make the task a parameter",
            )
        return given

    def result_meta(self, task: Any) -> ResultMeta:
        given = self._input(task)
        return ResultMeta(datetime.fromtimestamp(given.started_at), timedelta(seconds=given.duration))

    def context(self, task: Any) -> Any:
        if self._context is None:
            choose = getattr(self._task, "filter_context", None)
            self._context = choose(self._desk.context) if choose is not None else self._desk.context
        return self._context

    def close(self) -> None:
        self._open = False
        self._values = {}
        self._inputs = {}


def execute(
    task: Any,
    number: int,
    attempt: int,
    inputs: Mapping[str, Input],
    desk: Desk,
) -> Outcome:
    """Run one task and save its result. Never raises for what the task does."""
    frame = Frame(task, inputs, desk)
    nested = pack([getattr(task, name) for name in type(task).__labtech__.parameters])[1] if task._labtech_deps else []
    attach(task, frame)
    for item in nested:
        attach(item, frame)
    gauge = desk.gauge
    if gauge is not None:
        gauge.begin()
    started_at, clock = time.time(), time.perf_counter()
    stored = value = failure = None
    duration = None
    try:
        here.in_task = True
        kind = type(task).__labtech__
        with desk.tracker.around(task, number, attempt) if kind.mlflow_run else _NOTHING:
            result = _here(task.run)
            duration = time.perf_counter() - clock
            if desk.keep_values and kind.keeps_nothing:
                value = result
            else:
                stored = _here(_save, task, result, desk)
    except _NotSaved as error:
        failure = error.failure
    except BaseException as error:  # KeyboardInterrupt and SystemExit of a task are its failure, too
        failure = describe_failure(error)
    finally:
        here.in_task = False
        for item in nested:
            attach(item, None)
        attach(task, None)
        frame.close()
    if duration is None:
        duration = time.perf_counter() - clock
    peak = gauge.peak() if gauge is not None else None
    params = encode_params(task) if failure is None else ""
    return Outcome(number, started_at, duration, peak, stored, value, failure, params)


def _here(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call the user's code. A process that it forked and that comes back from it ends here: it is no second worker."""
    process = os.getpid()
    try:
        result = call(*arguments)
    except BaseException as error:
        if os.getpid() != process:
            _end_fork(error)
        raise
    if os.getpid() != process:
        _end_fork(None)
    return result


def _end_fork(error: BaseException | None) -> NoReturn:
    """End this process as Python ends one, but for what others have put on the stack and registered: it is not ours."""
    status = 0
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        status = error.code or 0
    elif error is not None:
        status = 1
        with suppress(Exception):  # whatever it says, the process ends
            failure = describe_failure(error)
            print(error.code if isinstance(error, SystemExit) else failure.traceback.rstrip(), file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status & 0xFF)


class _NotSaved(Exception):
    """A result could not be saved; raised so that what is wrapped around the task learns of it, too."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _save(task: Any, result: Any, desk: Desk) -> Stored:
    try:
        return formats.save(task, result, desk.spool)
    except Exception as error:  # what stops a task is no fault of its result
        cache = formats.format_of(type(task).__labtech__)
        why = _bounded(type_and_words(error), _MAX_MESSAGE)
        what = f"the result of type '{type(result).__name__}' cannot be saved by {cache!r}: {why}"
        raise _NotSaved(Failure("CacheError", what, describe_failure(error).traceback)) from None


def describe_failure(error: BaseException) -> Failure:
    """An exception as data, its traceback without our own frames."""
    try:
        trimmed = _trim(error)
        text = "".join(traceback.format_exception(type(error), error, trimmed))
    except Exception as problem:  # a broken __str__ or __cause__ must not hide the failure
        text = f"{type(error).__name__} (its traceback cannot be shown: {type(problem).__name__})\n"
    kind = "DamagedResult" if isinstance(error, DamagedResult) else type(error).__qualname__[:_MAX_KIND]
    return Failure(kind, _bounded(words_of(error), _MAX_MESSAGE), _bounded(text, _MAX_TRACEBACK))


def _bounded(text: str, most: int) -> str:
    """The beginning and the end of a long text."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"


def _trim(error: BaseException) -> Any:
    """The traceback from the first frame outside this package on; none where there is no such frame."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    return trace
