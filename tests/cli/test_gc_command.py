"""`labtech cache gc` and `rm`, beside runs that live, and killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from cli_kit import COMMAND, Cli, environment, finish, wait_until

NEEDS = """\
import os, time
import labtech_cli as labtech

@labtech.task
class Base:
    n: int
    def run(self): return self.n

@labtech.task
class Waits:
    base: Base
    def run(self):
        open("started", "w").close()
        while not os.path.exists("go"): time.sleep(0.05)
        return self.base.result

bases = [Base(n) for n in range(4)]
waits = Waits(Base(0))
"""


def left(cli: Cli) -> list[str]:
    """The types of the results in the storage, told without the command."""
    with sqlite3.connect(cli.folder / "labtech_storage" / "labtech.db") as database:
        rows = database.execute("SELECT type FROM task WHERE format IS NOT NULL ORDER BY type").fetchall()
    database.close()
    return [name.rpartition(".")[2] for (name,) in rows]


def parameters(cli: Cli) -> list[int]:
    rows = cli("cache", "ls", "--where", "n>=0", "--json").check().document()["results"]
    return sorted(row["params"]["n"] for row in rows)


def test_what_was_set_aside_goes_when_it_is_asked_for(cli: Cli) -> None:
    cli.write("needs.py", NEEDS)
    cli("run", "needs.py:bases", "--show", "none").check()
    with sqlite3.connect(cli.folder / "labtech_storage" / "labtech.db") as database:
        database.execute("UPDATE data SET bytes = X'00' WHERE id < 3")
    database.close()
    cli("cache", "verify", "--repair").check()
    aside = cli.folder / "labtech_storage" / "damaged"
    assert len(os.listdir(aside)) == 2
    done = cli("cache", "gc", "--damaged", "--older-than", "1d", "--yes", "--json").check().document()
    assert (done["damaged"], done["left"]) == (0, 2) and len(os.listdir(aside)) == 2
    told = cli("cache", "gc", "--damaged", "--dry-run").check().err
    assert "to be removed: nothing" in told and "and what was set aside: 2 damaged results, 2 B" in told
    assert "nothing was removed: there is no terminal" in cli("cache", "gc", "--damaged").error()
    done = cli("cache", "gc", "--damaged", "--yes", "--json").check().document()
    assert (done["damaged"], done["damaged_bytes"], done["removed"], done["left"]) == (2, 2, 0, 2)
    assert os.listdir(aside) == []


@pytest.fixture
def busy(cli: Cli) -> Iterator[Cli]:
    """A run that needs `Base(0)`, beside four results of `Base`."""
    cli.write("needs.py", NEEDS)
    cli("run", "needs.py:bases", "--show", "none").check()
    process = cli.start("run", "needs.py:waits", "--show", "none")
    try:
        wait_until((cli.folder / "started").exists, "it has started")
        yield cli
        cli.write("go", "")
        finish(process).check(0)
    finally:
        process.kill()


def test_a_rule_is_needed(cli: Cli) -> None:
    assert cli("cache", "gc", "-y").error().startswith("no rule says what is to go; give --max-size")
    assert "'10 gigs' is not a size" in cli("cache", "gc", "--max-size", "10 gigs").error()
    assert "'old' is not a duration" in cli("cache", "gc", "--older-than", "old").error()
    assert "--stale needs the module" in cli("cache", "gc", "--stale").error()
    assert "less than 0" in cli("cache", "gc", "--keep-last", "-1").error()


def test_it_shows_asks_and_removes(ran: Cli) -> None:
    assert "add --yes" in ran("cache", "gc", "--keep-last", "2").error()
    shown = ran("cache", "gc", "--keep-last", "2", "--dry-run", "--json").check()
    document = shown.document()
    assert "Add: 5 results" in shown.err and len(left(ran)) == 8
    assert (document["removed"], len(document["results"]), document["left"]) == (0, 5, 3)
    document = ran("cache", "gc", "--keep-last", "2", "--yes", "--json").check().document()
    assert (document["removed"], document["needed"], document["left"]) == (5, 0, 3)
    assert {item["rule"] for item in document["results"]} == {"keep-last"}
    assert left(ran) == ["Add", "Add", "Total"]
    again = ran("cache", "gc", "--keep-last", "2", "--yes").check()
    assert "to be removed: nothing" in again.err


def test_size_age_and_status(ran: Cli) -> None:
    document = ran("cache", "gc", "--max-size", "60", "-y", "--json").check().document()
    assert document["left_bytes"] <= 60 < document["left_bytes"] + document["results"][-1]["size_bytes"]
    assert {item["rule"] for item in document["results"]} == {"max-size"}
    ran("cache", "gc", "--older-than", "1h", "-y").check()
    many = len(left(ran))
    ran.write("experiments.py", ran.read("experiments.py").replace('"v2"', '"v3"'))
    ran("cache", "gc", "--stale", "-m", "experiments.py", "-y").check()
    assert many > len(left(ran)) == left(ran).count("Add")
    done = ran("cache", "gc", "--max-size", "1", "--keep-last", "1", "-y").check()
    assert left(ran) == ["Add"] and "more than 1 B; all of it is to be kept" in done.err
    ran("cache", "gc", "--older-than", "0s", "-y").check()
    assert left(ran) == []


def test_the_room_is_given_back(cli: Cli) -> None:
    cli.write("big.py", "import labtech_cli as labtech\n@labtech.task\nclass Big:\n    n: int\n"
              "    def run(self): return bytes(60_000)\nbig = [Big(n) for n in range(300)]\n")  # fmt: skip
    cli("run", "big.py:big", "--runner", "serial", "--show", "none").check()
    file = cli.folder / "labtech_storage" / "labtech.db"
    before = file.stat().st_size
    cli("cache", "gc", "--keep-last", "10", "-y").check()
    assert file.stat().st_size < before / 10
    assert "all are whole" in cli("cache", "verify").check().err


def test_gc_leaves_what_a_live_run_needs(busy: Cli) -> None:
    done = busy("cache", "gc", "--older-than", "0s", "--yes", "--json").check()
    assert done.document()["removed"] == 3 and done.document()["needed"] == 1
    assert "to stay, as live runs need them: 1 result" in done.err
    assert parameters(busy) == [0]


def test_rm_leaves_what_a_live_run_needs_unless_forced(busy: Cli) -> None:
    done = busy("cache", "rm", "Base", "--yes").check(1)
    assert "removed 3 results" in done.err and "1 result; --force removes them, too" in done.err
    assert parameters(busy) == [0]
    assert "to be removed: nothing" in busy("cache", "rm", "--all", "--yes").check(1).err
    busy("cache", "rm", "--all", "--dry-run").check(0)
    busy("cache", "rm", "--where", "n=0", "--yes", "--force").check(0)
    assert parameters(busy) == []
    busy("run", "needs.py:bases", "--show", "none").check()  # for the run that waits


def test_all_that_rm_is_given_must_apply(ran: Cli) -> None:
    """Names, --target, --where, --older-than and statuses together are their intersection."""
    keys = [row["key"] for row in ran("cache", "ls", "Add", "--json").check().document()["results"]]
    module = ["-m", "experiments.py"]

    def would(*arguments: str) -> str:
        return ran("cache", "rm", *arguments, "--dry-run").check().err

    assert "2 results" in would("Add", "--target", "experiments.py:adds", "--where", "n>1")
    assert "3 results" in would("Add", "--where", "kind=LARGE", "--current", *module)
    assert "no result matches" in would("Total", "--target", "experiments.py:adds")
    assert "no result matches" in would("Add", "--older-than", "1h", "--where", "n>=0")
    assert "no result matches" in would("Add", "--stale", *module)
    assert "2 results" in would(keys[0], keys[1][:8], "--older-than", "0s")
    assert "no result matches" in would(keys[0], "--where", "n>100")
    assert "8 results" in would("Add", "Total", "--current", "--stale", *module)
    assert len(left(ran)) == 8


def test_gc_asks_on_a_terminal(ran: Cli) -> None:
    arguments = [*COMMAND[1:], "cache", "gc", "--keep-last", "1"]
    child = pexpect.spawn(COMMAND[0], arguments, cwd=str(ran.folder), env=environment(), timeout=30)
    try:
        child.expect_exact("remove them? [y/N] ")
        child.send("n\r")
        child.expect(pexpect.EOF)
        child.close()
    finally:
        child.close(force=True)
    assert child.exitstatus == 1 and len(left(ran)) == 8


LARGE = """\
import labtech_cli as labtech

@labtech.task
class Large:
    n: int
    def run(self): return bytes(100_000)

large = [Large(n) for n in range(300)]
"""


@pytest.mark.parametrize("after", [0.0, 0.02, 0.06, 0.15])
def test_a_gc_that_is_killed_is_done_by_the_next(cli: Cli, after: float) -> None:
    cli.write("m.py", LARGE)
    cli("run", "m.py:large", "--runner", "serial", "--show", "none").check()
    storage = cli.folder / "labtech_storage"
    process = cli.start("cache", "gc", "--keep-last", "5", "-y")
    assert process.stderr is not None
    for line in process.stderr:
        if "to be removed" in line:
            break
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    finish(process)
    assert "all are whole" in cli("cache", "verify").check().err
    cli("cache", "gc", "--keep-last", "5", "-y").check()
    assert left(cli) == ["Large"] * 5
    cli("run", "m.py:large", "--runner", "serial", "--show", "none").check()  # sweeps what the dead one left
    assert len(files_of(storage)) == 300


def files_of(storage: Path) -> list[Path]:
    return [path for path in (storage / "results").rglob("*") if path.is_file()]


def test_stale_are_also_results_of_other_code_and_the_help_says_so(ran: Cli) -> None:
    ran.write("experiments.py", ran.read("experiments.py").replace("return self.n + 1", "return self.n + 2 - 1"))
    done = ran("cache", "gc", "--stale", "-m", "experiments.py", "-n", "--json").check().document()
    assert [item["rule"] for item in done["results"]] == ["stale"] * 8
    assert "another code_version or code" in " ".join(ran("cache", "gc", "--help").check().out.split())
