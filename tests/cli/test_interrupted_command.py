"""Ctrl-C, SIGTERM and SIGKILL: what runs, what ends, with which status, and what is left."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cli_kit import Cli, finish, wait_until

SLOW = """\
import os, time
import labtech_cli as labtech

@labtech.task
class Slow:
    n: int
    seconds: float
    def run(self):
        open(f"started.{os.getpid()}.{self.n}", "w").close()
        time.sleep(self.seconds)
        open(f"ended.{self.n}", "w").close()
        return self.n

def slow(seconds: float):
    return [Slow(n, seconds) for n in range(6)]
"""


@pytest.fixture
def slow(cli: Cli) -> Iterator[Cli]:
    cli.write("slow.py", SLOW)
    yield cli
    for pid in workers(cli.folder):  # only where a test failed
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def started(folder: Path) -> list[Path]:
    return list(folder.glob("started.*"))


def workers(folder: Path) -> list[int]:
    """The processes that ran tasks in a folder, as far as they live."""
    found = []
    for path in started(folder):
        pid = int(path.name.split(".")[1])
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder):
                found.append(pid)
    return found


def begin(cli: Cli, seconds: float, *options: str) -> object:
    """A run of six tasks with two workers, of which two have started."""
    process = cli.start("run", "slow.py:slow", "-p", f"seconds={seconds}", "-j", "2", *options)
    wait_until(lambda: len(started(cli.folder)) >= 2, "two tasks have started")
    return process


def test_ctrl_c_once_lets_running_tasks_finish(slow: Cli) -> None:
    process = begin(slow, 1.0)
    process.send_signal(signal.SIGINT)
    done = finish(process, 20).check(130)
    assert re.search(r"waiting for 2 running tasks, the longest has run for [\d.]+ m?s; again to stop them", done.err)
    assert done.out == ""
    assert len(list(slow.folder.glob("ended.*"))) == 2
    assert len(started(slow.folder)) == 2
    assert "2 succeeded" in done.err and "4 cancelled" in done.err
    assert slow("run", "slow.py:slow", "-p", "seconds=1.0", "--json", "-n").check().document()["counts"]["load"] == 2
    assert workers(slow.folder) == []


def test_ctrl_c_twice_stops_running_tasks(slow: Cli) -> None:
    process = begin(slow, 60, "--json")
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = finish(process, 20).check(130)
    assert time.monotonic() - began < 5
    assert done.counts() == {"cancelled": 6}
    assert done.events()[-1]["interrupted"] is True
    wait_until(lambda: workers(slow.folder) == [], "no worker is left", 5)


@pytest.mark.parametrize("runner", ["thread", "serial"])
def test_the_second_ctrl_c_ends_tasks_in_this_process_too(slow: Cli, runner: str) -> None:
    process = slow.start("run", "slow.py:slow", "-p", "seconds=3", "-j", "2", "--runner", runner)
    wait_until(lambda: len(started(slow.folder)) >= 1, "a task has started")
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    finish(process, 20).check(130)
    assert list(slow.folder.glob("ended.*")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["term", "hup"])
@pytest.mark.parametrize("runner", ["process", "spawn", "fork", "fork-per-task", "thread", "serial"])
def test_a_request_to_terminate_is_obeyed_within_five_seconds(slow: Cli, runner: str, number: signal.Signals) -> None:
    process = slow.start("run", "slow.py:slow", "-p", "seconds=60", "-j", "2", "--runner", runner)
    wait_until(lambda: len(started(slow.folder)) >= 1 + (runner != "serial"), "tasks have started")
    began = time.monotonic()
    process.send_signal(number)
    done = finish(process, 20).check(128 + number)
    assert time.monotonic() - began < 5
    assert "Traceback" not in done.err
    wait_until(lambda: workers(slow.folder) == [], "no worker is left", 5)
    assert list(slow.folder.glob("ended.*")) == []


STUBBORN = """\
import time
import labtech_cli as labtech

@labtech.task
class Stubborn:
    def run(self):
        open(f"started.{__import__('os').getpid()}.0", "w").close()
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
"""


@pytest.mark.parametrize("signals", [[signal.SIGINT] * 3, [signal.SIGTERM]], ids=["three-times", "term"])
@pytest.mark.parametrize("runner", ["serial", "thread"])
def test_a_task_in_this_process_that_cannot_be_stopped_is_left(
    cli: Cli, runner: str, signals: list[signal.Signals]
) -> None:
    cli.write("stubborn.py", STUBBORN)
    process = cli.start("run", "stubborn.py:Stubborn", "--runner", runner)
    wait_until(lambda: len(started(cli.folder)) == 1, "the task has started")
    for number in signals:
        process.send_signal(number)
        time.sleep(0.3)
    began = time.monotonic()
    finish(process, 20).check(128 + signals[0])
    assert time.monotonic() - began < 5
    assert workers(cli.folder) == []


BUSY = """\
import hashlib, os
import labtech_cli as labtech

@labtech.task
class Busy:
    def run(self):
        open(f"started.{os.getpid()}", "w").close()
        return hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2_000_000_000)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["term", "hup"])
def test_a_task_in_this_process_that_is_busy_in_c_code_does_not_hold_up_a_request_to_terminate(
    cli: Cli, number: signal.Signals
) -> None:
    """Python calls no handler until the call returns, here in half an hour."""
    cli.write("busy.py", BUSY)
    process = cli.start("run", "busy.py:Busy", "--runner", "serial")
    wait_until(lambda: len(started(cli.folder)) == 1, "the task has started")
    process.send_signal(number)
    finish(process, 20).check(128 + number)
    assert "interrupted" in cli("runs", "ls").check().out


@pytest.mark.parametrize("runner", ["process", "spawn", "fork-per-task"])
def test_no_process_outlives_a_command_that_is_killed(slow: Cli, runner: str) -> None:
    process = begin(slow, 60, "--runner", runner)
    family = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert family
    process.kill()
    finish(process, 20)
    wait_until(lambda: not any(alive(pid) for pid in family), "no process is left", 10)
    again = slow("run", "slow.py:slow", "-p", "seconds=0.01", "--json", "--runner", runner).check()
    assert again.counts() == {"succeeded": 6}
    assert not list((slow.folder / "labtech_storage" / "spool").glob("*/*"))


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_killed_worker_fails_its_task_alone(slow: Cli) -> None:
    process = begin(slow, 1.5, "-k", "--json")
    os.kill(workers(slow.folder)[0], signal.SIGKILL)
    done = finish(process, 30).check(1)
    assert done.counts() == {"failed": 1, "succeeded": 5}
    (failed,) = [event for event in done.events() if event.get("outcome") == "failed"]
    assert failed["error"]["kind"] == "TaskDied" and "SIGKILL" in failed["error"]["message"]
    assert workers(slow.folder) == []


def test_an_interrupt_while_modules_are_imported_ends_at_once(cli: Cli) -> None:
    cli.write("waits.py", 'open("importing", "w").close()\nimport time\ntime.sleep(60)\n')
    process = cli.start("run", "waits.py:x")
    wait_until(lambda: (cli.folder / "importing").exists(), "the module is imported")
    family = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGINT)
    done = finish(process, 10).check(130)
    assert done.err == ""
    wait_until(lambda: not any(alive(pid) for pid in family), "no process is left", 10)


def test_the_process_that_starts_workers_never_gets_the_ctrl_c_of_a_terminal(slow: Cli) -> None:
    process = slow.start("run", "slow.py:slow", "-p", "seconds=60", "--progress", "none")
    while not (found := zygotes(process.pid)):
        assert process.poll() is None
    assert [os.getpgid(pid) for pid in found] == found
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert "Traceback" not in finish(process, 20).check(130).err


def zygotes(pid: int) -> list[int]:
    """The processes that start workers, of a command."""
    found = []
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.Error):  # it has ended
            if "zygote" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


WAITS = 'open("importing", "w").close()\nimport time\ntime.sleep(60)\n'
IN_A_CLASS = """\
class Field:
    def __set_name__(self, owner, name):
        open("importing", "w").close()
        while True:
            pass

class Owner:
    field = Field()
"""


@pytest.mark.parametrize("text", [WAITS, IN_A_CLASS], ids=["anywhere", "as-a-class-is-made"])
def test_ctrl_c_while_the_command_line_itself_is_imported_shows_no_traceback(cli: Cli, text: str) -> None:
    cli.write("typer.py", text)  # in the way of the real one
    process = cli.start("tasks", "slow.py")
    wait_until(lambda: (cli.folder / "importing").exists(), "it is imported")
    process.send_signal(signal.SIGINT)
    assert finish(process, 20).check(130).err == ""


PARENT = """\
import os, subprocess, time
import labtech_cli as labtech

@labtech.task
class Parent:
    n: int
    def run(self):
        child = subprocess.Popen(["sleep", "600"], start_new_session=bool(self.n % 2))
        open(f"child.{child.pid}", "w").close()
        time.sleep(600 if self.n else 0)

parents = [Parent(n) for n in range(4)]
"""


@pytest.mark.parametrize("runner", ["process", "spawn", "fork", "fork-per-task"])
def test_when_what_starts_workers_is_killed_the_run_ends_as_failed_and_nothing_is_left(cli: Cli, runner: str) -> None:
    cli.write("parent.py", PARENT)
    options = ["--runner", runner, "-j", "3", "-k", "--json", "--junit-xml", "report.xml"]
    process = cli.start("run", "parent.py:parents", *options)
    wait_until(lambda: len(list(cli.folder.glob("child.*"))) == 4, "all tasks have started")
    (keeper,) = psutil.Process(process.pid).children()
    family = [*[child.pid for child in keeper.children(recursive=True)], *born(cli.folder)]
    keeper.kill()
    done = finish(process, 20).check(2)
    assert "error: the process that starts workers was killed by SIGKILL;" in done.err
    assert done.counts() == {"succeeded": 1, "cancelled": 3}
    assert [event["outcome"] for event in done.events() if event["event"] == "task_finished"].count("cancelled") == 3
    (run,) = cli("runs", "ls", "--json").check().document()["runs"]
    assert (run["status"], run["exit_code"]) == ("failed", 2)
    assert "<error" in cli.read("report.xml")
    assert not any(alive(pid) for pid in family)


def born(folder: Path) -> list[int]:
    """The processes that tasks started."""
    return [int(path.name.split(".")[1]) for path in folder.glob("child.*")]
