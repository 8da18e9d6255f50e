"""`labtech run`, as a user runs it: what is run, what is loaded, what is told."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from cli_kit import Cli, checked, finish


def executed(cli: Cli) -> int:
    """How many tasks ran, told by the tasks themselves."""
    path = cli.folder / "ran.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_run_prints_the_result_and_a_second_one_only_loads(lab: Cli) -> None:
    done = lab("run", "experiments.py:total").check()
    assert [line.split() for line in done.out.splitlines()] == [
        ["parts", "scale", "sum", "result.parts"],
        ["4", "Add", "1", "10", "4"],
    ]
    assert "5 tasks to run" in done.err and "5 succeeded" in done.err
    assert executed(lab) == 4
    again = lab("run", "experiments.py:total").check()
    assert again.out == done.out
    assert "1 to load" in again.err and "1 loaded" in again.err
    assert executed(lab) == 4


def test_events_on_stdout_and_in_a_file_are_the_same(lab: Cli) -> None:
    done = lab("run", "experiments.py:total", "--json", "--events", "events.jsonl").check()
    events = done.events()
    assert [checked(json.loads(line)) for line in lab.read("events.jsonl").splitlines()] == events
    assert events[0]["event"] == "run_started" and events[-1]["event"] == "run_finished"
    assert events[0]["to_run"] == {"Add": 4, "Total": 1}
    assert len({event["run_id"] for event in events}) == 1
    assert [event["time"] for event in events] == sorted(event["time"] for event in events) or len(events) > 2
    finished = [event for event in events if event["event"] == "task_finished"]
    started = [event["key"] for event in events if event["event"] == "task_started"]
    assert sorted(started) == sorted(event["key"] for event in finished)
    assert all(event["outcome"] == "succeeded" and event["peak_memory_bytes"] >= 0 for event in finished)
    assert finished[-1]["type"] == "Total"
    again = lab("run", "experiments.py:total", "--json").check().events()
    assert [event["event"] for event in again] == ["run_started", "task_finished", "run_finished"]
    assert "--events no/x: no such file" in lab("run", "experiments.py:total", "--events", "no/x").error()


def test_rerun_all_targets_or_nothing(ran: Cli) -> None:
    assert ran("run", "experiments.py:total", "--json").check().counts() == {"loaded": 1}
    assert ran("run", "experiments.py:total", "--json", "--rerun-targets").check().counts() == {
        "loaded": 4,
        "succeeded": 1,
    }
    before = executed(ran)
    assert ran("run", "experiments.py:total", "--json", "-B", "-j", "1").check().counts() == {"succeeded": 5}
    assert executed(ran) == before + 4


def test_grids_and_parameters(lab: Cli) -> None:
    grid = ["--grid", "n=0..2", "--grid", "kind=SMALL,LARGE"]
    done = lab("run", "experiments.py:Add", *grid, "-j", "2", "--json").check()
    assert done.counts() == {"succeeded": 6}
    shown = [
        (event["params"]["n"], event["params"]["kind"]) for event in done.events() if event["event"] == "task_finished"
    ]
    assert sorted(shown) == [(n, kind) for n in range(3) for kind in ("LARGE", "SMALL")]
    assert lab("run", "experiments.py:many", "-p", "count=4", "--json").check().counts() == {
        "loaded": 3,
        "succeeded": 1,
    }
    total = lab("run", "experiments.py:Total", "-p", "parts=experiments.py:adds", "-p", "scale=0.5", "--json").check()
    assert total.counts() == {"loaded": 3, "succeeded": 2}


def test_show_says_how_much_of_the_results_is_printed(lab: Cli) -> None:
    lab("run", "experiments.py:many", "-p", "count=70", "--runner", "serial", "--show", "none").check()
    assert lab("run", "experiments.py:many", "-p", "count=70", "--show", "none").out == ""
    some = lab("run", "experiments.py:many", "-p", "count=70")
    assert len(some.out.splitlines()) == 61 and "--show all" in some.err
    assert len(lab("run", "experiments.py:many", "-p", "count=70", "--show", "all").out.splitlines()) == 71


def test_progress_none_is_silent_and_plain_is_bounded_and_without_escapes(lab: Cli) -> None:
    quiet = lab("run", "experiments.py:total", "--progress", "none").check()
    assert quiet.err.splitlines() == ["printed on import", "written on import"]
    plain = lab("run", "experiments.py:total", "-B").check()
    assert "\x1b" not in plain.out + plain.err and "\r" not in plain.out + plain.err
    assert len(plain.err.splitlines()) <= 2 + 2 * 5 + 3
    many = lab("run", "experiments.py:many", "-p", "count=300").check()
    assert len(many.err.splitlines()) < 20
    forced = lab("run", "experiments.py:total", "-B", env={"FORCE_COLOR": "1"}).check()
    assert "\x1b[" in forced.err and "\x1b" not in forced.out
    assert "\x1b" not in lab("run", "experiments.py:total", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).err


def test_failures_stop_new_tasks_unless_told_to_keep_going(lab: Cli) -> None:
    done = lab("run", "experiments.py:after", "--runner", "serial", "--json").check(1)
    counts = done.counts()
    assert counts["failed"] == 1 and counts["skipped"] == 1 and counts["cancelled"] >= 1
    done = lab("run", "experiments.py:after", "-k", "--json").check(1)
    assert (done.counts()["failed"], done.counts()["skipped"]) == (2, 2)
    failed = [event for event in done.events() if event.get("outcome") == "failed"]
    assert failed[0]["error"]["kind"] == "ValueError"
    assert "experiments.py" in failed[0]["error"]["traceback"] and "labtech_cli" not in failed[0]["error"]["traceback"]
    told = lab("run", "experiments.py:after", "-k").check(1)
    assert "ValueError: 1 is odd" in told.err and "skipped because Odd(n=1) failed: 1 task" in told.err
    assert "labtech run experiments.py:after -k" in told.err
    assert [line.split() for line in told.out.splitlines()][1:] == [["Odd", "0", "0"], ["Odd", "2", "2"]]
    limited = lab(
        "run", "experiments.py:Odd", "--grid", "n=1,3,5,7,9", "-k", "--max-failures", "2", "-j", "1", "--json"
    )
    counts = limited.check(1).counts()
    assert 2 <= counts["failed"] < 5 and counts["cancelled"] == 5 - counts["failed"]


@pytest.mark.parametrize("runner", ["serial", "thread", "spawn", "fork-per-task"])
def test_each_runner_gives_the_same_results(lab: Cli, runner: str) -> None:
    done = lab("run", "experiments.py:total", "--runner", runner, "--json").check()
    assert done.counts() == {"succeeded": 5}
    assert done.events()[0]["runner"] == runner
    assert lab("results", "experiments.py:total", "--json").document()["results"][0]["sum"] == 10


def test_settings_come_from_the_file_the_environment_and_the_command_line(lab: Cli) -> None:
    lab.write("labtech.toml", '[lab]\nworkers = 3\nrunner = "serial"\n[targets]\nsum = "experiments.py:total"\n')
    first = lab("run", "sum", "--json").check().events()[0]
    assert (first["workers"], first["runner"]) == (3, "serial")
    first = lab("run", "sum", "--json", env={"LABTECH_WORKERS": "2"}).check().events()[0]
    assert first["workers"] == 2
    first = lab("run", "sum", "--json", "-s", "lab.workers=1", env={"LABTECH_WORKERS": "2"}).check().events()[0]
    assert first["workers"] == 1
    elsewhere = lab("run", "sum", "--json", "--storage", "other", "-s", "runner=process").check()
    assert elsewhere.counts() == {"succeeded": 5} and elsewhere.events()[0]["runner"] == "process"
    assert (lab.folder / "other" / "labtech.db").exists()
    assert "did you mean" in lab("run", "smu").error()
    assert lab("run", "sum", "--storage", "none", "--json").check().counts() == {"succeeded": 5}


def test_unicode_in_folders_files_names_and_parameters(cli: Cli) -> None:
    cli.write(
        "mëin ordner/実験.py",
        "import labtech_cli as labtech\n@labtech.task\nclass Größe:\n    naïve: str\n"
        "    def run(self): return self.naïve * 2\n"
        "größe = Größe('日本 🎉')\n",
    )
    done = cli("run", "mëin ordner/実験.py:größe").check()
    assert "日本 🎉日本 🎉" in done.out
    done = cli("run", "mëin ordner/実験.py:Größe", "-p", "naïve=ä=ö", "--json").check()
    assert done.counts() == {"succeeded": 1}
    assert cli("cache", "ls", "Größe", "--where", "naïve=ä=ö", "--json").check().document()["results"]
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    shown = cli("run", "mëin ordner/実験.py:größe", "-B", env=ascii_only)
    assert shown.code == 0 and shown.out.isascii() and shown.err.isascii(), shown.err


def test_no_home_and_a_stripped_environment(lab: Cli) -> None:
    gone = dict.fromkeys(("HOME", "USER", "LOGNAME", "LANG", "XDG_CACHE_HOME", "TMPDIR"))
    assert lab("run", "experiments.py:total", "--json", env=gone).check().counts() == {"succeeded": 5}
    assert lab("cache", "ls", env=gone).check().out
    missing: dict[str, str | None] = {"HOME": str(lab.folder / "no" / "such")}
    assert lab("run", "experiments.py:total", "-B", "--json", env=missing).check().counts() == {"succeeded": 5}


def test_two_runs_at_once_on_one_storage(lab: Cli) -> None:
    target = ["run", "experiments.py:many", "-p", "count=40", "-j", "2", "--json"]
    both = [lab.start(*target) for _ in range(2)]
    for process in both:
        done = finish(process).check()
        counts = done.counts()
        assert counts.get("succeeded", 0) + counts.get("loaded", 0) == 40
    assert len(lab("cache", "ls", "--json").check().document()["results"]) == 40
    assert lab(*target).check().counts() == {"loaded": 40}


def test_looking_at_a_storage_that_cannot_be_written(ran: Cli) -> None:
    storage = ran.folder / "labtech_storage"
    before = {path: path.stat().st_mtime_ns for path in storage.rglob("*")}
    shutil.rmtree(storage / "spool", ignore_errors=True)
    for path in (storage / "labtech.db", storage, ran.folder):
        path.chmod(0o444 if path.is_file() else 0o555)
    try:
        assert ran("plan", "experiments.py:total", "--json", "--check").check().document()
        assert len(ran("results", "experiments.py:adds", "--json").check().document()["results"]) == 4
        assert len(ran("cache", "ls", "--json").check().document()["results"]) == 8
        assert ran("cache", "stats").check().out
    finally:
        for path in (ran.folder, storage, storage / "labtech.db"):
            path.chmod(0o755)
    assert {path for path in storage.rglob("*") if path.suffix not in (".db-wal", ".db-shm")} <= set(before)
    with sqlite3.connect(storage / "labtech.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_the_run_id_says_when(lab: Cli) -> None:
    first = lab("run", "experiments.py:adds", "--json", "--runner", "serial").check().events()[0]
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", first["run_id"])


def test_nothing_but_the_storage_is_left_in_the_folder(lab: Cli) -> None:
    lab("run", "experiments.py:total").check()
    left = {path.name for path in lab.folder.iterdir()} - {"__pycache__"}
    assert left == {"experiments.py", "labtech_storage", "ran.txt"}
    spool = lab.folder / "labtech_storage" / "spool"
    assert not spool.exists() or not list(Path(spool).iterdir())


UNLOADABLE = """\
import sys
import labtech_cli as labtech

class TwoArguments(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} {second}")

class Leaves:
    def __reduce__(self):
        return sys.exit, (3,)

@labtech.task
class Gives:
    what: str
    def run(self):
        return {"exception": TwoArguments(1, 2), "exit": Leaves()}.get(self.what, self.what)

all = [Gives(what) for what in ("first", "exception", "exit", "last")]
"""


@pytest.mark.parametrize("runner", ["process", "serial"])
def test_a_result_that_cannot_be_loaded_is_a_warning_beside_the_others(cli: Cli, runner: str) -> None:
    cli.write("project.py", UNLOADABLE)
    done = cli("run", "project.py:all", "--runner", runner, "--events", "events.jsonl").check(0)
    assert [line.split()[-1] for line in done.out.splitlines()[1:]] == ["first", "last"]
    warned = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 2 and "Gives(what='exception')" in warned[0] and "TypeError" in warned[0]
    assert "Gives(what='exit')" in warned[1] and "SystemExit" in warned[1]
    assert json.loads(cli.read("events.jsonl").splitlines()[-1])["exit_code"] == 0
