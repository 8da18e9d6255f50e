"""Tasks that ran in the command's own process hold up its end by nothing they left, and being stopped is no failure."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cli_kit import Cli, Ended, finish, wait_until

MODULE = """\
import atexit, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import labtech_cli as labtech

def wait():  # in short sleeps: a signal that comes just before one is heard after it
    for _ in range(1200):
        time.sleep(0.05)

class Slow:
    def __reduce__(self):
        open("started", "w").close()
        wait()
        return int, ()

@labtech.task
class Leaves:
    how: str
    def run(self):
        print("has run")
        if self.how == "thread":
            threading.Thread(target=time.sleep, args=(60,)).start()
        if self.how == "pool":
            ThreadPoolExecutor(1).submit(time.sleep, 60)
        if self.how == "waits for a pool":
            open("started", "w").close()
            ThreadPoolExecutor(1).submit(time.sleep, 60)
            wait()
        atexit.register(lambda: open("at exit", "w").close())
        return self.how

@labtech.task
class Stopped:
    how: str
    def run(self):
        if self.how == "is saved":
            return Slow()
        open("started", "w").close()
        while True:
            try:
                wait()
            except KeyboardInterrupt as error:
                if self.how == "exits":
                    sys.exit(1)
                if self.how == "raises":
                    raise RuntimeError("stopped") from error
            except BaseException:
                pass

def two(how: str):
    return [Leaves("nothing"), Stopped(how)]

class Stops(Exception):
    def __str__(self):  # is asked for once the task has failed
        os.kill(os.getpid(), signal.SIGTERM)
        return "no"

@labtech.task
class StopsAtItsEnd:
    def run(self):
        raise Stops

@labtech.task
class Fails:
    def run(self):
        open("started", "w").close()
        while not list(__import__("pathlib").Path().glob("fail")):
            time.sleep(0.02)
        raise ValueError("no")
"""
TWICE = [signal.SIGINT, signal.SIGINT]


@pytest.fixture
def project(cli: Cli) -> Cli:
    cli.write("project.py", MODULE)
    return cli


def stop(cli: Cli, arguments: list[str], signals: list[signal.Signals]) -> Ended:
    """A run that gets signals once a task has started; what it says when it has ended, which must not take long."""
    process = cli.start("run", *arguments, "--progress", "plain")
    wait_until((cli.folder / "started").exists, "the task has started")
    for number in signals:
        process.send_signal(number)
        time.sleep(0.3)
    began = time.monotonic()
    ended = finish(process, 20)
    assert time.monotonic() - began < 5
    return ended


def status(cli: Cli) -> str:
    """How the history says that the last run ended."""
    (run,) = cli("runs", "ls", "--json").check().document()["runs"]
    return str(run["status"])


@pytest.mark.parametrize("runner", ["serial", "thread"])
@pytest.mark.parametrize("how", ["thread", "pool"])
def test_threads_that_a_task_left_do_not_keep_the_command(project: Cli, runner: str, how: str) -> None:
    began = time.monotonic()
    done = project("run", "project.py:Leaves", "-p", f"how={how}", "--runner", runner, "--show", "all").check()
    assert time.monotonic() - began < 20
    assert how in done.out and "has run" in done.err
    assert (project.folder / "at exit").exists()


@pytest.mark.parametrize("runner", ["serial", "thread"])
@pytest.mark.parametrize("signals", [TWICE, [signal.SIGTERM], [signal.SIGHUP]], ids=["twice", "term", "hup"])
def test_nor_do_they_once_it_is_interrupted(project: Cli, runner: str, signals: list[signal.Signals]) -> None:
    arguments = ["project.py:Leaves", "-p", "how=waits for a pool", "--runner", runner]
    done = stop(project, arguments, signals).check(128 + signals[0])
    assert "Traceback" not in done.err and "1 cancelled" in done.err
    assert status(project) == "interrupted"


@pytest.mark.parametrize("how", ["exits", "raises", "is saved"])
@pytest.mark.parametrize("signals", [TWICE, [signal.SIGTERM]], ids=["twice", "term"])
def test_a_task_that_was_stopped_did_not_fail(project: Cli, how: str, signals: list[signal.Signals]) -> None:
    arguments = ["project.py:Stopped", "-p", f"how={how}", "--runner", "serial", "--json"]
    done = stop(project, arguments, signals).check(128 + signals[0])
    assert done.counts() == {"cancelled": 1}
    assert status(project) == "interrupted"


def test_a_signal_that_comes_as_the_task_is_about_to_end_ends_the_run_like_any_other(project: Cli) -> None:
    done = project("run", "project.py:StopsAtItsEnd", "--runner", "serial", "--json").check(143)
    assert done.counts() == {"cancelled": 1}
    assert status(project) == "interrupted"


@pytest.mark.parametrize("signals", [[signal.SIGINT] * 3, [signal.SIGTERM]], ids=["three-times", "term"])
@pytest.mark.parametrize("runner", ["serial", "thread"])
def test_a_run_that_cannot_be_stopped_is_told_to_have_been(
    project: Cli, runner: str, signals: list[signal.Signals]
) -> None:
    reports = ["--json", "--junit-xml", "report.xml"]
    arguments = ["project.py:two", "-p", "how=listens to nothing", "-j", "1", "--runner", runner, *reports]
    done = stop(project, arguments, signals).check(128 + signals[0])
    last = json.loads(done.out.splitlines()[-1])
    assert (last["event"], last["interrupted"], last["exit_code"]) == ("run_finished", True, 128 + signals[0])
    assert done.counts() == {"succeeded": 1, "cancelled": 1}
    assert status(project) == "interrupted"
    names = [case.get("name") for case in ElementTree.parse(project.folder / "report.xml").iter("testcase")]
    assert names[0] == "Leaves(how='nothing')" and len(names) > 1


def test_a_failure_that_would_have_been_tried_again_is_an_interrupted_run(project: Cli) -> None:
    process = project.start("run", "project.py:Fails", "--retries", "3")
    wait_until((project.folder / "started").exists, "the task has started")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting for 1 running task" in line:
            break
    Path(project.folder / "fail").touch()
    finish(process, 20).check(130)
    assert status(project) == "interrupted"
