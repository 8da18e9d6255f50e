"""Our own pool of worker processes: one socket each, tasks in batches, one death costs one task.

Each worker is given as many tasks as fill about 20 ms (see `crew`), so a tiny task costs no round
trip of its own, and a long one never has others waiting behind it (a worker gives those back, see
`serve`). The graph is not sent: a worker is told of a task when it first needs
it. What results a worker holds is decided here, within a bound, so nothing is sent twice.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence

from labtech_cli.core.events import Active
from labtech_cli.errors import RunnerError
from labtech_cli.run.board import Board
from labtech_cli.run.crew import MAX_BATCH, Crew
from labtech_cli.run.excerpt import LOOK_SECONDS, OutputFile
from labtech_cli.run.family import end_tree
from labtech_cli.run.handle import WorkerHandle
from labtech_cli.run.runner import Died, Note, Output, Report, Returned, Runner, Setting, Work, check_files
from labtech_cli.run.serve import Batch, Setup, Wrote
from labtech_cli.run.starters import ForkStarter, SpawnStarter, Starter, ZygoteStarter
from labtech_cli.run.wire import Channel
from labtech_cli.run.worker import Input, Outcome

_MOST_IDLE_DEATHS = 10
_GRACE_SECONDS = 2.0
_FILES = 3  # that a worker keeps open here: its socket, its output, its pidfd


class ProcessRunner(Runner):
    """Runs tasks in worker processes. `method`: how they are started; `single_use`: one task each."""

    def __init__(self, method: str, *, single_use: bool = False, zygote: ZygoteStarter | None = None) -> None:
        self._method, self._single_use, self._zygote = method, single_use, zygote
        self._crew = Crew()
        self._workers = self._crew.workers
        self._selector = selectors.DefaultSelector()
        self._board: Board | None = None
        self._starter: Starter
        self._reports: list[Report] = []
        self._idle_deaths = 0
        self._pace, self._next_look = LOOK_SECONDS, 0.0

    def start(self, setting: Setting) -> None:
        self._graph = setting.graph
        size = min(setting.workers, max(1, len(setting.graph)))
        self._size = size
        check_files(size, _FILES)
        self._feeds = bytearray(len(setting.graph))  # 1: others depend on this task's result
        for deps in setting.graph.deps:
            for dep in deps:
                self._feeds[dep] = 1
        if self._method == "zygote":
            self._zygote = self._zygote or ZygoteStarter(size, size, setting.cpus)
            self._zygote.preload(list(setting.modules), sys.path)
            self._starter, self._board = self._zygote, self._zygote.board
        else:
            self._board = Board(size)
            fork = self._method == "fork"
            self._starter = (
                ForkStarter(self._board, setting.graph.tasks) if fork else SpawnStarter(self._board, size, setting.cpus)
            )
        context = setting.context if self._starter.shares_memory else setting.context.pack(setting.spool)
        self._setup = Setup(setting.spool, context, setting.tracker, list(setting.modules), list(sys.path))
        if not self._single_use:
            for slot in range(size):
                self._hire(slot)

    def room(self) -> int:
        if self._single_use:
            return self._size - len(self._workers)
        return self._crew.room()

    def can_follow(self, after: Sequence[int]) -> bool:
        return not self._single_use and self._crew.can_follow(after)

    def submit(self, work: Work) -> None:
        worker: WorkerHandle | None
        if self._single_use:
            taken = {worker.slot for worker in self._workers.values()}
            worker = self._hire(next(slot for slot in range(self._size) if slot not in taken))
        elif work.after:
            worker = self._workers[self._crew.lanes[work.after[0]]]
        else:
            worker = self._crew.choose(work)
        if worker is None:
            self._crew.waiting.append(work)
            return
        self._crew.lanes[work.number] = worker.slot
        worker.in_flight.add(work.number)
        worker.queued.append(work)
        if len(worker.queued) >= MAX_BATCH:
            self._dispatch(worker)

    def wait(self, timeout: float | None) -> list[Report]:
        if self._crew.waiting:
            waiting, self._crew.waiting = self._crew.waiting, []
            for work in waiting:
                self.submit(work)
        for worker in self._workers.values():
            if worker.queued:
                self._dispatch(worker)
        end = float("inf") if timeout is None else time.monotonic() + timeout
        self._listen(0 if self._reports else self._pace if timeout is None else min(timeout, self._pace))
        while not self._reports and (left := end - time.monotonic()) > 0:
            self._listen(min(left, self._pace))
        reports, self._reports = self._reports, []
        return reports

    def _listen(self, timeout: float) -> None:
        """Take in what workers send, and which of them ended."""
        for key, events in self._selector.select(timeout):
            worker = key.data
            if worker.slot not in self._workers or self._workers[worker.slot] is not worker:
                continue
            if key.fileobj == worker.pidfd:
                self._bury(worker)
                continue
            if events & selectors.EVENT_WRITE:
                worker.channel.flush()
            if events & selectors.EVENT_READ:
                self._read(worker)
                if worker.channel.closed:
                    self._bury(worker)
                    continue
            self._watch(worker)
        if time.monotonic() >= self._next_look:
            self._look()

    def _look(self) -> None:
        """By the clock: see what running tasks have written."""
        assert self._board is not None
        self._pace = LOOK_SECONDS
        for worker in self._workers.values():
            written, pace = worker.look(self._board)
            self._pace = min(self._pace, pace)
            self._pass_on(written)
        self._next_look = time.monotonic() + self._pace

    def _pass_on(self, written: Output | None) -> None:
        if written is not None and written.text:
            self._reports.append(written)

    def active(self) -> list[tuple[int, Active]]:
        if self._board is None:
            return []
        found = []
        for worker in self._workers.values():
            number, started = self._board.read(worker.slot)
            if number in worker.in_flight:
                memory = self._board.memory(worker.slot)
                found.append((number, Active(self._graph.tasks[number], worker.slot, started, worker.pid, memory)))
        return found

    ends_tasks = parts_environment = watches_memory = True

    def stop(self, number: int) -> None:
        assert self._board is not None
        worker = self._workers.get(self._crew.lanes.get(number, -1))
        if worker is not None and self._board.read(worker.slot)[0] == number:
            worker.stopped = number
            end_tree(worker.pid)

    def kill(self) -> None:
        for worker in list(self._workers.values()):
            self._kill(worker)
            self._starter.exit_code(worker.pid)
            self._let_go(worker)

    def close(self) -> None:
        """Idle workers leave when their socket closes; those that do not are ended."""
        for worker in self._workers.values():
            self._selector.unregister(worker.channel.sock)
            worker.channel.sock.close()
        deadline = time.monotonic() + _GRACE_SECONDS
        for worker in list(self._workers.values()):
            if not worker.ended_within(deadline - time.monotonic()):
                self._kill(worker)
            with contextlib.suppress(RunnerError):  # the keeper is gone, and with it all that was below it
                self._starter.exit_code(worker.pid)
            worker.close()
        self._workers.clear()
        self._selector.close()
        if self._board is not None:
            self._starter.close()
            self._board.close()
            self._board = None

    # -- workers ---------------------------------------------------------------------------------

    def _hire(self, slot: int) -> WorkerHandle:
        try:
            return self._take_on(slot)
        except OSError as error:  # too many open files, or too little memory
            raise RunnerError(
                f"a worker process cannot be started: {(error.strerror or str(error)).lower()}",
                hint="fewer workers (--workers), or higher limits of open files, processes and memory",
            ) from error

    def _take_on(self, slot: int) -> WorkerHandle:
        assert self._board is not None
        self._board.write(slot, -1)
        ours, theirs = socket.socketpair()
        output = OutputFile()
        with theirs:
            pid = self._starter.start(slot, theirs, output.fd)
        worker = WorkerHandle(slot, pid, Channel(ours), len(self._graph), output)
        if self._starter.shares_memory:
            worker.known = bytearray(b"\1") * len(self._graph)
        self._workers[slot] = worker
        self._selector.register(ours, selectors.EVENT_READ, worker)
        if worker.pidfd is not None:
            self._selector.register(worker.pidfd, selectors.EVENT_READ, worker)
        worker.channel.post(self._setup)
        self._watch(worker)
        return worker

    def _bury(self, worker: WorkerHandle) -> None:
        """A worker ended: read what it still said, find which task died with it, and replace it."""
        self._read(worker)
        assert self._board is not None
        culprit, _ = self._board.read(worker.slot)
        self._kill(worker)
        exit_code = self._starter.exit_code(worker.pid)
        sent = worker.in_flight - {work.number for work in worker.queued}
        innocent = worker.stopped is not None and culprit != worker.stopped  # what it was killed for had ended before
        if sent and not innocent:  # it may have died before it began any of them
            memory = self._board.memory(worker.slot) if culprit in sent else 0
            culprit = culprit if culprit in sent else min(sent)
            self._pass_on(worker.last_words(culprit, self._board))
            self._reports.append(Died(culprit, worker.pid, exit_code, memory or None))
            worker.in_flight.discard(culprit)
        self._let_go(worker)
        if worker.in_flight:
            self._reports.append(Returned(tuple(worker.in_flight)))
        if not self._single_use:
            self._replace(worker, exit_code)

    def _replace(self, worker: WorkerHandle, exit_code: int | None) -> None:
        self._idle_deaths = 0 if worker.used else self._idle_deaths + 1
        if self._idle_deaths > _MOST_IDLE_DEATHS:
            raise RunnerError(
                f"worker processes end before they take any work (the last with exit code {exit_code})",
                hint="a module may end the process on import; the runner 'serial' shows what happens",
            )
        self._hire(worker.slot)

    def _let_go(self, worker: WorkerHandle) -> None:
        self._selector.unregister(worker.channel.sock)
        worker.channel.sock.close()
        if worker.pidfd is not None:
            self._selector.unregister(worker.pidfd)
        worker.close()
        del self._workers[worker.slot]

    def _kill(self, worker: WorkerHandle) -> None:
        """Not its group: what a task left there is ended when the worker's exit code is asked for."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(worker.pid, signal.SIGKILL)

    def _watch(self, worker: WorkerHandle) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.channel.pending else 0)
        if self._selector.get_key(worker.channel.sock).events != events:
            self._selector.modify(worker.channel.sock, events, worker)

    # -- messages ---------------------------------------------------------------------------------

    def _dispatch(self, worker: WorkerHandle) -> None:
        batch = Batch([], [], {}, [], [], {})
        for work in worker.queued:
            if work.share is not None:
                batch.shares[work.number] = work.share
            worker.tell(self._graph, work.number, batch)
            for need, given in work.inputs.items():
                if need not in worker.held:
                    batch.inputs[need] = given
                    worker.hold(need, given)
                else:
                    worker.held.move_to_end(need)
            batch.work.append((work.number, work.attempt, (*work.inputs, *work.after), bool(self._feeds[work.number])))
        worker.forget(batch)
        worker.queued = []
        worker.used = True
        worker.channel.post(batch)
        self._watch(worker)

    def _read(self, worker: WorkerHandle) -> None:
        for messages in worker.channel.messages():
            for message in messages:
                if type(message) is Wrote:
                    self._pass_on(worker.wrote(*message))
                    continue
                self._reports.append(message)
                if type(message) is Outcome:
                    self._ended(worker, message)
                elif type(message) is Returned:
                    worker.in_flight.difference_update(message.numbers)
                    self._crew.slowed()
                else:
                    assert type(message) is Note

    def _ended(self, worker: WorkerHandle, outcome: Outcome) -> None:
        worker.in_flight.discard(outcome.number)
        if not worker.in_flight:
            worker.rest()
        self._crew.lanes.pop(outcome.number, None)
        if self._single_use:
            worker.leave()
        self._crew.took(outcome.duration)
        if self._feeds[outcome.number] and outcome.stored is not None and outcome.stored.inline:
            worker.hold(outcome.number, Input(outcome.stored, None, 0.0, 0.0, True))
