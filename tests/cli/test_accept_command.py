"""`labtech cache migrate --accept`, and what becomes of code and signatures when results move."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from cli_kit import Cli

KEY = {"LABTECH_SIGNING_KEY": "k" * 32}
UTIL = "FACTOR = 2\n\n\ndef scaled(value):\n    return value * FACTOR\n"
STUDY = """\
import labtech_cli as labtech
import util


@labtech.task
class Fit:
    n: int

    def run(self):
        return util.scaled(self.n)


@labtech.task
class Report:
    fits: list[Fit]

    def run(self):
        return sum(fit.result for fit in self.fits)


report = Report([Fit(1), Fit(2)])
"""


@pytest.fixture(scope="module")
def ran_signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cli = Cli(tmp_path_factory.mktemp("signed"))
    cli.write("study.py", STUDY)
    cli.write("util.py", UTIL)
    cli("run", "study.py:report", "--runner", "serial", "--progress", "none", env=KEY).check()
    return cli.folder


@pytest.fixture
def study(ran_signed: Path, tmp_path: Path) -> Cli:
    """Where `report` has run, its results signed. A copy, to be changed at will."""
    shutil.copytree(ran_signed, tmp_path / "study")
    return Cli(tmp_path / "study")


def stale(cli: Cli) -> bool:
    """Whether planning the report warns of other code; it is loaded either way."""
    done = cli("plan", "study.py:report").check()
    assert "0 to run, 1 to load" in done.err
    return "made by other code" in done.err


def test_accepted_results_are_current_until_it_is_undone(study: Cli) -> None:
    study.write("util.py", UTIL.replace("= 2", "= 1 + 1"))
    assert stale(study)
    document = study("cache", "migrate", "--accept", "Fit", "-m", "study.py", "-n", "--json").check().document()
    assert (document["applied"], document["results"]) == (False, 3)
    assert {(move["type"], move["reason"]) for move in document["moves"]} == {
        ("study.Fit", "code"),
        ("study.Report", "depends on study.Fit"),
    }
    assert all(move["key"] == move["new_key"] for move in document["moves"])
    assert stale(study)
    done = study("cache", "migrate", "--accept", "Fit", "study.py", "--yes").check()
    assert "to be accepted: 3 results, 1 of them because of what they depend on" in done.err
    assert not stale(study)
    again = study("cache", "migrate", "--accept", "--all", "-m", "study.py", "--yes").check()
    assert again.err == "nothing to do: no result was made by other code\n"
    titles = [item["title"] for item in json.loads(study("cache", "migrate", "--list", "--json").out)["migrations"]]
    assert titles == ["--accept Fit study.py"]
    study("cache", "migrate", "--undo").check()
    assert stale(study)
    study("cache", "migrate", "--accept", "--all", "-m", "study.py", "--yes").check()
    assert not stale(study)
    loaded = study("run", "study.py:report", "--json", env=KEY).check()  # the signatures are as they were
    assert loaded.counts() == {"loaded": 1}
    study.write("util.py", UTIL.replace("= 2", "= 3"))
    assert stale(study)


KINDS = "import enum\n\n\nclass Fast(enum.Enum):\n    X = 1\n\n    def scale(self):\n        return self.value * 2\n"
LOOSE = """\
import labtech_cli as labtech
from kinds import Fast


@labtech.task
class Fit:
    options: dict

    def run(self):
        return self.options["mode"].scale()


report = Fit({"mode": Fast.X})
"""


@pytest.mark.parametrize("accepted", ["--all", "Fast", "kinds.Fast"])
def test_the_code_of_an_enum_that_no_annotation_names_is_told_of_and_accepted(tmp_path: Path, accepted: str) -> None:
    cli = Cli(tmp_path)
    cli.write("study.py", LOOSE)
    cli.write("kinds.py", KINDS)
    cli("run", "study.py:report", "--runner", "serial", "--progress", "none").check()
    assert not stale(cli)
    cli.write("kinds.py", KINDS.replace("* 2", "* 3"))
    assert stale(cli)
    assert "return self.value * 3" in cli("why", "study.py:report").check().out
    listed = cli("cache", "ls", "-m", "study.py", "--json").check().out
    assert '"status": "stale"' in listed or '"status":"stale"' in listed
    cli("cache", "migrate", "--accept", accepted, "-m", "study.py", "--yes").check()
    assert not stale(cli)


def test_an_enum_that_is_moved_takes_its_code_along(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.write("study.py", LOOSE)
    cli.write("kinds.py", KINDS)
    cli("run", "study.py:report", "--runner", "serial", "--progress", "none").check()
    cli.write("modes.py", KINDS)
    cli.write("kinds.py", "")
    cli.write("study.py", LOOSE.replace("kinds", "modes"))
    cli("cache", "migrate", "kinds.Fast", "modes.Fast", "--yes").check()
    assert not stale(cli)


def test_what_is_wrong_is_said(study: Cli) -> None:
    migrate = "cache", "migrate", "--accept"
    assert study(*migrate, "Fit").error() == "the code of 'Fit' is not at hand; add --module FILE.py"
    assert "which code is accepted is not said" in study(*migrate).error()
    assert "did you mean 'Report'?" in study(*migrate, "Reprt", "-m", "study.py").error()
    assert "--set and --accept contradict" in study(*migrate, "Fit", "--set", "a=1").error()
    assert "--all is for --accept" in study("cache", "migrate", "a", "b", "--all").error()
    study.write("util.py", UTIL.replace("= 2", "= 3"))
    assert "add --yes to migrate" in study(*migrate, "Fit", "-m", "study.py").error()


def test_moved_results_are_signed_anew_and_their_code_follows(study: Cli) -> None:
    study.write("fits.py", STUDY.partition("@labtech.task\nclass Report")[0])
    rest = "import labtech_cli as labtech\nfrom fits import Fit\n\n\n@labtech.task\nclass Report"
    study.write("study.py", rest + STUDY.partition("@labtech.task\nclass Report")[2])
    study("cache", "migrate", "study.Fit", "fits.Fit", "--yes", env=KEY).check()
    assert not stale(study)
    assert study("run", "study.py:report", "--json", env=KEY).check().counts() == {"loaded": 1}
    study("cache", "migrate", "--undo", env=KEY).check()
    study.write("study.py", STUDY)
    assert study("run", "study.py:report", "--json", env=KEY).check().counts() == {"loaded": 1}
    assert not stale(study)


def test_a_class_with_another_name_follows_too(study: Cli) -> None:
    study.write("study.py", STUDY.replace("Fit", "Model"))
    study("cache", "migrate", "Fit", "Model", "--yes", env=KEY).check()
    assert not stale(study)


def test_what_is_not_trusted_is_not_migrated(study: Cli) -> None:
    with sqlite3.connect(study.folder / "labtech_storage" / "labtech.db") as database:
        database.execute("UPDATE task SET signature = '' WHERE type = 'study.Report'")
    text = study("cache", "migrate", "study.Fit", "fits.Fit", "--yes", env=KEY).check(1).err
    assert "error: nothing was migrated: the result " in text and "is not signed" in text
    assert "no migration can be undone" in study("cache", "migrate", "--list").check().err


def test_what_was_computed_since_is_not_given_the_old_code_when_it_is_undone(study: Cli) -> None:
    """Nor the old signature: the bytes are others."""
    study.write("util.py", UTIL.replace("= 2", "= 3"))
    study("cache", "migrate", "--accept", "Fit", "-m", "study.py", "--yes", env=KEY).check()
    study("run", "study.py:report", "--rerun", "--progress", "none", env=KEY).check()
    undone = study("cache", "migrate", "--undo", env=KEY).check()
    assert "(0 results; 3 that were computed since stay as they are)" in undone.err
    assert study("run", "study.py:report", "--progress", "none", env=KEY).check().out.split()[-1] == "9"
    assert not stale(study)
    study.write("util.py", UTIL)
    assert stale(study)
