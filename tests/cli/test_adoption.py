"""What changes while a run goes on: what another run computes is looked at before anything is built on it, like what a
plan loads; what may have been made by code that came only now is not recorded as made by that of before."""

from __future__ import annotations

import os
import pickle
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_kit import COMMAND, Cli, environment

from labtech_cli.lab import open_storage
from labtech_cli.store.blobs import Blob, Stored, digest
from labtech_cli.store.records import Claim, Record

MODULE = """
import os, time
import labtech_cli as labtech

@labtech.task
class Part:
    n: int = 1

    def run(self):
        open("begun", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.02)
        return "MADE"

@labtech.task
class Whole:
    part: Part = Part()

    def run(self):
        return "whole of " + self.part.result

part, whole = Part(), Whole()
"""
SECONDS = 60.0


@pytest.fixture(params=["", "file://"], ids=["local", "file"])
def where(cli: Cli, request: pytest.FixtureRequest) -> str:
    return f"{request.param}{cli.folder / 'kept'}"


def write(cli: Cli, made: str) -> None:
    cli.write("meanwhile.py", MODULE.replace("MADE", made))


@contextmanager
def command(cli: Cli, target: str, where: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A run that goes on while something else happens; what it says on stderr is in a file beside."""
    with open(cli.folder / f"{target}.err", "w") as err:
        process = subprocess.Popen(
            [*COMMAND, "run", f"meanwhile.py:{target}", "--storage", where, *options],
            cwd=cli.folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(path: Path, text: str = "") -> str:
    """Wait until a file is there and has a text in it."""
    end = time.monotonic() + SECONDS
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < end, path.read_text() if path.exists() else f"no {path.name}"
        time.sleep(0.02)
    return path.read_text()


def while_older_code_runs(cli: Cli, where: str, rule: str) -> tuple[int, str, str]:
    """A run of today's code waits for a result that yesterday's is computing: status, stdout and stderr."""
    write(cli, "v1")
    with command(cli, "part", where) as first:
        until(cli.folder / "begun")
        write(cli, "v2")
        with command(cli, "whole", where, "-s", f"lab.on_code_change={rule}") as second:
            until(cli.folder / "whole.err", "another run uses this storage")
            (cli.folder / "go").touch()
            out, _ = second.communicate(timeout=SECONDS)
            assert first.wait(SECONDS) == 0
            return second.returncode, out, (cli.folder / "whole.err").read_text()


def test_a_result_of_other_code_is_told_and_what_is_built_on_it_is_recorded_with_that_code(
    cli: Cli, where: str
) -> None:
    code, out, err = while_older_code_runs(cli, where, "warn")
    assert (code, "whole of v1" in out) == (0, True)
    assert "another run computed meanwhile were made by other code: meanwhile.py:Part.run changed" in err
    rows = cli("cache", "ls", "--module", "meanwhile.py", "--storage", where, "--json").check().document()["results"]
    assert {row["type"].rpartition(".")[2]: row["status"] for row in rows} == {"Part": "stale", "Whole": "stale"}
    again = cli("run", "meanwhile.py:whole", "--rerun-stale", "--storage", where).check()
    assert "whole of v2" in again.out


def test_a_result_of_other_code_is_computed_again_where_that_is_the_rule(cli: Cli, where: str) -> None:
    code, out, _ = while_older_code_runs(cli, where, "rerun")
    assert (code, "whole of v2" in out) == (0, True)
    assert cli("plan", "meanwhile.py:whole", "--check", "--storage", where).code == 0


def test_a_result_of_other_code_fails_the_task_where_that_is_an_error(cli: Cli, where: str) -> None:
    code, out, err = while_older_code_runs(cli, where, "error")
    assert code == 1 and "whole of" not in out
    assert "was made by other code: meanwhile.py:Part.run changed" in err


def test_a_damaged_result_of_another_run_is_never_used(cli: Cli, where: str) -> None:
    write(cli, "good")
    (cli.folder / "go").touch()
    cli("run", "meanwhile.py:part", "--storage", where).check()
    storage = open_storage(where)
    (row,) = storage.rows()
    storage.remove([row.key])
    storage.enter([row.key])
    with storage.claiming() as claim:
        assert claim(row.key, True) is Claim.MINE
    with command(cli, "whole", where) as waits:
        until(cli.folder / "whole.err", "another run uses this storage")
        good = pickle.dumps("good", 5)
        blob = Blob("result.pickle", len(good), digest(good), good.replace(b"good", b"evil"), None)
        record = Record(row.key, row.type, None, row.params, 0.1, time.time(), Stored("pickle", (blob,)), code=row.code)
        storage.commit([record])
        storage.leave()
        storage.close()
        out, _ = waits.communicate(timeout=SECONDS)
    err = (cli.folder / "whole.err").read_text()
    assert waits.returncode == 0 and "whole of good" in out, err
    assert "was damaged: set aside, computed again" in err
    assert os.listdir(cli.folder / "kept" / "damaged")


LAZY = """
import os, time
import labtech_cli as labtech

@labtech.task
class Late:
    n: int = 1

    def run(self):
        open("begun", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.02)
        import helper
        return helper.made()

@labtech.task
class Early:
    n: int = 1

    def run(self):
        return "early"

late = [Early(), Late()]
"""


def test_code_that_is_imported_after_it_was_changed_is_not_taken_for_that_of_before(cli: Cli) -> None:
    cli.write("meanwhile.py", LAZY)
    cli.write("helper.py", "def made():\n    return 'v1'\n")
    with command(cli, "late", "kept") as run:
        until(cli.folder / "begun")
        cli.write("helper.py", "def made():\n    return 'version 2'\n")
        (cli.folder / "go").touch()
        out, _ = run.communicate(timeout=SECONDS)
    err = (cli.folder / "late.err").read_text()
    assert run.returncode == 0 and "version 2" in out
    assert "the code of Late was changed while tasks run, and is imported only now" in err
    cli.write("helper.py", "def made():\n    return 'v1'\n")
    rows = cli("cache", "ls", "--module", "meanwhile.py", "--storage", "kept", "--json").check().document()["results"]
    assert {row["type"].rpartition(".")[2]: row["status"] for row in rows} == {"Late": "stale", "Early": "current"}
    assert "v1" in cli("run", "meanwhile.py:late", "--rerun-stale", "--storage", "kept").check().out


def test_code_that_was_imported_before_it_was_changed_stays_what_results_are_recorded_with(cli: Cli) -> None:
    """To edit while a run goes on is what people do."""
    cli.write("meanwhile.py", LAZY.replace("        import helper\n", "").replace("import os,", "import helper, os,"))
    cli.write("helper.py", "def made():\n    return 'v1'\n")
    with command(cli, "late", "kept") as run:
        until(cli.folder / "begun")
        cli.write("helper.py", "def made():\n    return 'version 2'\n")
        (cli.folder / "go").touch()
        out, _ = run.communicate(timeout=SECONDS)
    assert run.returncode == 0 and "v1" in out
    assert "was changed while" not in (cli.folder / "late.err").read_text()
    cli.write("helper.py", "def made():\n    return 'v1'\n")
    assert cli("plan", "meanwhile.py:late", "--check", "--storage", "kept").check().err.count("other code") == 0
