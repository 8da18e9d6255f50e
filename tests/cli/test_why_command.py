"""`labtech why`, as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Cli, checked

UTIL = """\
FACTOR = 2


def scaled(value):
    return value * FACTOR
"""
STUDY = """\
import labtech_cli as labtech
import util


@labtech.task
class Fit:
    n: int = 5
    lr: float = 0.1

    def run(self):
        return util.scaled(self.n)


@labtech.task(code_version="v1")
class Report:
    fits: list[Fit]
    name: str = "a"

    def run(self):
        return getattr(self, self.name + "x", 1) + sum(fit.result for fit in self.fits)


@labtech.task(cache=None)
class Loose:
    def run(self):
        return 1


report = Report([Fit(1), Fit(2)])
other = Report([Fit(1), Fit(3)])
loose = Loose()
many = [Fit(n) for n in range(1, 15)]
"""


@pytest.fixture(scope="session")
def study_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cli = Cli(tmp_path_factory.mktemp("study"))
    cli.write("util.py", UTIL)
    cli.write("study.py", STUDY)
    cli("run", "study.py:report", "--runner", "serial", "--progress", "none").check()
    return cli.folder


@pytest.fixture
def study(study_once: Path, tmp_path: Path) -> Cli:
    """Where `report` has run. A copy, to be changed at will."""
    shutil.copytree(study_once, tmp_path / "study")
    return Cli(tmp_path / "study")


def only(cli: Cli, *arguments: str) -> Any:
    """The one task that is explained."""
    (found,) = checked(json.loads(cli("why", *arguments, "--json").check().out))["tasks"]
    return found


def key_of(cli: Cli, kind: str) -> str:
    rows = json.loads(cli("cache", "ls", kind, "--json").check().out)["results"]
    return str(rows[-1]["key"])


def test_a_current_result_says_since_when_and_what_is_not_followed(study: Cli) -> None:
    done = study("why", "study.py:report").check()
    assert (
        "Report(fits=(Fit(n=1, lr=0.1), Fit(n=2, lr=0.1)), name='a')\n  cached and current\n  computed 20" in done.out
    )
    assert "not followed: study.py:20 Report.run: takes an attribute whose name is computed" in done.out
    found = only(study, "study.py:report")
    assert (found["state"], found["action"], found["causes"], found["nearest"]) == ("current", "load", [], None)
    assert found["result"]["host"] and found["result"]["labtech"]
    assert found["unsure"][0]["symbol"] == "study:Report.run"


def test_changed_code_is_named_with_its_diff_and_the_way_to_it(study: Cli) -> None:
    study.write("util.py", UTIL.replace("= 2", "= 3"))
    done = study("why", "study.py:report").check()
    assert "  fits[0] -> Fit:\n    util.py:1 FACTOR changed\n      --- util.py:1 (recorded)" in done.out
    assert "      -FACTOR = 2\n      +FACTOR = 3\n" in done.out
    assert "-FACTOR" not in study("why", "study.py:report", "--no-diff").check().out
    assert "\x1b" not in done.out
    assert "\x1b[32m+FACTOR = 3\x1b[0m" in study("why", "study.py:report", env={"FORCE_COLOR": "1"}).check().out
    found = only(study, "study.py:report")
    assert (found["state"], found["action"]) == ("stale", "load")
    assert [(cause["type"], cause["path"]) for cause in found["causes"]] == [("study.Fit", "fits[0]")]
    again = study("why", "study.py:report", "-s", "on_code_change=rerun", "--json").check().document()["tasks"][0]
    assert (again["state"], again["action"]) == ("stale", "run")


def test_the_nearest_result_and_each_difference(study: Cli) -> None:
    done = study("why", "study.py:other").check()
    assert "  never run\n  nearest result: " in done.out and "    fits[1].n 2 -> 3\n" in done.out
    found = only(study, "study.py:other")
    assert found["nearest"]["key"] == key_of(study, "Report")
    assert [item["text"] for item in found["differences"]] == ["fits[1].n 2 -> 3"]
    study.write("study.py", STUDY.replace('"v1"', '"v2"').replace('str = "a"', "str = 'b'\n    more: int = 1"))
    texts = [item["text"] for item in only(study, "study.py:report")["differences"]]
    assert texts == ["code_version v1 -> v2", "name 'a' -> 'b'", "more added: 1"]


def test_what_never_ran_of_a_new_type_what_keeps_nothing_and_no_storage(study: Cli) -> None:
    shutil.rmtree(study.folder / "labtech_storage")
    assert only(study, "study.py:report")["reason"] == "never run, and no result of its type is cached"
    assert only(study, "study.py:loose")["state"] == "cache=None"
    assert only(study, "study.py:report", "--storage", "none")["state"] == "no storage"
    assert not (study.folder / "labtech_storage").exists()


def test_a_removed_and_a_damaged_result(study: Cli) -> None:
    key = key_of(study, "Report")
    with sqlite3.connect(study.folder / "labtech_storage" / "labtech.db") as database:
        database.execute("UPDATE data SET bytes = x'00' WHERE id = (SELECT id FROM task WHERE key = ?)", (key,))
    found = only(study, "study.py:report")
    assert (found["state"], found["action"]) == ("damaged", "run") and "cached, but" in found["reason"]
    assert only(study, key[:8])["state"] == "damaged"
    study("cache", "rm", key, "--yes").check()
    assert only(study, "study.py:report")["reason"] == "it ran before, and its result was removed"
    assert only(study, key)["state"] == "removed"
    os.makedirs(study.folder / "labtech_storage" / "damaged" / f"{key}.0123")
    assert only(study, "study.py:report")["reason"] == "its result was damaged, and was set aside"


def test_a_key_needs_no_module_and_is_compared_with_one(study: Cli) -> None:
    key = key_of(study, "Report")
    (study.folder / "study.py").rename(study.folder / "away.py")
    found = only(study, key[:6])
    assert (found["key"], found["state"], found["action"]) == (key, "unknown", None)
    assert found["params"]["fits"][1]["params"]["n"] == 2 and found["unsure"]
    assert f"{key[:12]}  Report(fits=[Fit(…), Fit(…)], name='a')" in study("why", key).check().out
    (study.folder / "away.py").rename(study.folder / "study.py")
    assert only(study, key, "-m", "study.py")["state"] == "current"
    study.write("util.py", UTIL.replace("= 2", "= 3"))
    assert [cause["path"] for cause in only(study, key, "-m", "study.py")["causes"]] == ["fits[0]"]
    study.write("study.py", STUDY.replace('"v1"', '"v2"'))
    found = only(study, key, "-m", "study.py")
    assert (found["state"], found["differences"][0]["text"]) == ("stale", "code_version v1 -> v2")
    study.write("study.py", STUDY.replace("Report", "Other"))
    assert only(study, key, "-m", "study.py")["state"] == "orphaned"


def test_the_first_digits_are_a_key_where_there_is_no_such_module(study: Cli) -> None:
    keys = [key_of(study, "Report"), key_of(study, "Fit")]
    short = next(keys[0][:size] for size in range(1, 32) if keys[0][:size] != keys[1][:size])
    assert only(study, short)["key"] == keys[0]


def test_a_module_whose_name_may_begin_a_key_is_a_module(study: Cli) -> None:
    study.write("face.py", "")
    assert "face" in (said := study("why", "face").error()) and "has the key" not in said
    assert "has the key 'fac', and there is no module" in study("why", "fac").error()


def test_keys_and_targets_together(study: Cli) -> None:
    key = key_of(study, "Fit")
    states = [item["state"] for item in study("why", key, "study.py:report", "--json").check().document()["tasks"]]
    assert states == ["current", "current"]


def test_few_are_shown_those_that_would_run_first(study: Cli) -> None:
    done = study("why", "study.py:many", "--no-diff").check()
    assert done.out.count("never run") == 10 and "… and 4 more tasks" in done.err
    document = study("why", "study.py:many", "--limit", "13", "--json").check().document()
    assert document["total"] == 14
    assert [item["state"] for item in document["tasks"]] == ["never run"] * 12 + ["current"]


def test_a_signature_that_is_missing(study: Cli) -> None:
    done = study("why", "study.py:report", "--json", env={"LABTECH_SIGNING_KEY": "k" * 32}).check().document()
    assert done["tasks"][0]["state"] == "untrusted" and "not signed" in done["tasks"][0]["reason"]


def test_errors(study: Cli) -> None:
    said = study("why", "abcd").error()
    assert "has the key 'abcd', and there is no module of that name; see 'labtech cache ls'" in said
    assert "only keys are named" in study("why", key_of(study, "Fit"), "-p", "n=1").error()
    assert "did you mean 'report'?" in study("why", "study.py:reprt").error()
    assert "must be one of table, json" in study("why", "study.py:report", "--format", "csv").error()
