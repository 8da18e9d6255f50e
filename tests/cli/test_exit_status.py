"""Every exit status, for every reason there is for it: scripts and CI systems build on these."""

from __future__ import annotations

import shlex
import signal
import time
from pathlib import Path

import pexpect
import pytest
from cli_kit import COMMAND, Cli, environment, finish, wait_until

MODULE = """\
import os, signal, time
import labtech_cli as labtech

@labtech.task
class Ends:
    how: str
    def run(self):
        if self.how == "raises": raise ValueError("no")
        if self.how == "dies": os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exits": os._exit(0)
        if self.how == "unsaved": return lambda: 0
        return "x" * 100

@labtech.task
class Waits:
    n: int
    def run(self):
        open("started", "w").close()
        time.sleep(60)

fine = Ends("fine")
mixed = [fine, Ends("raises")]
waits = [Waits(n) for n in range(3)]
number = 7
def many(count: int): return [Ends(f"fine {n}") for n in range(count)]
def fails(): raise KeyError("mine")
"""
WAITS = 'open("started", "w").close()\nimport time\ntime.sleep(60)\n'
HEAP = ["-p", "count=2000"]  # more than a pipe takes


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Where `fine` and 2,000 more have run. For commands that leave that as it is."""
    cli = Cli(tmp_path_factory.mktemp("status"))
    cli.write("m.py", MODULE)
    cli("run", "m.py:fine", "--progress", "none").check(0)
    cli("run", "m.py:many", *HEAP, "--runner", "serial", "--progress", "none", "--show", "none").check(0)
    cli.write("waits.py", WAITS)
    cli.write("raises.py", "raise ValueError('mine')\n")
    cli.write("exits.py", "raise SystemExit(0)\n")
    cli.write("broken.py", "def\n")
    cli.write("bad/labtech.toml", "[lab]\nworkerz = 1\n")
    cli.write("fine/labtech.toml", "[lab]\nworkers = 1\n")
    cli.write("file", "no storage")
    return cli


TABLE = {
    0: [
        ("done", "run m.py:fine -B"),
        ("all was cached", "run m.py:fine"),
        ("what failed is not asked for", "run m.py:fine --max-failures 1"),
        ("a dry run", "run m.py:mixed -n"),
        ("an empty shard", "run m.py:fine --shard {empty}"),
        ("a plan, whatever it shows", "plan m.py:mixed"),
        ("nothing would run", "plan m.py:fine --check"),
        ("results, also where there are none", "results m.py:mixed"),
        ("a listing without a row", "cache ls --older-than 99d"),
        ("nothing to remove", "cache rm --older-than 99d --yes"),
        ("only shown what would be removed", "cache rm --all --dry-run"),
        ("a diagram", "diagram m.py:fine"),
        ("tasks", "tasks m.py"),
        ("statistics", "cache stats"),
        ("the configuration", "config show"),
        ("its path", "config path --config fine/labtech.toml"),
        ("help", "--help"),
        ("help of a command", "run --help"),
        ("the version", "--version"),
    ],
    1: [
        ("a task raised", "run m.py:mixed -k"),
        ("a task raised, and nothing else was started", "run m.py:mixed"),
        ("a task failed in this process", "run m.py:mixed --runner serial"),
        ("a task was killed", "run m.py:Ends -p how=dies"),
        ("a task ended its process, with 0 at that", "run m.py:Ends -p how=exits"),
        ("a result cannot be saved", "run m.py:Ends -p how=unsaved"),
        ("too many tasks failed", "run m.py:mixed -k --max-failures 1"),
        ("something would run", "plan m.py:mixed --check"),
        ("there is no configuration file", "config path"),
    ],
    2: [
        ("no command", ""),
        ("a command that does not exist", "rum m.py:fine"),
        ("a command of a group that does not exist", "cache lss"),
        ("an option that does not exist", "run m.py:fine --nope"),
        ("no target", "run"),
        ("a number that is none", "run m.py:fine -j many"),
        ("a word that is none of those", "run m.py:fine --progress loud"),
        ("no shard", "run m.py:fine --shard 4/3"),
        ("no runner", "run m.py:fine --runner fast"),
        ("a format that there is not", "plan m.py:fine --format xml"),
        ("options that contradict each other", "plan m.py:fine --json --format csv"),
        ("no such configuration", "run m.py:fine --config no.toml"),
        ("a wrong configuration", "run m.py:fine --config bad/labtech.toml"),
        ("a wrong setting", "run m.py:fine --set workerz=1"),
        ("no such profile", "run m.py:fine --profile none"),
        ("no such file", "run no.py:fine"),
        ("no such module", "plan no.such:fine"),
        ("a module that raises", "run raises.py:x"),
        ("a module that exits with 0", "run exits.py:x"),
        ("a module that is no Python", "plan broken.py:x"),
        ("a module without a name", "run m.py"),
        ("no such name", "run m.py:fin"),
        ("no task", "run m.py:number"),
        ("a function of the user's that raises", "run m.py:fails"),
        ("no such parameter", "run m.py:Ends -p who=1"),
        ("a parameter of another type", "run m.py:many -p count=x"),
        ("a parameter that is missing", "run m.py:many"),
        ("a storage that is a file", "run m.py:fine --storage file"),
        ("events that cannot be written", "run m.py:fine --events no/e.jsonl"),
        ("a report that cannot be written", "run m.py:fine --junit-xml no/j.xml"),
        ("output that cannot be written", "plan m.py:fine -o no/plan.json"),
        ("no such key", "cache show abcdef12"),
        ("a wrong condition", "cache ls --where =1"),
        ("nobody can be asked", "cache rm --all"),
        ("a project that is there", "init fine"),
    ],
}
ROWS = [pytest.param(status, line, id=f"{status}: {why}") for status, rows in TABLE.items() for why, line in rows]


@pytest.mark.parametrize(("status", "line"), ROWS)
def test_the_table(done: Cli, status: int, line: str) -> None:
    if "{empty}" in line:  # the one target is in one of two shards
        told = [done("plan", "m.py:fine", "--shard", f"{k}/2").check().err for k in (1, 2)]
        line = line.format(empty="1/2" if "nothing to do" in told[0] else "2/2")
    ended = done(*shlex.split(line)).check(status)
    if status == 2 and line:
        assert ended.error(2)


def test_1_a_result_is_damaged(done: Cli, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.write("m.py", MODULE.replace('"x" * 100', "bytes(100_000)"))
    cli("run", "m.py:fine", "--show", "none").check(0)
    (part,) = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size >= 100_000]
    part.chmod(0o644)
    part.write_bytes(bytes(part.stat().st_size))
    cli("results", "m.py:fine").check(1)
    cli("run", "m.py:fine", "--show", "none").check(0)  # it is computed again


@pytest.mark.parametrize(("answer", "status"), [("y\r", 0), ("n\r", 1), ("\r", 1), ("\x03", 130)])
def test_the_answer_to_a_question(tmp_path: Path, answer: str, status: int) -> None:
    cli = Cli(tmp_path)
    cli.write("m.py", MODULE)
    cli("run", "m.py:fine").check(0)
    child = pexpect.spawn(COMMAND[0], [*COMMAND[1:], "cache", "rm", "--all"], cwd=str(tmp_path), env=environment())
    try:
        child.expect_exact("remove them? [y/N] ", timeout=30)
        child.send(answer)
        child.expect(pexpect.EOF, timeout=30)
        child.close()
    finally:
        child.close(force=True)
    assert child.exitstatus == status and b"Traceback" not in (child.before or b"")


@pytest.mark.parametrize(
    ("line", "signals", "status"),
    [
        ("run m.py:waits -j 1", [signal.SIGINT, signal.SIGINT], 130),
        ("run m.py:waits -j 1", [signal.SIGTERM], 143),
        ("run m.py:waits --runner serial", [signal.SIGTERM], 143),
        ("run waits.py:x", [signal.SIGINT], 130),
        ("run waits.py:x", [signal.SIGTERM], 143),
        ("plan waits.py:x --json", [signal.SIGTERM], 143),
        ("cache ls -m waits.py", [signal.SIGINT], 130),
    ],
)
def test_interrupts_while_tasks_run_and_while_modules_are_imported(
    tmp_path: Path, line: str, signals: list[signal.Signals], status: int
) -> None:
    cli = Cli(tmp_path)
    cli.write("m.py", MODULE)
    cli.write("waits.py", WAITS)
    process = cli.start(*line.split())
    wait_until((tmp_path / "started").exists, "it has started")
    for number in signals:
        process.send_signal(number)
        time.sleep(0.3)
    assert finish(process, 20).check(status).out == ""


@pytest.mark.parametrize(
    "line",
    [
        "run m.py:many -p count=2000 --show all",
        "run m.py:many -p count=2000 --json --progress none",
        "plan m.py:many -p count=2000 --tasks",
        "results m.py:many -p count=2000 --format csv",
        "cache ls --json",
    ],
)
def test_141_the_reader_went_away(done: Cli, line: str) -> None:
    code, first, told = done.head(*line.split())
    assert (code, bool(first), "Traceback" in told) == (141, True, False)
