"""Tasks that are parallel inside, on every runner: right results, no hang, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import psutil
import pytest
from nested_tasks import KINDS, RIGHT, Nested, quick
from runner_kit import PROCESS, execute, make_lab
from sample_tasks import LeavesChild, wait_until

from labtech_cli.run import family
from labtech_cli.run.interrupts import Interrupts
from labtech_cli.run.nested import Turns

TASKS = Path(__file__).parent / "nested_tasks.py"
LABTECH = [sys.executable, "-m", "labtech_cli", "run", "-j", "2", "-k", "--json", "--progress", "none"]
MARK = "LABTECH_TEST_MARK"
SHARED = Path("/dev/shm")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc and /dev/shm")


class Command:
    """A run of the command, and what is left of it: processes bear its mark, shared memory their ids."""

    def __init__(self, folder: Path, target: str, runner: str, *options: str) -> None:
        self.mark, self.shared = uuid.uuid4().hex, set(os.listdir(SHARED))
        self.process = subprocess.Popen(
            [*LABTECH, f"{TASKS}:{target}", "--runner", runner, "--storage", str(folder / "storage"), *options],
            env={**os.environ, MARK: self.mark, "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        self.folder = folder

    def finish(self, seconds: float = 180) -> list[dict[str, Any]]:
        try:
            out, self.err = self.process.communicate(timeout=seconds)
        finally:
            self.process.kill()
        return [json.loads(line) for line in out.splitlines()]

    def living(self) -> list[str]:
        """The processes below the command that live, but for those that are about to tidy up and end."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
        return found

    def litter(self) -> list[str]:
        """Shared memory and temporary files of processes that are gone."""
        new = [name for name in os.listdir(SHARED) if "joblib" in name or "loky" in name]
        dead = [name for name in new if not any(psutil.pid_exists(int(word)) for word in _numbers(name))]
        return [*(set(dead) - self.shared), *[path.name for path in self.folder.glob("joblib*")]]

    def nothing_is_left(self, seconds: float) -> None:
        """Wait for it."""
        wait_until(lambda: not self.living() and not self.litter(), seconds)


def _numbers(name: str) -> list[str]:
    return [word for word in name.replace("-", "_").split("_") if word.isdecimal()]


def fared(folder: Path, target: str, runner: str) -> dict[str, set[str]]:
    """What became of each kind of task in one run of all; after it, nothing is left."""
    command = Command(folder, target, runner)
    ended = [event for event in command.finish() if event["event"] == "task_finished"]
    assert ended, command.err
    command.nothing_is_left(2)
    results = make_lab(folder, "serial")
    found: dict[str, set[str]] = {}
    for event in ended:
        task = Nested(**event["params"])
        right = event["outcome"] == "succeeded" and results.load(task) == RIGHT
        found.setdefault(task.kind, set()).add("right" if right else str(event["error"] or results.load(task)))
    return found


@pytest.mark.parametrize("runner", ["process", "thread", "serial"])
def test_tasks_that_are_parallel_inside_are_right_and_leave_nothing(tmp_path: Path, runner: str) -> None:
    assert fared(tmp_path, "quick", runner) == {task.kind: {"right"} for task in quick()}


@pytest.mark.long
@pytest.mark.parametrize("runner", ["fork", "spawn", "fork-per-task", "thread"])
def test_whatever_way_they_are(tmp_path: Path, runner: str) -> None:
    assert fared(tmp_path, "everything", runner) == {kind: {"right"} for kind in KINDS}


@pytest.mark.parametrize("runner", PROCESS)
def test_a_worker_that_is_killed_leaves_no_process_and_no_shared_memory(tmp_path: Path, runner: str) -> None:
    command = Command(tmp_path, "waits", runner, "-p", f"folder={tmp_path}", "-p", "then=die")
    (ended,) = [event for event in command.finish() if event["event"] == "task_finished"]
    assert ended["outcome"] == "failed" and "SIGKILL" in ended["error"]["message"]
    assert command.living() == []
    command.nothing_is_left(1)


@pytest.mark.parametrize("runner", [*PROCESS, "thread", "serial"])
def test_a_command_that_is_killed_leaves_nothing_after_two_seconds(tmp_path: Path, runner: str) -> None:
    command = Command(tmp_path, "waits", runner, "-p", f"folder={tmp_path}")
    wait_until(lambda: list(tmp_path.glob("waits.*")) or command.process.poll() is not None)
    least = 5 if runner in ("thread", "serial") else 6  # these have no keeper and worker, but a watcher
    assert len(command.living()) >= least
    command.process.kill()
    command.finish()
    command.nothing_is_left(2)


@pytest.mark.parametrize("runner", ["thread", "serial"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_stopped_ends_its_tasks_processes(tmp_path: Path, runner: str, number: int) -> None:
    command = Command(tmp_path, "waits", runner, "-p", f"folder={tmp_path}")
    wait_until(lambda: list(tmp_path.glob("waits.*")) or command.process.poll() is not None)
    command.process.send_signal(number)
    if number == signal.SIGINT:
        events = threading.Timer(0.5, command.process.send_signal, (number,))
        events.start()
    command.finish(10)
    assert command.process.returncode == 128 + number
    command.nothing_is_left(2)


def test_in_a_script_or_notebook_processes_that_are_not_joblibs_are_left_alone(tmp_path: Path) -> None:
    assert not family.own_process
    result, _ = execute(make_lab(tmp_path, "serial"), [LeavesChild(str(tmp_path))])
    child = psutil.Process(result.result(LeavesChild(str(tmp_path))))
    assert child.status() != psutil.STATUS_ZOMBIE
    child.kill()
    child.wait(5)


def test_turns_are_taken_again_by_their_owner_and_given_back_by_anybody() -> None:
    turns, came = Turns(), threading.Event()
    owner = turns.take()
    assert turns.take() == owner

    def other() -> None:
        turns.give(turns.take())
        came.set()

    thread = threading.Thread(target=other)
    thread.start()
    turns.give(owner)
    assert not came.wait(0.1)
    turns.give(owner)
    assert came.wait(5)
    thread.join()
    turns.give(owner)  # it is not his any more: nothing happens
    turns.take()
    turns.take()
    turns.give(owner, all_of_it=True)
    other()


def test_joblib_is_changed_when_it_is_imported_and_only_in_tasks_of_threads() -> None:
    code = (
        "import sys; from labtech_cli.run import nested, worker\n"
        "nested.take_turns(); nested.take_turns(); assert 'joblib' not in sys.modules\n"
        "from joblib import Parallel, delayed\n"
        "from joblib.parallel import BACKENDS\n"
        "if __name__ == '__main__':\n"
        "    assert hasattr(BACKENDS['loky'], '_turn') and not [f for f in sys.meta_path if 'Awaited' in repr(f)]\n"
        "    nested.take_turns()\n"
        "    owners = []; take = nested._turns.take\n"
        "    nested._turns.take = lambda: owners.append(1) or take()\n"
        "    for worker.here.in_task in (False, True):\n"
        "        assert Parallel(n_jobs=2)(delayed(abs)(-n) for n in range(3)) == [0, 1, 2]\n"
        "    assert owners == [1] and nested._turns._owner is None\n"
        "    nested.close_joblib_pool()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_forked_child_dies_of_a_signal_even_at_once() -> None:
    with Interrupts() as interrupts:
        for number in [signal.SIGTERM, signal.SIGHUP] * 20:
            pid = os.fork()
            if pid == 0:
                while True:
                    signal.pause()
            os.kill(pid, number)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -number
        assert interrupts.level == 0
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.level == 1
