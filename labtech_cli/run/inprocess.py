"""Runners inside this process: `serial`, one task at a time, and `thread`, several at a time."""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import Any

from labtech_cli.core.events import Active
from labtech_cli.core.flat import pack, unpack
from labtech_cli.core.task import restore
from labtech_cli.run import worker
from labtech_cli.run.capture import FileCapture, ThreadStream, logging_to_stderr
from labtech_cli.run.context import Context
from labtech_cli.run.excerpt import LOOK_SECONDS, Excerpt, OutputFile
from labtech_cli.run.gauge import Gauge
from labtech_cli.run.nested import Leftovers, end_turn, take_turns
from labtech_cli.run.runner import Note, Output, Report, Runner, Setting, Work, check_files
from labtech_cli.run.shares import Surroundings
from labtech_cli.run.timeouts import alarm, can_alarm
from labtech_cli.run.worker import Desk, Outcome, Tracker, execute


def _desk(setting: Setting, note: Any) -> Desk:
    tracker = setting.tracker or Tracker()
    tracker.note = note
    return Desk(setting.spool, Context(setting.context), tracker, keep_values=True)


class SerialRunner(Runner):
    """Runs each task in the caller's thread, when it is waited for."""

    parts_environment = True

    def start(self, setting: Setting) -> None:
        self._graph, self._leftovers = setting.graph, Leftovers()
        self._notes: list[Report] = []
        self._seen: list[bytes] = []
        self._desk = _desk(setting, lambda number, value: self._notes.append(Note(number, value)))
        self._queued: list[Work] = []
        self.ends_tasks = can_alarm()
        self._surroundings = Surroundings()
        self._gauge = self._desk.gauge = Gauge(resets=False)
        self._output = OutputFile()
        self._capture = FileCapture(self._output.fd)
        self._excerpt: Excerpt | None = None  # of the task that runs
        self._looking, self._over = threading.Lock(), threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="labtech-output", daemon=True)
        self._watcher.start()

    def room(self) -> int:
        return 1 - len(self._queued)

    def submit(self, work: Work) -> None:
        self._queued.append(work)

    def wait(self, timeout: float | None) -> list[Report]:
        if not self._queued:
            return []
        work = self._queued.pop()
        task = self._graph.tasks[work.number]
        inputs = {self._graph.tasks[number]._labtech_key: given for number, given in work.inputs.items()}
        start = self._output.size()
        self._capture.begin()
        self._excerpt = excerpt = Excerpt(self._output, start)
        try:
            with logging_to_stderr(), self._surroundings.suit(work.share), alarm(work.timeout):
                outcome = execute(task, work.number, work.attempt, inputs, self._desk)
        finally:
            self._capture.end()
        with self._looking:
            self._excerpt = None
            written = self._capture.text(start)
            text = b"".join([*self._seen, excerpt.end(written) if written is not None else b""])
            self._seen.clear()
        notes, self._notes = self._notes, []
        return [*notes, *([Output(work.number, text)] if text else []), outcome]

    def _watch(self) -> None:
        """While a task runs: take in what it writes, so that its room can be given back."""
        pace = LOOK_SECONDS
        while not self._over.wait(pace):
            with self._looking:
                if self._excerpt is not None:
                    self._gauge.sample()
                    size = self._output.size()
                    self._seen.append(self._excerpt.look(size))
                    pace = self._output.pace(size)

    def active(self) -> list[tuple[int, Active]]:
        """The task that is about to run: while it does, nothing else happens."""
        return [(work.number, Active(self._graph.tasks[work.number], 0, time.time())) for work in self._queued]

    def close(self) -> None:
        if hasattr(self, "_watcher"):
            self._over.set()
            self._watcher.join()
            self._gauge.close()
            self._output.close()
            self._leftovers.end()


class ThreadRunner(Runner):
    """Runs tasks in threads of this process: for work that waits, or releases the interpreter lock."""

    def start(self, setting: Setting) -> None:
        self._graph, self._leftovers = setting.graph, Leftovers()
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        take_turns()
        self._desk = _desk(setting, lambda number, value: self._reports.put(Note(number, value)))
        self._given = 0
        self._size = min(setting.workers, max(1, len(setting.graph)))
        check_files(self._size, 1)
        self._running: dict[int, tuple[int, float]] = {}
        self._outputs = [OutputFile() for _ in range(self._size)]
        self._files: dict[int, int] = {}
        self._excerpts: list[Excerpt | None] = [None] * self._size  # of the tasks that run, by slot
        self._looking, self._next_look = threading.Lock(), 0.0
        self._saved = sys.stdout, sys.stderr
        self._streams = ThreadStream(sys.stdout, self._files), ThreadStream(sys.stderr, self._files)
        sys.stdout, sys.stderr = self._streams
        self._logging = logging_to_stderr()
        self._logging.__enter__()
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), name=f"labtech-{slot}", daemon=True)
            for slot in range(self._size)
        ]
        for thread in self._threads:
            thread.start()

    def room(self) -> int:
        return self._size - self._given

    def submit(self, work: Work) -> None:
        self._given += 1
        self._work.put(work)

    def wait(self, timeout: float | None) -> list[Report]:
        end = float("inf") if timeout is None else time.monotonic() + timeout
        found = self._arrived(0.0)
        while not found and (left := end - time.monotonic()) > 0:
            found = self._arrived(min(left, self._look()))
        self._given -= sum(1 for report in found if type(report) is Outcome)
        return found

    def _arrived(self, timeout: float) -> list[Report]:
        found: list[Report] = []
        try:
            found.append(self._reports.get(timeout=timeout))
            while True:
                found.append(self._reports.get_nowait())
        except queue.Empty:
            return found

    def active(self) -> list[tuple[int, Active]]:
        return [
            (number, Active(self._graph.tasks[number], slot, started))
            for slot, (number, started) in list(self._running.items())
        ]

    def close(self) -> None:
        if not hasattr(self, "_threads"):
            return
        for _ in self._threads:
            self._work.put(None)
        deadline = time.monotonic() + 2.0
        for thread, output in zip(self._threads, self._outputs, strict=True):
            thread.join(max(0.0, deadline - time.monotonic()))
            if not thread.is_alive():  # else its task cannot be ended: it goes, and writes, with the process
                output.close()
        self._leftovers.end()
        sys.stdout, sys.stderr = self._saved
        self._logging.__exit__(None, None, None)

    def _serve(self, slot: int) -> None:
        ident, output = threading.get_ident(), self._outputs[slot]
        while (work := self._work.get()) is not None:
            start = output.size()
            excerpt = self._excerpts[slot] = Excerpt(output, start)
            self._files[ident] = output.fd
            with self._looking:
                self._running[slot] = work.number, time.time()
            try:
                task, inputs = self._private(work)
            except BaseException as error:  # a post_init that raises
                outcome = Outcome(work.number, time.time(), 0.0, None, None, None, worker.describe_failure(error))
            else:
                outcome = execute(task, work.number, work.attempt, inputs, self._desk)
            end_turn()
            del self._files[ident]
            with self._looking:
                self._excerpts[slot] = None
                del self._running[slot]
                if not self._running:  # what one task did to them ends with it, unless another may be at it
                    sys.stdout, sys.stderr = self._streams
                self._pass_on(work.number, excerpt.end(output.text(start)))
            self._reports.put(outcome)

    def _look(self) -> float:
        """By the clock: pass on what running tasks have written; how soon to look again."""
        now = time.monotonic()
        if now < self._next_look:
            return self._next_look - now
        pace = LOOK_SECONDS
        with self._looking:
            for slot, (number, _) in list(self._running.items()):
                excerpt, output = self._excerpts[slot], self._outputs[slot]
                if excerpt is not None:
                    size = output.size()
                    self._pass_on(number, excerpt.look(size))
                    pace = min(pace, output.pace(size))
        self._next_look = now + pace
        return pace

    def _pass_on(self, number: int, text: bytes) -> None:
        if text:
            self._reports.put(Output(number, text))

    def _private(self, work: Work) -> tuple[Any, dict[str, worker.Input]]:
        """A copy of the task and of those it holds: threads must not share where results are found."""
        task = self._graph.tasks[work.number]
        inputs = {self._graph.tasks[number]._labtech_key: given for number, given in work.inputs.items()}
        values, nested = pack([getattr(task, name) for name in type(task).__labtech__.parameters])
        copies = unpack(values, [_copy(item) for item in nested]) if nested else values
        return restore(type(task), task._labtech_version, task._labtech_key, copies), inputs


def _copy(task: Any) -> Any:
    values = [getattr(task, name) for name in type(task).__labtech__.parameters]
    return restore(type(task), task._labtech_version, task._labtech_key, values)
