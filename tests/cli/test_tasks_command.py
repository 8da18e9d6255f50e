"""`labtech tasks` and `labtech diagram`, as a user runs them."""

from __future__ import annotations

from cli_kit import Cli


def test_task_types_and_targets_are_listed(lab: Cli) -> None:
    document = lab("tasks", "experiments.py", "--json").check().document()
    types = {row["type"]: row for row in document["types"]}
    assert list(types) == ["Add", "Total", "Odd", "AfterOdd"]
    assert types["Add"]["about"] == "Add one."
    assert types["Add"]["parameters"] == [
        {"name": "n", "type": "int"},
        {"name": "kind", "type": "Kind", "default": "SMALL"},
    ]
    assert types["Total"]["code_version"] == "v2"
    offers = {row["name"]: (row["kind"], row["count"]) for row in document["targets"]}
    assert offers["adds"] == ("tasks", 4)
    assert offers["total"] == ("task", 1)
    assert offers["many"] == ("function", None)
    table = lab("tasks", "experiments.py").check()
    assert "parts: list[Add], scale: float = 1.0" in table.out
    assert "experiments.py:many" in table.out and "Some additions." in table.out
    assert "written on import" in table.err


NEEDY = """
import labtech_cli as labtech

@labtech.task(cpus=1.5, memory="4GB", gpus=1, retries=1, timeout="2h")
class Train:
    run = print

@labtech.task
class Sized:
    size: int
    def resources(self):
        return {"memory": self.size}
    run = print
"""


def test_what_types_need_is_shown(lab: Cli) -> None:
    lab.write("needy.py", NEEDY)
    train, sized = lab("tasks", "needy.py", "--json").check().document()["types"]
    names = ("cpus", "memory_bytes", "gpus", "retries", "timeout_seconds", "computes_needs")
    assert [train[name] for name in names] == [1.5, 4_000_000_000, 1, 1, 7200.0, False]
    assert [sized[name] for name in names] == [None, None, None, None, None, True]
    table = lab("tasks", "needy.py", env={"COLUMNS": "200"}).check()
    assert "1.5 cpus, 4.0 GB, 1 gpu, 1 retry, timeout 2 h" in table.out and "by resources()" in table.out


def test_what_can_never_run_is_told_before_anything_runs(lab: Cli) -> None:
    lab.write("needy.py", NEEDY)
    said = lab("run", "needy.py:Sized", "-p", "size=9", "-s", "resources.memory=5B").error()
    assert "there is not enough memory for Sized(size=9): it needs 9 B, and this run has 5 B; let the task" in said
    lab("run", "needy.py:Sized", "-p", "size=5", "-s", "resources.memory=5B").check()


def test_a_target_is_no_module(lab: Cli) -> None:
    assert lab("tasks", "experiments.py:total").error().endswith("write: labtech tasks experiments.py")
    assert "did you mean 'experiments.py'?" in lab("tasks", "experiment.py").error()


def test_a_target_without_a_name_lists_what_the_module_offers(lab: Cli) -> None:
    said = lab("run", "experiments.py").error()
    assert "Add (task type)" in said and "adds (4 tasks)" in said and "many (function)" in said
    assert "experiments.py:" in said.partition("; write")[2]


def test_diagram(lab: Cli) -> None:
    done = lab("diagram", "experiments.py:total").check()
    assert done.out.startswith("classDiagram\n    direction BT\n")
    assert 'Total <-- "many" Add: parts' in done.out
    lab("diagram", "experiments.py:total", "--direction", "LR", "-o", "task.mmd").check()
    assert lab.read("task.mmd") == done.out.replace("direction BT", "direction LR")
    assert "choose from 'BT', 'LR', 'RL', 'TB'" in lab("diagram", "experiments.py:total", "--direction", "UP").error()
