"""`labtech runs` and `labtech run --failed`: what ran, how it ended, what it printed, and that again."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from cli_kit import COMMAND, Cli, environment, finish, wait_until

MODULE = """\
import os, sys, time
import labtech_cli as labtech

@labtech.task(retries=1)
class Fit:
    n: int
    def run(self):
        print("fitting", self.n)
        print("on stderr", file=sys.stderr)
        if self.n % 2 and not os.path.exists("mended"):
            raise ValueError(f"{self.n} is odd")
        return self.n

@labtech.task
class Score:
    fit: Fit
    def run(self):
        return self.fit.result

@labtech.task
class Junk:
    def run(self):
        os.write(1, b"\\xff\\x00 \\x1b[31mred\\x1b[0m, no newline")

@labtech.task
class Waits:
    n: int
    def run(self):
        print("waiting", self.n, flush=True)
        open(f"started.{self.n}", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)

@labtech.task
class Flood:
    n: int
    def run(self):
        print("x" * 100_000)

scores = [Score(Fit(n)) for n in range(3)]
even = [Score(Fit(0)), Score(Fit(2))]
junk = Junk()
waits = [Waits(0), Waits(1)]
flood = [Flood(n) for n in range(20)]
"""
QUIET = ("--progress", "none", "--show", "none", "-s", "retry_delay=0.01s")
FAST = ("-s", "retry_delay=0.01s")


@pytest.fixture
def lab(cli: Cli) -> Cli:
    cli.write("m.py", MODULE)
    return cli


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Where one run was well, and a later one had a failure. Only to be looked at."""
    cli = Cli(tmp_path_factory.mktemp("runs"))
    cli.write("m.py", MODULE)
    cli("run", "m.py:junk", *QUIET).check()
    cli("run", "m.py:scores", "-k", *QUIET).check(1)
    return cli


def history(cli: Cli) -> Path:
    return cli.folder / "labtech_storage" / "history"


def ids(cli: Cli) -> list[str]:
    return sorted(os.listdir(history(cli)), reverse=True)


def test_runs_are_listed_newest_first(seen: Cli) -> None:
    runs = seen("runs", "ls", "--json").check().document()["runs"]
    assert [run["run_id"] for run in runs] == ids(seen)
    assert [(run["status"], run["exit_code"], run["targets"]) for run in runs] == [
        ("failed", 1, ["m.py:scores"]),
        ("succeeded", 0, ["m.py:junk"]),
    ]
    assert runs[0]["counts"] == {"succeeded": 4, "loaded": 0, "failed": 1, "skipped": 1, "cancelled": 0}
    assert runs[0]["argv"][1:4] == ["run", "m.py:scores", "-k"] and runs[0]["folder"] == str(seen.folder)
    table = seen("runs", "ls").check().out.splitlines()
    assert table[0].split() == ["run", "started", "status", "took", "tasks", "targets"] and len(table) == 3
    assert "4 succeeded, 1 failed, 1 skipped" in table[1]
    limited = seen("runs", "ls", "--limit", "1", "--json").check()
    assert len(limited.document()["runs"]) == 1 and limited.err == "only the newest 1: --limit shows more\n"
    assert len(seen("runs", "ls", "--limit", "0", "--format", "jsonl").check().lines()) == 2
    assert [run["run_id"] for run in seen("runs", "ls", "--status", "succeeded", "--json").document()["runs"]] == [
        ids(seen)[1]
    ]
    assert "must be one of succeeded, failed" in seen("runs", "ls", "--status", "fine").error()


def test_a_run_is_shown_with_each_attempt(seen: Cli) -> None:
    document = seen("runs", "show", "--json").check().document()
    tasks = {(task["type"], json.dumps(task["params"])): task for task in document["tasks"]}
    failed = tasks["Fit", '{"n": 1}']
    assert [item["attempt"] for item in failed["failed_attempts"]] == [1, 2]
    assert failed["failed_attempts"][1]["error"]["message"] == "1 is odd" and failed["outcome"] == "failed"
    assert failed["output_bytes"] == 2 * len("fitting 1\non stderr\n")
    (skipped,) = [task for task in document["tasks"] if task["outcome"] == "skipped"]
    assert skipped["because"] == failed["key"]
    assert {row["type"]: (row["succeeded"], row["failed"], row["skipped"]) for row in document["types"]} == {
        "Fit": (2, 1, 0), "Score": (2, 0, 1),
    }  # fmt: skip
    shown = seen("runs", "show", ids(seen)[0]).check().out
    for part in ("status    failed, exit status 1", "  attempt 1 after ", "  attempt 2 after ", "ValueError: 1 is odd",
                 "skipped because of it: 1 task", f"log: labtech runs logs {ids(seen)[0]} {failed['key'][:12]}",
                 "  Fit: 2 succeeded, 1 failed", "slowest"):  # fmt: skip
        assert part in shown
    assert "m.py:junk" in seen("runs", "show", ids(seen)[1]).check().out


def test_logs_are_told_by_task(seen: Cli) -> None:
    done = seen("runs", "logs").check()
    assert sorted(done.out.splitlines()) == sorted(
        ["fitting 0", "fitting 1", "fitting 1", "fitting 2", *["on stderr"] * 4]
    )
    assert done.out.count("fitting 1\non stderr\nfitting 1\non stderr\n") == 1
    assert done.err.count("==> Fit(n=") == 3
    failed = seen("runs", "logs", "--failed").check()
    assert failed.out == "fitting 1\non stderr\n" * 2 and failed.err == ""
    assert seen("runs", "logs", "--failed", "--tail", "3").check().out == "on stderr\nfitting 1\non stderr\n"
    (key,) = [task["key"] for task in seen("runs", "show", "--json").document()["tasks"] if task["outcome"] == "failed"]
    assert seen("runs", "logs", ids(seen)[0], key[:10]).check().out == failed.out
    assert seen("runs", "logs", key).check().out == failed.out
    none = seen("runs", "logs", "Score").check()
    assert (none.out, none.err) == ("", "3 tasks wrote nothing that was kept\n")
    assert "has no task 'Fitt'; did you mean 'Fit'?" in seen("runs", "logs", "Fitt").error()


def test_a_log_is_what_was_written_and_harmless_on_a_terminal(seen: Cli) -> None:
    pexpect = pytest.importorskip("pexpect")
    command = [*COMMAND, "runs", "logs", ids(seen)[1]]
    raw = subprocess.run(command, cwd=seen.folder, env=environment(), capture_output=True, timeout=60, check=True)
    assert raw.stdout == b"\xff\x00 \x1b[31mred\x1b[0m, no newline" and raw.stderr == b""
    shown = pexpect.run(" ".join(command), cwd=seen.folder, env=environment(), timeout=60)
    assert shown == b"\\xff red, no newline\r\n"


def test_what_is_not_there_is_said(cli: Cli, seen: Cli) -> None:
    assert (cli("runs", "ls").check().err, cli("runs", "ls").out) == ("no run is kept yet\n", "")
    assert cli("runs", "ls", "--json").check().document()["runs"] == []
    for command in ("show", "logs"):
        assert "no run is kept in" in cli("runs", command).error()
    assert not (cli.folder / "labtech_storage").exists()
    assert "storage 'none' keeps no run history" in cli("runs", "ls", "--storage", "none").error()
    assert f"there is no run '19990101'; choose from '{ids(seen)[1]}'" in seen("runs", "show", "19990101").error()
    assert "'20' is the beginning of 2 runs" in seen("runs", "show", "20").error()


def test_the_summary_names_the_log_and_how_to_go_on(lab: Cli) -> None:
    done = lab("run", "m.py:scores", "-k", "--storage", "my results", *FAST).check(1)
    (line,) = [line for line in done.err.splitlines() if line.startswith("  log: ")]
    words = line.split(" ", 3)[3].replace("labtech ", "", 1)
    assert words.startswith("runs logs --storage 'my results' ")
    assert "fitting 1" in lab(*shlex.split(words)).check().out
    again = "labtech run m.py:scores -k --storage 'my results' -s retry_delay=0.01s --failed"
    assert f"run the failed tasks again with: {again}" in done.err
    assert "log:" not in lab("run", "m.py:scores", "--storage", "none", *FAST).check(1).err


def test_only_what_failed_runs_again(lab: Cli) -> None:
    never = lab("run", "m.py:scores", "--failed").check()
    assert (never.out, never.err) == ("", "nothing to do: they were never run\n")
    lab("run", "m.py:scores", "-k", *QUIET).check(1)
    plan = lab("run", "m.py:scores", "--failed", "-n", "--json").check().document()
    assert [(task["type"], task["action"]) for task in plan["tasks"]] == [("Fit", "run"), ("Score", "run")]
    none = "nothing to do: no task of these targets failed when it was last run\n"
    assert lab("run", "m.py:even", "--failed").check().err == none
    lab("run", "m.py:junk", *QUIET).check()
    lab.write("mended", "")
    done = lab("run", "m.py:scores", "--failed", "--json").check()
    assert done.counts() == {"succeeded": 2}
    assert lab("run", "m.py:scores", "--failed").check().err == none
    assert lab("run", "m.py:scores", "--json").check().counts() == {"loaded": 3}


def test_failed_needs_a_history_and_no_shard(lab: Cli) -> None:
    assert "--failed needs a run history" in lab("run", "m.py:scores", "--failed", "--storage", "none").error()
    both = lab("run", "m.py:scores", "--failed", "--shard", "1/2").error()
    assert "--failed and --shard contradict each other" in both


def test_a_live_run_is_running_and_after_a_kill_it_died(lab: Cli) -> None:
    process = lab.start("run", "m.py:waits", "-j", "2")
    wait_until(lambda: len(list(lab.folder.glob("started.*"))) == 2, "both have started")
    wait_until(lambda: "waiting" in lab("runs", "logs").out, "the history has what they wrote")
    wait_until(lambda: lab("runs", "show", "--json").document()["tasks"][0]["params"] is not None, "they are known")
    assert lab("runs", "ls", "--json").document()["runs"][0]["status"] == "running"
    assert "running\n  Waits(n=" in lab("runs", "show").check().out
    process.kill()
    finish(process)
    (run,) = lab("runs", "ls", "--json").document()["runs"]
    assert run["status"] == "died" and run["exit_code"] is None and run["duration_seconds"] is None
    document = lab("runs", "show", "--json").check().document()
    assert sorted((task["params"]["n"], task["outcome"]) for task in document["tasks"]) == [(0, None), (1, None)]
    assert "not finished\n  Waits(n=" in lab("runs", "show").check().out
    assert sorted(lab("runs", "logs").check().out.splitlines()) == ["waiting 0", "waiting 1"]
    with open(history(lab) / ids(lab)[0] / "events.jsonl", "a") as file:
        file.write('{"event":"task_finished","outcome":"succ')
    assert lab("runs", "show", "--json").check().document()["tasks"] == document["tasks"]
    lab.write("go", "")
    assert lab("run", "m.py:waits", "--json").check().counts() == {"succeeded": 2}


@pytest.mark.parametrize(("signals", "code"), [((signal.SIGINT,) * 2, 130), ((signal.SIGTERM,), 143)])
def test_an_interrupted_run_says_so(lab: Cli, signals: tuple[int, ...], code: int) -> None:
    process = lab.start("run", "m.py:waits", "-j", "2")
    wait_until(lambda: len(list(lab.folder.glob("started.*"))) == 2, "both have started")
    for number in signals[:-1]:
        process.send_signal(number)
        assert process.stderr is not None
        while "interrupted: waiting" not in process.stderr.readline():
            assert process.poll() is None
    process.send_signal(signals[-1])
    finish(process).check(code)
    (run,) = lab("runs", "ls", "--json").document()["runs"]
    assert (run["status"], run["exit_code"], run["counts"]["cancelled"]) == ("interrupted", code, 2)


def test_two_runs_at_once_keep_each_their_own(lab: Cli) -> None:
    lab.write("go", "")
    both = [lab.start("run", target, "-k", *QUIET) for target in ("m.py:scores", "m.py:flood")]
    assert [finish(process).code for process in both] == [1, 0]
    runs = lab("runs", "ls", "--json").check().document()["runs"]
    assert {run["targets"][0]: run["status"] for run in runs} == {"m.py:scores": "failed", "m.py:flood": "succeeded"}
    for run in runs:
        document = lab("runs", "show", run["run_id"], "--json").check().document()
        types = {"Flood"} if "flood" in run["targets"][0] else {"Fit", "Score"}
        assert {task["type"] for task in document["tasks"]} == types


def test_a_disk_that_is_full_for_the_history_costs_one_warning(lab: Cli) -> None:
    """No file may grow beyond a megabyte: the output of the tasks does, their results do not."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = subprocess.run(
        [*COMMAND, "run", "m.py:flood", "--runner", "fork-per-task", *QUIET],
        cwd=lab.folder, env=environment(), capture_output=True, text=True, timeout=60, preexec_fn=limit, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: the history of this run cannot be written in ") == 1
    (run,) = lab("runs", "ls", "--json").check().document()["runs"]
    assert (run["status"], run["counts"]["succeeded"]) == ("succeeded", 20)
    lab("runs", "logs", "--tail", "1").check()  # as much as was written before, which may be nothing


def test_only_so_many_are_kept(lab: Cli) -> None:
    for _ in range(3):
        lab("run", "m.py:junk", "-B", *QUIET, "-s", "keep_runs=2").check()
    assert len(ids(lab)) == 2
    lab("run", "m.py:junk", "-B", *QUIET, "-s", "keep_runs=0").check()
    assert len(ids(lab)) == 2
    assert "keep_runs" in lab("run", "m.py:junk", "-s", "keep_runs=-1").error()


def test_what_looks_after_results_leaves_the_history_alone(lab: Cli) -> None:
    lab("run", "m.py:junk", *QUIET).check()
    before = ids(lab)
    assert len(lab("cache", "ls", "--json").check().document()["results"]) == 1
    lab("cache", "verify").check()
    lab("cache", "copy", "--to", "other").check()
    assert not (lab.folder / "other" / "history").exists()
    lab("cache", "gc", "--older-than", "0s", "--yes").check()
    assert ids(lab) == before
    lab("run", "m.py:junk", *QUIET, "--storage", f"file://{lab.folder}/shared").check()
    assert len(lab("runs", "ls", "--json", "--storage", f"file://{lab.folder}/shared").document()["runs"]) == 1
    assert len(lab("cache", "ls", "--json", "--storage", f"file://{lab.folder}/shared").document()["results"]) == 1


def test_a_history_that_somebody_else_wrote_is_shown_harmless(lab: Cli) -> None:
    lab("run", "m.py:junk", *QUIET).check()
    folder = history(lab) / ids(lab)[0]
    about = json.loads((folder / "run.json").read_text())
    key = "a" * 32
    evil = "\x1b[2J\u202eevil\n"
    (folder / "run.json").write_text(
        json.dumps({**about, "targets": [evil, 7], "host": evil, "counts": {"failed": evil}, "pid": [], "argv": evil})
    )
    with open(folder / "events.jsonl", "a") as file:
        for event in (
            {"event": "task_finished", "key": key, "type": evil, "outcome": evil, "time": 1, "params": {evil: [evil]}},
            {"event": "task_retried", "key": key, "type": 1, "params": [], "attempt": 1, "error": {"kind": evil}},
            {"event": "task_started", "key": "f" * 32, "type": evil, "params": {evil: [{evil: evil}]}, "time": 1e400},
            {"event": "task_started", "key": "e" * 32, "type": evil, "params": {evil: [{evil: evil}]}, "time": 1},
            {"event": "warning", "message": {"a": evil}},
            {"event": ["list"], "key": []},
        ):
            file.write(json.dumps(event) + "\n")
    for command in (["ls"], ["show"], ["logs"], ["show", "--json"], ["ls", "--json"], ["logs", evil]):
        done = lab("runs", *command)
        assert done.code in (0, 2) and "Traceback" not in done.err, done.err
        assert "\x1b[2J" not in done.out + done.err and "\u202e" not in done.out + done.err
    (history(lab) / "20200101-000000-aaaaaa").mkdir()
    assert lab("runs", "ls", "--json").document()["runs"][-1]["status"] == "died"
