"""How a worker process comes to be: forked from this process, from a zygote, or started afresh.

In each case a keeper stands between (see `run.keeper`), which is asked over a socket.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from labtech_cli.errors import RunnerError
from labtech_cli.run import family
from labtech_cli.run.board import Board
from labtech_cli.run.deaths import how_ended
from labtech_cli.run.family import adopt_orphans, children, end_children, is_tracker
from labtech_cli.run.keeper import Keeper, reap
from labtech_cli.run.machine import cpu_count
from labtech_cli.run.shares import THREADS

_REPLY_BYTES = 4096


class Starter:
    """Has workers started, and tells how they ended."""

    shares_memory = False
    """Whether workers inherit this process's objects."""

    def __init__(self) -> None:
        self._control, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps requests apart
        self._unanswered = 0
        self._keeper = 0
        self._before: set[int] | None = None  # the children of this process, if the others are the keeper's
        self._error: RunnerError | None = None

    def start(self, slot: int, sock: socket.socket, output: int) -> int:
        """A new worker with its socket, and the descriptor of the file that what it writes goes to: its pid."""
        if self._before is None and family.own_process:
            adopt_orphans()  # should the keeper be killed, what is below it comes to us
            self._before = set(children())
        self._ask(("hire", slot), [sock.fileno(), output])
        answer = self._answer()
        if isinstance(answer, OSError):
            raise RunnerError(
                f"a worker process cannot be started: {answer.strerror}",
                hint="fewer workers (--workers), or higher limits of processes and memory",
            )
        return int(answer)

    def exit_code(self, pid: int) -> int | None:
        """Of a worker that ended, or is about to; what it left running in its process group is ended, too."""
        self._ask(("wait", pid))
        code = self._answer()
        return None if code is None else int(code)

    def close(self) -> None:
        """End the keeper and, with it, all that still runs below it; a second call does nothing."""
        with contextlib.suppress(OSError):  # closed already, or the keeper is gone
            self._control.shutdown(socket.SHUT_RDWR)  # a process that inherited the socket must not keep it open
        self._control.close()
        self._end_keeper()

    def _fork_keeper(self, hire: Callable[[int, int, int], int]) -> None:
        """The keeper is a fork of this process."""
        for stream in (sys.stdout, sys.stderr):  # what is buffered must not be written twice
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        self._keeper = os.fork()
        if self._keeper == 0:
            try:
                self._control.close()
                Keeper(self._theirs, hire).serve()
            finally:
                os._exit(0)
        self._theirs.close()

    def _ask(self, request: Any, fds: Sequence[int] = ()) -> None:
        self._unanswered += 1
        try:
            socket.send_fds(self._control, [pickle.dumps(request)], fds)
        except OSError as error:
            raise self._gone() from error

    def _answer(self) -> Any:
        """The answer to the last request; those before it are read on the way."""
        while True:
            try:
                data = self._control.recv(_REPLY_BYTES)
            except OSError as error:
                raise self._gone() from error
            if not data:
                raise self._gone()
            answer = pickle.loads(data)
            self._unanswered -= 1
            if not self._unanswered:
                return answer

    def _gone(self) -> RunnerError:
        if self._error is None:
            code = self._end_keeper()
            hint = "a module may end the process on import; the runner 'spawn' or 'fork' may work"
            if code is not None and code < 0:
                hint = "what was finished is kept: run the same command again"
            self._error = RunnerError(f"the process that starts workers {how_ended(code)}", hint=hint)
        return self._error

    def _end_keeper(self) -> int | None:
        """Wait for the keeper to end: its exit code. What it could not end any more is ended here."""
        if not self._keeper:
            return None
        code, before = reap(self._keeper), self._before
        self._keeper = 0
        if code != 0 and before is not None:
            end_children(lambda pid: pid not in before and not is_tracker(pid), reap=False)
        return code


class ForkStarter(Starter):
    """Forks this process: workers inherit everything, defined in a notebook or not."""

    shares_memory = True

    def __init__(self, board: Board, tasks: Sequence[Any]) -> None:
        super().__init__()

        def hire(slot: int, fd: int, output: int) -> int:
            from labtech_cli.run import serve

            pid = os.fork()
            if pid == 0:
                self._theirs.close()
                serve.start(socket.socket(fileno=fd), board, slot, output, tasks)
            return pid

        self._fork_keeper(hire)


class SpawnStarter(Starter):
    """Starts a new interpreter for each worker: slow (0.1 s and the imports), and nothing is shared."""

    def __init__(self, board: Board, workers: int, cpus: int | None = None) -> None:
        super().__init__()
        environment = worker_environment(workers, cpus)

        def hire(slot: int, fd: int, output: int) -> int:
            call = (
                "from labtech_cli.run.board import Board; from labtech_cli.run.serve import start; import socket; "
                f"start(socket.socket(fileno={fd}), Board({board.size}, {board.fd}), {slot}, {output})"
            )
            process = subprocess.Popen(
                python_command(call),
                pass_fds=(fd, board.fd, output),
                env=environment,
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
            process.returncode = 0  # it is waited for by pid: Popen must not do so
            return process.pid

        self._fork_keeper(hire)


class ZygoteStarter(Starter):
    """Forks workers from a clean process that has imported the user's modules (see `run.zygote`)."""

    def __init__(self, workers: int, board_size: int, cpus: int | None = None) -> None:
        super().__init__()
        self.board = Board(board_size)
        with self._theirs as theirs:
            call = f"from labtech_cli.run.zygote import main; main({theirs.fileno()}, {self.board.fd}, {board_size})"
            process = subprocess.Popen(
                python_command(call),
                pass_fds=(theirs.fileno(), self.board.fd),
                env=worker_environment(workers, cpus),
                stdin=subprocess.DEVNULL,
                process_group=0,  # from its first moment: it imports for a while before it ignores Ctrl-C
            )
        process.returncode = 0  # it is waited for by pid: Popen must not do so
        self._keeper = process.pid

    def preload(self, places: Sequence[Any], path: Sequence[str]) -> None:
        """Import modules there; does not wait."""
        self._ask(("preload", [list(path), *places]))

    def close(self) -> None:
        super().close()
        self.board.close()


def python_command(call: str) -> list[str]:
    """A command line that runs `call` in a new interpreter with this one's import path and options."""
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    path = [os.path.abspath(entry or ".") for entry in sys.path]
    return [sys.executable, *options, "-P", "-c", f"import sys; sys.path[:] = {path!r}; {call}"]


def worker_environment(workers: int, cpus: int | None) -> dict[str, str]:
    """The environment of workers: number crunching libraries share the CPUs instead of all using all."""
    threads = str(max(1, (cpus or cpu_count()) // max(1, workers)))
    return {**dict.fromkeys(THREADS, threads), **os.environ}
