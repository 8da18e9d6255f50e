"""`labtech plan`, as a user runs it."""

from __future__ import annotations

import csv
import json

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
