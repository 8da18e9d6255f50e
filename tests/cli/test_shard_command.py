"""`--shard K/N`, as the machines of a matrix run it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Cli

SHARED = """\
import time
import labtech_cli as labtech

@labtech.task
class Data:
    name: str
    def run(self):
        with open("made.txt", "a") as file:
            file.write(self.name)
        time.sleep(0.2)
        return self.name

@labtech.task
class Use:
    data: Data
    n: int
    def run(self): return self.n

uses = [Use(Data(name), n) for n in range(5) for name in "abcd"]
"""
CODE = re.compile(r"all shards of this split say ([0-9a-f]{6})")


def codes(*told: Any) -> set[str]:
    return {CODE.findall(done.err)[0] for done in told}


def test_shards_are_disjoint_complete_and_leave_shared_dependencies_together(cli: Cli) -> None:
    cli.write("shared.py", SHARED)
    told = [
        cli("run", "shared.py:uses", "--shard", f"{k}/2", "--storage", f"s{k}", "--json", "-j", "2").check()
        for k in (1, 2)
    ]
    parts = [
        {event["key"] for event in done.events() if event["event"] == "task_finished" and event["type"] == "Use"}
        for done in told
    ]
    assert [len(part) for part in parts] == [10, 10] and not parts[0] & parts[1]
    assert sorted(cli.read("made.txt")) == list("abcd")  # each once, though both shards could have
    assert len(codes(*told)) == 1
    assert "shard 1/2: 10 of 20 targets; all shards" in told[0].err
    assert "run the failed tasks again" not in told[0].err


def test_a_plan_shows_what_the_run_of_a_shard_does_and_durations_count(ran: Cli) -> None:
    plans = [ran("plan", "experiments.py:adds", "-B", "--shard", f"{k}/3", "--json").check() for k in (1, 2, 3)]
    keys = [task["key"] for done in plans for task in done.document()["tasks"]]
    assert len(keys) == len(set(keys)) == 4
    assert len(codes(*plans)) == 1
    run = ran("run", "experiments.py:adds", "-B", "--shard", "2/3", "--json").check()
    mine = {event["key"] for event in run.events() if event["event"] == "task_finished"}
    assert mine == {task["key"] for task in plans[1].document()["tasks"]}
    dry = ran("run", "experiments.py:adds", "-n", "--json", "--shard", "2/3").check().document()
    assert dry["counts"]["load"] in (1, 2) and dry["counts"]["run"] == 0


def test_past_durations_balance_the_shards(cli: Cli) -> None:
    cli.write(
        "slow.py",
        "import time\nimport labtech_cli as labtech\n@labtech.task\nclass T:\n    ms: int\n"
        "    def run(self): time.sleep(self.ms / 1000)\ntasks = [T(ms) for ms in (900, 210, 220, 230, 1)]\n",
    )
    cli("run", "slow.py:tasks", "--runner", "serial", "--show", "none").check()
    for k in (1, 2):
        document = cli("plan", "slow.py:tasks", "-B", "--shard", f"{k}/2", "--json").check().document()
        times = {task["params"]["ms"] for task in document["tasks"]}
        assert times in ({900}, {210, 220, 230, 1})


def test_the_results_of_a_shard_are_those_of_its_targets(lab: Cli) -> None:
    done = lab("run", "experiments.py:adds", "--shard", "1/2").check()
    assert len(done.out.splitlines()) == 3
    assert len(lab("cache", "ls", "--json").document()["results"]) == 2


def test_an_empty_shard_is_done_and_says_so(lab: Cli) -> None:
    told = [lab("run", "experiments.py:total", "--shard", f"{k}/3", "--storage", f"s{k}", "--json") for k in (1, 2, 3)]
    assert sorted(sum(done.check().counts().values()) for done in told) == [0, 0, 5]
    (empty, _) = [done for done in told if not done.counts()]
    assert "nothing to do: 1 target went to other shards" in empty.err
    assert [event["event"] for event in empty.events()] == ["run_started", "run_finished"]
    plan = lab("plan", "experiments.py:total", "--shard", "2/3", "--json", "--check", "--storage", "none")
    assert plan.code in (0, 1) and plan.document()["targets"] == ["experiments.py:total"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3", "--shard 3: must be K/N, two whole numbers; the second of four is 2/4"),
        ("a/b", "--shard a/b: must be K/N"),
        ("0/3", "--shard 0/3: K must be from 1 to 3; did you mean '1/3'?"),
        ("4/3", "--shard 4/3: K must be from 1 to 3; did you mean '3/4'?"),
        ("1/0", "--shard 1/0: N must be from 1 to 1,000"),
    ],
)
def test_what_is_no_shard_is_told_before_anything_is_imported(lab: Cli, text: str, said: str) -> None:
    for command in ("run", "plan"):
        done = lab(command, "experiments.py:total", "--shard", text)
        assert said in done.error() and "printed on import" not in done.err
    assert not Path(lab.folder, "labtech_storage").exists()
