"""Data is never mixed with anything else, and a reader that goes away is no error."""

from __future__ import annotations

import pytest
from cli_kit import Cli

LOUD = """\
import logging, os, subprocess, sys
import labtech_cli as labtech

print("module: print")
os.write(1, b"module: os.write\\n")
subprocess.run(["echo", "module: subprocess"])

@labtech.task
class Loud:
    n: int
    def run(self):
        print("task: print")
        sys.stdout.write("task: no newline")
        sys.__stdout__.write("task: the first stdout\\n")
        sys.__stdout__.flush()
        os.write(1, b"task: os.write\\n")
        os.write(1, b"\\xff\\xfe{\\x1b[31m}\\n")
        subprocess.run(["echo", "task: subprocess"])
        logging.getLogger("x").warning("task: log")
        labtech.logger.info("task: logger")
        return self.n

def loud():
    print("function: print")
    return [Loud(n) for n in range(3)]

def numbers(count: int = 400):
    return [Loud(n) for n in range(count)]
"""


@pytest.fixture
def loud(cli: Cli) -> Cli:
    cli.write("loud.py", LOUD)
    return cli


@pytest.mark.parametrize("runner", ["process", "spawn", "fork", "fork-per-task", "thread", "serial"])
def test_stdout_has_nothing_but_events_whatever_tasks_print(loud: Cli, runner: str) -> None:
    done = loud("run", "loud.py:loud", "--runner", runner, "-j", "2", "--json").check()
    assert done.counts() == {"succeeded": 3}
    printed = "".join(event["text"] for event in done.events() if event["event"] == "task_output")
    assert printed.count("task: print") == 3
    if runner != "thread":  # what is written below Python belongs to no thread: it goes to stderr as it is
        assert "\x1b" not in done.err
        for what in ("os.write", "subprocess", "the first stdout"):
            assert printed.count(f"task: {what}") == 3, what
    for what in ("module: print", "module: os.write", "module: subprocess", "function: print"):
        assert what in done.err


def test_the_result_table_is_all_that_a_run_writes_to_stdout(loud: Cli) -> None:
    done = loud("run", "loud.py:loud").check()
    assert done.out == "n  result\n0       0\n1       1\n2       2\n"
    assert "task: os.write" in done.err


@pytest.mark.parametrize(
    "line",
    [
        "plan loud.py:loud --json",
        "tasks loud.py --json",
        "cache ls --module loud.py --json",
        "results loud.py:loud --json",
    ],
)
def test_documents_are_pure(loud: Cli, line: str) -> None:
    done = loud(*line.split()).check()
    assert done.document()
    assert "module: os.write" in done.err


def test_what_a_module_prints_is_no_part_of_a_diagram_or_of_cache_rm(loud: Cli) -> None:
    assert loud("diagram", "loud.py:loud").check().out.startswith("classDiagram")
    assert loud("cache", "rm", "--target", "loud.py:loud", "--dry-run").check().out == ""


def test_a_reader_that_goes_away_ends_the_command_with_141(loud: Cli) -> None:
    loud(
        "run", "loud.py:numbers", "--runner", "serial", "--progress", "none", "--show", "none", "-p", "count=1500"
    ).check()
    for line in (
        "run loud.py:numbers -p count=2000 --json --progress none",
        "results loud.py:numbers -p count=1500 --json",
        "results loud.py:numbers -p count=1500 --format jsonl",
        "plan loud.py:numbers -p count=1500 --json",
        "cache ls --json",
        "cache ls --format jsonl",
    ):
        code, first, told = loud.head(*line.split())
        assert (code, "Traceback" in told, "Broken" in told) == (141, False, False), (line, told)
        assert first
    assert loud("run", "loud.py:numbers", "-p", "count=2000", "--json").check().counts() == {"loaded": 2000}
