"""What `labtech run` leaves for a CI system: JUnit XML, annotations, a job summary and a file of events."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Cli, checked, finish, wait_until
from junit_kit import by_name, suite_of

MIXED = """\
import os, signal, time
import labtech_cli as labtech

@labtech.task
class Step:
    how: str

    def run(self):
        print(f"working on {self.how}", flush=True)
        if self.how == "raise":
            raise ValueError("100% <wrong> | no")
        if self.how == "die":
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGKILL)
        return self.how

@labtech.task
class After:
    step: Step

    def run(self):
        return self.step.result

@labtech.task
class Long:
    n: int

    def run(self):
        open(f"started.{self.n}", "w").close()
        time.sleep(60)

good = Step("good")
mixed = [good, Step("die"), After(Step("raise"))]
long = [Long(n) for n in range(3)]
"""


@pytest.fixture
def mixed(cli: Cli) -> Cli:
    cli.write("src/steps.py", MIXED)
    return cli


def file_events(cli: Cli, name: str) -> list[dict[str, Any]]:
    return [checked(json.loads(line)) for line in cli.read(name).splitlines()]


def github(cli: Cli, **changes: str | None) -> dict[str, str | None]:
    root = str(cli.folder)
    return {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": root, "GITHUB_STEP_SUMMARY": f"{root}/summary.md", **changes}


def test_junit_xml_has_every_task_of_a_run(mixed: Cli) -> None:
    mixed("run", "src/steps.py:good").check()
    mixed("run", "src/steps.py:mixed", "-k", "-j", "2", "--junit-xml", "junit.xml", "--show", "none").check(1)
    suite = suite_of(mixed.folder / "junit.xml")
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (4, 1, 1, 1)
    assert suite.name == "src/steps.py:mixed" and suite.time > 0
    cases = by_name(suite)
    good, dead, broke = (cases[f"Step(how='{how}')"] for how in ("good", "die", "raise"))
    assert good.system_out == "loaded from the cache" and good.time == 0
    assert dead.result[0].type == "TaskDied" and 0.5 <= dead.time < 30 and dead.system_out == "working on die"
    assert "src/steps.py" in broke.result[0].text and broke.result[0].message == "100% <wrong> | no"
    assert broke.classname == "steps.Step" and broke.system_out == "working on raise"
    assert cases["After(step=Step(how='raise'))"].result[0].message == "because Step(how='raise') failed"


def test_events_say_how_long_a_task_lived_that_died(mixed: Cli) -> None:
    mixed("run", "src/steps.py:mixed", "-k", "-j", "2", "--events", "e.jsonl", "--show", "none").check(1)
    ended = [event for event in file_events(mixed, "e.jsonl") if event["event"] == "task_finished"]
    told = {event["params"].get("how", "after"): event for event in ended}
    assert {how: event["outcome"] for how, event in told.items()} == {
        "good": "succeeded",
        "die": "failed",
        "raise": "failed",
        "after": "skipped",
    }
    assert told["die"]["attempt"] == 1 and 0.5 <= told["die"]["duration_seconds"] < 30
    assert told["after"]["attempt"] == 0 and told["after"]["duration_seconds"] is None
    assert told["after"]["because"] == told["raise"]["key"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_is_told_to_its_end(mixed: Cli, number: int, status: int) -> None:
    files = ["--junit-xml", "junit.xml", "--events", "e.jsonl"]
    process = mixed.start("run", "src/steps.py:long", "-j", "2", "--progress", "none", *files)
    wait_until(lambda: len(list(mixed.folder.glob("started.*"))) == 2, "two tasks have started")
    process.send_signal(number)
    if number == signal.SIGINT:
        wait_until(lambda: "waiting for" in mixed.read("e.jsonl"), "the first interrupt was seen")
        process.send_signal(number)
    finish(process, 20).check(status)
    suite = suite_of(mixed.folder / "junit.xml")
    assert (suite.tests, suite.skipped, suite.errors) == (3, 3, 0)
    assert {item.name: item.value for item in suite.properties()}["exit_status"] == str(status)
    events = file_events(mixed, "e.jsonl")
    assert events[-1]["event"] == "run_finished" and events[-1]["exit_code"] == status and events[-1]["interrupted"]
    lasted = sorted(event["duration_seconds"] is not None for event in events if event["event"] == "task_finished")
    assert lasted in ([False, True, True], [False, False, True], [False, False, False])


def test_a_report_that_cannot_be_written_is_told_before_anything_runs(lab: Cli) -> None:
    (lab.folder / "folder").mkdir()
    for name, said in (("no/x.xml", "no such file"), ("folder", "is a directory"), ("/dev/null", "not a regular file")):
        told = lab("run", "experiments.py:total", "--junit-xml", name).error()
        assert f"--junit-xml {name}: {said}" in told and "name a file" in told
    if os.geteuid():
        (lab.folder / "folder").chmod(0o555)
        assert "permission denied" in lab("run", "experiments.py:total", "--junit-xml", "folder/x.xml").error()
    assert not (lab.folder / "ran.txt").exists()


def test_a_failure_of_ours_after_the_start_leaves_a_report_that_is_red(lab: Cli) -> None:
    lab.write("labtech.toml", '[lab]\nrunner = "broken:make"\n')
    lab.write(
        "broken.py",
        "from labtech_cli.errors import RunnerError\nfrom labtech_cli.run.inprocess import SerialRunner\n\n\n"
        "class Broken(SerialRunner):\n    def start(self, setting):\n        raise RunnerError('none today')\n\n\n"
        "def make():\n    return Broken()\n",
    )
    lab("run", "experiments.py:total", "--junit-xml", "junit.xml", env={"PYTHONPATH": str(lab.folder)}).check(2)
    (case,) = suite_of(lab.folder / "junit.xml")
    assert case.result[0].message.startswith("the run stopped before it ended")


def test_github_gets_annotations_and_a_summary_and_stdout_stays_data(mixed: Cli) -> None:
    done = mixed("run", "src/steps.py:mixed", "-k", "-j", "2", "--json", env=github(mixed)).check(1)
    assert done.events()[-1]["event"] == "run_finished"
    found = sorted(line for line in done.err.splitlines() if line.startswith("::"))
    line = MIXED.splitlines().index('            raise ValueError("100% <wrong> | no")') + 1
    assert found == [
        "::error title=Step(how='die') failed::TaskDied: its worker process was killed by SIGKILL",
        f"::error title=Step(how='raise') failed,file=src/steps.py,line={line}::ValueError: 100%25 <wrong> | no",
    ]
    text = mixed.read("summary.md")
    assert "| failed | 2 |" in text and "ValueError: 100&#37; &#60;wrong&#62; &#124; no |" in text
    assert "```sh\nlabtech run src/steps.py:mixed -k -j 2 --json\n```" in text
    mixed("run", "src/steps.py:good", env=github(mixed)).check()
    assert mixed.read("summary.md").startswith(text) and "1 result came from the cache" in mixed.read("summary.md")


def test_elsewhere_there_are_none(mixed: Cli) -> None:
    done = mixed("run", "src/steps.py:mixed", "-k", "-j", "2", env=github(mixed, GITHUB_ACTIONS=None)).check(1)
    assert "::error" not in done.err and not (mixed.folder / "summary.md").exists()


def test_a_summary_that_cannot_be_written_does_not_hurt_the_run(lab: Cli) -> None:
    missing = str(Path(lab.folder) / "no" / "summary.md")
    done = lab("run", "experiments.py:total", env=github(lab, GITHUB_STEP_SUMMARY=missing)).check()
    assert f"warning: GITHUB_STEP_SUMMARY {missing}: no such file" in done.err
