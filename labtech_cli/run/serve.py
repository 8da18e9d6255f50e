"""A worker process: takes tasks from its socket, runs them one at a time, sends back what became of them.

Two threads: the main one runs tasks, and gives back those that would wait too long behind others; the pulse, ten times
a second, sends what is finished while a long task runs, gives back tasks that wait behind it, and ends the process
group when the parent is gone.
What tasks write goes to a file that the parent reads while they run (see `excerpt`); what one has written when it
ends is sent with its outcome.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import FrameType
from typing import Any, NamedTuple

from labtech_cli import alias
from labtech_cli.core.flat import unpack
from labtech_cli.core.task import restore
from labtech_cli.errors import RunnerError
from labtech_cli.project.modules import import_place
from labtech_cli.run import wire, worker
from labtech_cli.run.board import NOTHING, Board
from labtech_cli.run.capture import FileCapture, logging_to_stderr
from labtech_cli.run.context import Context, ContextSpec
from labtech_cli.run.excerpt import Text
from labtech_cli.run.family import die_with_parent
from labtech_cli.run.gauge import Gauge
from labtech_cli.run.nested import close_joblib_pool
from labtech_cli.run.runner import Note, Returned
from labtech_cli.run.shares import Share, Surroundings
from labtech_cli.run.worker import Desk, Input, Outcome, Tracker, execute

PULSE_SECONDS = 0.1
_NOTHING = contextlib.nullcontext()
_FLUSH_SECONDS = 0.005  # finished tasks are reported together if they end within this time
_PATIENCE_SECONDS = 0.05  # what is handed out is to fill 20 ms: what has waited longer is better off elsewhere


class Setup(NamedTuple):
    """What every worker of a run is told first."""

    spool: str
    context: ContextSpec
    tracker: Tracker | None
    modules: Sequence[Any]
    path: list[str]


class Batch(NamedTuple):
    """Work for one worker."""

    types: list[tuple[str, str]]
    """Task types it has not been told of: importable module and qualified name."""
    rows: list[tuple[Any, ...]]
    """Tasks it does not know yet, dependencies first: number, type, version, key, values, dependencies."""
    inputs: dict[int, Input]
    """Results it does not hold yet."""
    drop: list[int]
    """Results it is to forget."""
    work: list[tuple[int, int, tuple[int, ...], bool]]
    """Tasks to run: number, attempt, the numbers of their inputs, whether to keep the result for others."""
    shares: dict[int, Share]
    """What tasks are given of the machine, of those that said what they need."""


class Wrote(NamedTuple):
    """A task that has ended wrote something."""

    number: int
    text: Text


class Server:
    """One worker's state."""

    def __init__(self, sock: socket.socket, board: Board, slot: int, output: int, tasks: Sequence[Any] | None) -> None:
        self._sock, self._board, self._slot = sock, board, slot
        self._tasks: dict[int, Any] = dict(enumerate(tasks)) if tasks is not None else {}
        self._types: list[Any] = []
        self._inputs: dict[int, Input] = {}
        self._shares: dict[int, Share] = {}
        self._surroundings, self._gauge = Surroundings(), Gauge()
        self._queue: deque[tuple[int, int, tuple[int, ...], bool]] = deque()
        self._inbox = wire.Inbox(sock)
        self._reading = threading.Lock()
        self._out: list[Any] = []
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._running: int = NOTHING
        self._since = 0.0
        self._accepted = 0.0  # when the last work came
        self._flushed = time.monotonic()
        self._capture = FileCapture(output)
        self._capture.install()
        self._written = 0  # the size of the output file when the last task ended
        self._parent = os.getppid()

    def serve(self) -> None:
        """Until the parent closes the socket."""
        setup = self._inbox.receive()
        if setup is None:
            return
        sys.path[:] = setup.path
        for place in setup.modules:
            with contextlib.suppress(BaseException):  # the task that needs it says what is wrong
                import_place(place)
        self._written = self._capture.settle()  # what modules print is no task's
        tracker = setup.tracker or Tracker()
        tracker.note = self._note
        desk = Desk(setup.spool, Context(setup.context), tracker, self._gauge)
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # tasks and messages are no cyclic garbage
        threading.Thread(target=self._pulse, name="labtech-pulse", daemon=True).start()
        with logging_to_stderr():
            while self._waits_for_work():
                self._work_off(desk)

    def _waits_for_work(self) -> bool:
        """Whether there is work, now or once it has come; False when the parent has closed the socket.

        The pulse may have read some between the end of the last task and now: then no more may ever come.
        """
        with self._reading:
            if not self._queue:
                batch = self._inbox.receive()
                if batch is None:
                    return False
                self._accept(batch)
        return True

    def _accept(self, batch: Batch) -> None:
        self._types.extend(batch.types)
        for number in batch.drop:
            self._inputs.pop(number, None)
        self._inputs.update(batch.inputs)
        self._shares.update(batch.shares)
        for number, kind, version, key, values, deps in batch.rows:
            try:
                self._tasks[number] = self._make(kind, version, key, values, deps)
            except BaseException as error:  # an import that fails here, or a post_init that raises
                self._tasks[number] = error
        with self._lock:
            self._queue.extend(batch.work)
            self._accepted = time.monotonic()

    def _make(self, kind: int, version: str | None, key: str, values: Any, deps: Sequence[int]) -> Any:
        if isinstance(self._types[kind], tuple):
            self._types[kind] = _find_type(*self._types[kind])
        found = [self._tasks[dep] for dep in deps]
        if deps:
            for dep in found:
                if isinstance(dep, BaseException):
                    raise dep
            values = unpack(values, found)
        return restore(self._types[kind], version, key, values, found)

    def _work_off(self, desk: Desk) -> None:
        self._written = min(self._written, self._capture.size())  # while nothing ran it may have been emptied
        while True:
            with self._lock:
                if not self._queue:
                    self._running = NOTHING
                    self._board.write(self._slot, NOTHING)
                    break
                number, attempt, needs, keep = self._queue.popleft()
                self._running, self._since = number, time.monotonic()
                late = bool(self._queue) and self._since - self._accepted > _PATIENCE_SECONDS
                if late:
                    self._give_back()
            if late:
                self._send()
            if not all([need in self._inputs for need in needs]):  # what it was to follow failed, or is a file
                self._put(Returned((number,)))
                continue
            self._board.write(self._slot, number, time.time(), self._written)
            outcome = self._run(number, attempt, needs, keep, desk)
            self._take_text(number)
            self._put(outcome)
            if time.monotonic() - self._flushed > _FLUSH_SECONDS:
                self._send()
        self._send()

    def _run(self, number: int, attempt: int, needs: tuple[int, ...], keep: bool, desk: Desk) -> Outcome:
        task = self._tasks[number]
        if isinstance(task, BaseException):
            return Outcome(number, time.time(), 0.0, 0, None, None, worker.describe_failure(task))
        inputs = {self._tasks[need]._labtech_key: self._inputs[need] for need in needs} if needs else {}
        share = self._shares.pop(number, None)
        with self._surroundings.suit(share) if share or not self._surroundings.usual else _NOTHING:
            outcome = execute(task, number, attempt, inputs, desk)
        close_joblib_pool()
        if keep and outcome.stored is not None and outcome.stored.inline:
            self._inputs[number] = Input(outcome.stored, None, outcome.started_at, outcome.duration, True)
        return outcome

    def _take_text(self, number: int) -> None:
        """The task has ended: what it wrote goes with its outcome, where no later task can harm it."""
        self._capture.mend()
        text = self._capture.text(self._written)
        if text is not None:
            self._written = text.end
            self._put(Wrote(number, text))

    def _put(self, message: Any) -> None:
        with self._lock:
            self._out.append(message)

    def _note(self, number: int, value: Any) -> None:
        """Tell the parent something now: it must know it should this process die."""
        self._put(Note(number, value))
        self._send()

    def _send(self) -> None:
        with self._sending:
            with self._lock:
                messages, self._out = self._out, []
            self._flushed = time.monotonic()
            if messages:
                wire.send(self._sock, messages)

    def _pulse(self) -> None:
        while True:
            time.sleep(PULSE_SECONDS)
            if os.getppid() != self._parent:  # the keeper is gone: nobody else will
                os.killpg(0, signal.SIGKILL)
            with self._lock:
                number = self._running
                long = number != NOTHING and time.monotonic() - self._since > PULSE_SECONDS
            if long:
                self._read_on()
                self._tell_of(number, self._gauge.sample())

    def _read_on(self) -> None:
        """Take in what was sent since: it would wait behind the task that runs, too."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            while self._inbox.pending or select.select([self._sock], [], [], 0)[0]:
                batch = self._inbox.receive()
                if batch is None:  # the parent is gone, or does not want what runs
                    os.kill(os.getpid(), signal.SIGKILL)  # the keeper ends what the task started
                self._accept(batch)
        finally:
            self._reading.release()

    def _tell_of(self, number: int, memory: int) -> None:
        """While a long task runs: note what it holds, give back what waits behind it, and send what is finished."""
        with self._lock:
            if self._running != number:
                return
            self._board.note(self._slot, memory)
            self._give_back()
        if self._out:
            with contextlib.suppress(OSError):
                self._send()

    def _give_back(self) -> None:
        """Let others have what waits here. The lock is held."""
        if self._queue:
            self._out.append(Returned(tuple(item[0] for item in self._queue)))
            self._queue.clear()


def _find_type(module: str, name: str) -> Any:
    import importlib

    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise RunnerError(
            f"a worker cannot find '{name}' in module '{module}'",
            hint="define task types at the top level of a module that can be imported again",
        )
    return found


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGINT is for tasks, which may send it to themselves; a terminal's Ctrl-C is for the command alone."""
    if getattr(worker.here, "in_task", False):
        raise KeyboardInterrupt


def start(sock: socket.socket, board: Board, slot: int, output: int, tasks: Sequence[Any] | None = None) -> None:
    """The whole life of a worker process; never returns."""
    atexit._clear()  # what the parent registered is the parent's
    worker.in_task = True
    stderr = os.dup(2)
    with contextlib.suppress(OSError):  # already the leader of a group
        os.setpgid(0, 0)
    die_with_parent()
    signal.signal(signal.SIGINT, _interrupt)  # what ignores it would teach so to all programs that tasks start
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    alias.install()
    status = 0
    try:
        Server(sock, board, slot, output, tasks).serve()
    except (BrokenPipeError, ConnectionError):
        status = 1  # the parent is gone
    except BaseException:
        import traceback

        os.write(stderr, traceback.format_exc().encode())  # a bug of ours: descriptor 2 is captured
        status = 70
    finally:
        close_joblib_pool()
        atexit._run_exitfuncs()  # of what tasks imported: joblib removes its memory maps there
        os._exit(status)
