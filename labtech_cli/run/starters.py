"""How a worker process comes to be: forked from this process, from a zygote, or started afresh."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from labtech_cli.errors import RunnerError
from labtech_cli.run.board import Board
from labtech_cli.run.machine import cpu_count
from labtech_cli.run.shares import THREADS

_REPLY_BYTES = 4096


class Starter(Protocol):
    """Starts workers and tells how they ended."""

    shares_memory: bool
    """Whether workers inherit this process's objects."""

    def start(self, slot: int, sock: socket.socket, output: int) -> int:
        """`output`: the descriptor of the file that what it writes goes to."""

    def exit_code(self, pid: int) -> int | None: ...
    def close(self) -> None: ...


class Guard:
    """A process that waits for this one to end, however it ends, and then ends the workers' groups.

    Linux ends a worker with its parent, but not what a task started: that is in the worker's group.
    """

    def __init__(self) -> None:
        reading, self._fd = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setpgid(0, 0)
                self.forget()
                _watch(reading)
            finally:
                os._exit(0)
        os.close(reading)

    def add(self, pid: int) -> None:
        os.write(self._fd, b"%d\n" % pid)

    def remove(self, pid: int) -> None:
        os.write(self._fd, b"%d\n" % -pid)

    def forget(self) -> None:
        """In a worker: this end must be the command's alone."""
        os.close(self._fd)

    def close(self) -> None:
        os.close(self._fd)
        _reap(self._pid)


def _watch(fd: int) -> None:
    """Read pids, negative ones of workers that ended, until the other end is closed."""
    groups: set[int] = set()
    with open(fd, encoding="ascii") as pipe:
        for line in pipe:
            pid = int(line)
            if pid > 0:
                groups.add(pid)
            else:
                groups.discard(-pid)
    for pid in groups:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


class ForkStarter:
    """Forks this process: workers inherit everything, defined in a notebook or not."""

    shares_memory = True

    def __init__(self, board: Board, tasks: Sequence[Any]) -> None:
        self._board, self._tasks, self._guard = board, tasks, Guard()
        self.parent_ends: set[socket.socket] = set()

    def start(self, slot: int, sock: socket.socket, output: int) -> int:
        from labtech_cli.run import serve

        for stream in (sys.stdout, sys.stderr):  # what is buffered must not be written twice
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        pid = os.fork()
        if pid == 0:
            self._guard.forget()
            for other in self.parent_ends:
                other.close()
            serve.start(sock, self._board, slot, output, self._tasks)
        self._guard.add(pid)
        return pid

    def exit_code(self, pid: int) -> int | None:
        code = _reap(pid)
        self._guard.remove(pid)
        return code

    def close(self) -> None:
        self._guard.close()


class SpawnStarter:
    """Starts a new interpreter for each worker: slow (0.1 s and the imports), and nothing is shared."""

    shares_memory = False

    def __init__(self, board: Board, workers: int) -> None:
        self._board, self._environment, self._guard = board, worker_environment(workers), Guard()

    def start(self, slot: int, sock: socket.socket, output: int) -> int:
        call = (
            "from labtech_cli.run.board import Board; from labtech_cli.run.serve import start; import socket; "
            f"board = Board({self._board.size}, {self._board.fd}); "
            f"start(socket.socket(fileno={sock.fileno()}), board, {slot}, {output})"
        )
        process = subprocess.Popen(
            python_command(call),
            pass_fds=(sock.fileno(), self._board.fd, output),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        process.returncode = 0  # it is waited for here, by pid: Popen must not do so
        self._guard.add(process.pid)
        return process.pid

    def exit_code(self, pid: int) -> int | None:
        code = _reap(pid)
        self._guard.remove(pid)
        return code

    def close(self) -> None:
        self._guard.close()


class ZygoteStarter:
    """Forks workers from a clean process that has imported the user's modules (see `run.zygote`)."""

    shares_memory = False

    def __init__(self, workers: int, board_size: int) -> None:
        self.board = Board(board_size)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps requests apart
        with theirs:
            call = f"from labtech_cli.run.zygote import main; main({theirs.fileno()}, {self.board.fd}, {board_size})"
            self._process = subprocess.Popen(
                python_command(call),
                pass_fds=(theirs.fileno(), self.board.fd),
                env=worker_environment(workers),
                stdin=subprocess.DEVNULL,
            )
        self._unanswered = 0

    def preload(self, places: Sequence[Any], path: Sequence[str]) -> None:
        """Import modules there; does not wait."""
        self._ask(("preload", [list(path), *places]))

    def start(self, slot: int, sock: socket.socket, output: int) -> int:
        self._ask(("fork", slot), [sock.fileno(), output])
        return int(self._answer())

    def exit_code(self, pid: int) -> int | None:
        self._ask(("wait", pid))
        code = self._answer()
        return None if code is None else int(code)

    def close(self) -> None:
        """End the process and, with it, whatever it still runs; a second call does nothing."""
        self._control.close()
        self._process.wait()
        self.board.close()

    def _ask(self, request: Any, fds: Sequence[int] = ()) -> None:
        self._unanswered += 1
        try:
            socket.send_fds(self._control, [pickle.dumps(request)], fds)
        except OSError as error:
            raise self._gone() from error

    def _answer(self) -> Any:
        """The answer to the last request; those before it are read on the way."""
        while True:
            data = self._control.recv(_REPLY_BYTES)
            if not data:
                raise self._gone()
            answer = pickle.loads(data)
            self._unanswered -= 1
            if not self._unanswered:
                return answer

    def _gone(self) -> RunnerError:
        code = self._process.wait()
        return RunnerError(
            f"the process that starts workers ended (exit code {code})",
            hint="a module may end the process on import; the runner 'spawn' or 'fork' may work",
        )


def python_command(call: str) -> list[str]:
    """A command line that runs `call` in a new interpreter with this one's import path and options."""
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    path = [os.path.abspath(entry or ".") for entry in sys.path]
    return [sys.executable, *options, "-P", "-c", f"import sys; sys.path[:] = {path!r}; {call}"]


def worker_environment(workers: int) -> dict[str, str]:
    """The environment of workers: number crunching libraries share the CPUs instead of all using all."""
    threads = str(max(1, cpu_count() // max(1, workers)))
    return {**dict.fromkeys(THREADS, threads), **os.environ}


def _reap(pid: int) -> int | None:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None
