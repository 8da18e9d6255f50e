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
from labtech_cli.run.runner import Note, Output, Report, Runner, Setting, Work
from labtech_cli.run.timeouts import alarm, can_alarm
from labtech_cli.run.worker import Desk, Outcome, Tracker, execute


def _desk(setting: Setting, note: Any) -> Desk:
    tracker = setting.tracker or Tracker()
    tracker.note = note
    return Desk(setting.spool, Context(setting.context), tracker, keep_values=True)


class SerialRunner(Runner):
    """Runs each task in the caller's thread, when it is waited for."""

    def start(self, setting: Setting) -> None:
        self._graph, self._pool_before = setting.graph, worker.nested_pool()
        self._notes: list[Report] = []
        self._desk = _desk(setting, lambda number, value: self._notes.append(Note(number, value)))
        self._queued: list[Work] = []
        self.ends_tasks = can_alarm()
        self._capture = FileCapture()

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
        self._capture.begin()
        try:
            with logging_to_stderr(), alarm(work.timeout):
                outcome = execute(task, work.number, work.attempt, inputs, self._desk)
        finally:
            self._capture.end()
        reports: list[Report] = []
        while data := self._capture.take(flush=False):
            reports.append(Output(work.number, data))
        self._capture.trim()
        notes, self._notes = self._notes, []
        return [*notes, *reports, outcome]

    def active(self) -> list[tuple[int, Active]]:
        return []  # while a task runs, nothing else does

    def close(self) -> None:
        if hasattr(self, "_capture"):
            self._capture.close()
            worker.close_nested_pools(self._pool_before)


class ThreadRunner(Runner):
    """Runs tasks in threads of this process: for work that waits, or releases the interpreter lock."""

    def start(self, setting: Setting) -> None:
        self._graph, self._pool_before = setting.graph, worker.nested_pool()
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._desk = _desk(setting, lambda number, value: self._reports.put(Note(number, value)))
        self._given = 0
        self._size = min(setting.workers, max(1, len(setting.graph)))
        self._running: dict[int, tuple[int, float]] = {}
        self._buffers: dict[int, list[str]] = {}
        self._saved = sys.stdout, sys.stderr
        sys.stdout = ThreadStream(sys.stdout, self._buffers)
        sys.stderr = ThreadStream(sys.stderr, self._buffers)
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
        found: list[Report] = []
        try:
            found.append(self._reports.get(timeout=timeout))
            while True:
                found.append(self._reports.get_nowait())
        except queue.Empty:
            pass  # there are no more for now: that is what ends the loop
        self._given -= sum(1 for report in found if type(report) is Outcome)
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
        for thread in self._threads:
            thread.join(
                max(0.0, deadline - time.monotonic())
            )  # a task that still runs cannot be ended: it goes with the process
        worker.close_nested_pools(self._pool_before)
        sys.stdout, sys.stderr = self._saved
        self._logging.__exit__(None, None, None)

    def _serve(self, slot: int) -> None:
        ident = threading.get_ident()
        while (work := self._work.get()) is not None:
            buffer = self._buffers[ident] = []
            self._running[slot] = work.number, time.time()
            try:
                task, inputs = self._private(work)
            except BaseException as error:  # a post_init that raises
                outcome = Outcome(work.number, time.time(), 0.0, 0, None, None, worker.describe_failure(error))
            else:
                outcome = execute(task, work.number, work.attempt, inputs, self._desk)
            del self._running[slot]
            del self._buffers[ident]
            if buffer:
                self._reports.put(Output(work.number, "".join(buffer).encode("utf-8", "replace")))
            self._reports.put(outcome)

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
