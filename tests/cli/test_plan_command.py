"""`labtech plan`, as a user runs it."""

from __future__ import annotations

import csv
import json
import os

import pytest
from cli_kit import Cli, checked


def test_the_table_counts_by_type_and_the_totals_are_on_stderr(seen: Cli) -> None:
    done = seen("plan", "experiments.py:total").check()
    assert [line.split() for line in done.out.splitlines()] == [
        ["type", "run", "load", "untouched"],
        ["Add", "0", "0", "4"],
        ["Total", "0", "1", "0"],
    ]
    assert "0 to run, 1 to load" in done.err


def test_json_has_every_task_with_action_reason_and_dependencies(lab: Cli) -> None:
    document = lab("plan", "experiments.py:total", "--json").check().document()
    assert document["counts"] == {"run": 5, "load": 0, "untouched": 0}
    assert document["targets"] == ["experiments.py:total"]
    assert [task["type"] for task in document["tasks"]] == ["Add"] * 4 + ["Total"]
    assert document["tasks"][4]["dependencies"] == [task["key"] for task in document["tasks"][:4]]
    assert {task["reason"] for task in document["tasks"]} == {"never run"}
    assert document["estimated_wall_seconds"] is None
    assert sorted(path.name for path in lab.folder.iterdir() if path.name != "__pycache__") == ["experiments.py"]


def test_a_second_plan_has_estimates_and_only_loads_the_target(seen: Cli) -> None:
    document = seen("plan", "experiments.py:total", "--json").check().document()
    assert document["counts"] == {"run": 0, "load": 1, "untouched": 4}
    again = seen("plan", "experiments.py:total", "-B", "--json").check().document()
    assert again["counts"]["run"] == 5
    assert again["estimated_wall_seconds"] > 0
    assert all(task["estimated_seconds"] is not None and task["reason"] == "--rerun" for task in again["tasks"])
    targets = seen("plan", "experiments.py:total", "--rerun-targets", "--json").check().document()
    assert targets["counts"] == {"run": 1, "load": 4, "untouched": 0}


def test_check_exits_with_1_if_anything_would_run(seen: Cli) -> None:
    seen("plan", "experiments.py:total", "--check").check(0)
    seen("plan", "experiments.py:total", "--check", "-B").check(1)


def test_a_new_code_version_is_the_reason(ran: Cli) -> None:
    ran.write("experiments.py", ran.read("experiments.py").replace('"v2"', '"v3"'))
    document = ran("plan", "experiments.py:total", "--json").check().document()
    reasons = {task["type"]: task["reason"] for task in document["tasks"]}
    assert reasons["Total"] == "code_version v2 -> v3"
    assert document["counts"] == {"run": 1, "load": 4, "untouched": 0}


def test_every_format_and_a_file(seen: Cli) -> None:
    lines = seen("plan", "experiments.py:total", "-B", "--format", "jsonl").check().lines()
    whole = seen("plan", "experiments.py:total", "-B", "--json").check().document()
    assert [{**line, "schema": None} for line in lines] == [{"schema": None, **task} for task in whole["tasks"]]
    rows = list(
        csv.DictReader(seen("plan", "experiments.py:total", "-B", "--tasks", "--format", "csv").out.splitlines())
    )
    assert [row["key"] for row in rows] == [task["key"] for task in whole["tasks"]]
    table = seen("plan", "experiments.py:total", "-B", "--tasks").check().out
    assert "Add(n=0, kind=Kind.SMALL)" in table
    assert seen("plan", "experiments.py:total", "--format", "md").check().out.startswith("| type |")


def test_output_goes_to_a_file_and_an_error_leaves_what_the_file_had(lab: Cli) -> None:
    done = lab("plan", "experiments.py:total", "--json", "-o", "plan.json").check()
    assert done.out == ""
    first = lab.read("plan.json")
    checked(json.loads(first))
    assert "did you mean 'total'?" in lab("plan", "experiments.py:totl", "--json", "-o", "plan.json").error()
    assert lab.read("plan.json") == first
    assert "--output no/plan.json" in lab("plan", "experiments.py:total", "-o", "no/plan.json").error()
    assert "is a directory" in lab("plan", "experiments.py:total", "-o", ".").error()


def test_dry_run_is_plan(lab: Cli) -> None:
    assert lab("run", "experiments.py:total", "-n").check().out == lab("plan", "experiments.py:total").check().out
    document = lab("run", "experiments.py:total", "--dry-run", "--json").check().document()
    assert document["schema"] == "labtech.plan/1"
    assert not (lab.folder / "ran.txt").exists()
    assert not (lab.folder / "labtech_storage").exists()


STUDY = """\
import labtech_cli as labtech
import util


@labtech.task(code_version="v1")
class Fit:
    n: int

    def run(self):
        return util.scaled(self.n)


@labtech.task
class Report:
    fits: list[Fit]

    def run(self):
        return getattr(self, "x".lower(), 1) + sum(fit.result for fit in self.fits)


report = Report([Fit(1), Fit(2)])
"""
UTIL = "FACTOR = 2\n\n\ndef scaled(value):\n    return value * FACTOR\n"


@pytest.fixture
def study(cli: Cli) -> Cli:
    cli.write("study.py", STUDY)
    cli.write("util.py", UTIL)
    cli("run", "study.py:report", "--runner", "serial", "--progress", "none").check()
    return cli


def reasons(cli: Cli, *more: str) -> list[str]:
    tasks = cli("plan", "study.py:report", *more, "--json").check().document()["tasks"]
    return [task["reason"] for task in tasks]


def test_reasons_name_the_code_that_changed(study: Cli) -> None:
    study.write("util.py", UTIL.replace("= 2", "= 3"))
    changed = "code changed: util.py:FACTOR"
    assert reasons(study) == ["not needed", "not needed", f"cached, {changed}"]
    assert reasons(study, "--rerun-stale") == [changed] * 3
    assert changed in study("plan", "study.py:report", "--tasks", "--rerun-stale").check().out


def test_another_version_of_a_nested_task_is_the_reason_for_what_depends_on_it(study: Cli) -> None:
    study.write("study.py", STUDY.replace('"v1"', '"v2"'))
    assert reasons(study) == [
        "code_version v1 -> v2",
        "code_version v1 -> v2",
        "fits[0].code_version v1 -> v2 and 1 more",
    ]
    study.write("study.py", STUDY.replace('"v1"', '"v2"').replace("Fit(2)", "Fit(3)"))
    assert reasons(study) == ["code_version v1 -> v2", "never run", "never run"]


def test_results_that_were_removed_or_damaged_are_told_apart(study: Cli) -> None:
    rows = json.loads(study("cache", "ls", "--json").check().out)["results"]
    study("cache", "rm", "--all", "--yes").check()
    os.makedirs(study.folder / "labtech_storage" / "damaged" / f"{rows[-1]['key']}.0123")
    assert reasons(study) == ["result removed", "result removed", "result damaged"]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_result_whose_file_is_gone_would_be_computed_again(cli: Cli, scheme: str) -> None:
    cli.write(
        "large.py",
        "import labtech_cli as labtech\n@labtech.task\nclass Large:\n    n: int\n"
        "    def run(self): return bytes(200_000)\n"
        "@labtech.task\nclass After:\n    large: Large\n    def run(self): return len(self.large.result)\n"
        "larges = [Large(n) for n in range(3)]\nafter = After(larges[0])\n",
    )
    place = f"{scheme}{cli.folder}/kept"
    cli("run", "large.py:larges", "large.py:after", "--storage", place, "--show", "none").check()
    for file in (cli.folder / "kept").rglob("*.pickle"):
        file.unlink()
    done = cli("plan", "large.py:larges", "--tasks", "--json", "--check", "--storage", place).check(1).document()
    assert [(task["action"], task["reason"]) for task in done["tasks"]] == [("run", "result damaged")] * 3
    assert done["estimated_wall_seconds"] is not None
    assert cli("plan", "large.py:after", "--check", "--storage", place).check().out, (
        "what it needs not, it does not miss"
    )
    run = cli("run", "large.py:larges", "--json", "--storage", place).check()
    assert run.counts() == {"succeeded": 3}


def test_what_cannot_be_followed_is_counted_once(study: Cli) -> None:
    done = study("plan", "study.py:report").check()
    assert done.err.count("changes beyond 1 place in the code would go unseen: 'labtech why' lists them") == 1
    assert "unseen" not in study("run", "study.py:report", "--progress", "plain").check().err


SCARCE = """
import time
import labtech_cli as labtech

@labtech.task(max_parallel=1)
class Nap:
    n: int

    def run(self):
        time.sleep(0.2)

@labtech.task(gpus=64)
class Huge:
    n: int

    def run(self):
        return 1

naps = [Nap(n) for n in range(4)]
huge = Huge(1)
"""


def test_an_estimate_knows_that_some_tasks_run_one_at_a_time(cli: Cli) -> None:
    cli.write("scarce.py", SCARCE)
    cli("run", "scarce.py:naps", "-j", "2").check()
    document = cli("plan", "scarce.py:naps", "-B", "-j", "4", "--json").check().document()
    assert document["estimated_wall_seconds"] == pytest.approx(
        sum(task["estimated_seconds"] for task in document["tasks"])
    )


def test_a_plan_that_cannot_be_run_here_is_shown_and_says_so(cli: Cli) -> None:
    cli.write("scarce.py", SCARCE)
    done = cli("plan", "scarce.py:huge", "-s", "resources.gpus=[0]").check()
    assert done.out.splitlines()[1].split() == ["Huge", "1", "0", "0"]
    assert "a run here would be refused: there are not enough GPUs for Huge(n=1)" in done.err
    assert cli("run", "scarce.py:huge", "-s", "resources.gpus=[0]").code == 2
