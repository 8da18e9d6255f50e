"""`labtech config`, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

FILE = """\
[lab]
workers = 3
[context]
name = "two\\nlines"
day = 2024-01-02
[profiles.fast.lab]
runner = "thread"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "labtech.toml").write_text(FILE)
    return tmp_path


def config(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LABTECH_")}
    return subprocess.run(
        [sys.executable, "-m", "labtech_cli", "config", *arguments],
        cwd=folder,
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_show_prints_keys_values_and_sources(project: Path) -> None:
    done = config(project, "show")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: line.split(None, 1)[1] for line in done.stdout.splitlines()}
    assert rows["KEY"].split() == ["VALUE", "SOURCE"]
    assert rows["lab.workers"].split() == ["3", "labtech.toml:2"]
    assert rows["mlflow.experiment"].split() == ["-", "default"]
    assert rows["context.name"].split() == ["two\\nlines", "labtech.toml:4"]


def test_show_as_json_names_its_schema_and_types_its_values(project: Path) -> None:
    done = config(project, "show", "--json", "--profile", "fast", "-s", "context.n=nan", LABTECH_WORKERS="5")
    document = json.loads(done.stdout)
    assert document["schema"] == "labtech.config/1"
    assert document["file"] == str(project / "labtech.toml")
    assert document["profile"] == "fast"
    settings = {one["key"]: (one["value"], one["source"]) for one in document["settings"]}
    assert settings["lab.workers"] == (5, "environment LABTECH_WORKERS")
    assert settings["lab.runner"] == ("thread", "profile fast (labtech.toml:7)")
    assert settings["mlflow.experiment"] == (None, "default")
    assert settings["context.day"] == ("2024-01-02", "labtech.toml:5")
    assert settings["context.n"] == ("nan", "command line")


def test_show_as_jsonl_is_one_setting_a_line(project: Path) -> None:
    lines = config(project, "show", "--format", "jsonl").stdout.splitlines()
    assert json.loads(lines[0]) == {
        "schema": "labtech.config/1",
        "key": "lab.storage",
        "value": str(project / "labtech_storage"),
        "source": "default",
    }


def test_show_as_toml_is_a_configuration_that_says_the_same(project: Path) -> None:
    done = config(project, "show", "--format", "toml", "-o", "out.toml", "--storage", "x")
    assert (done.returncode, done.stdout) == (0, "")
    assert tomllib.loads((project / "out.toml").read_text())["lab"]["storage"] == str(project / "x")
    again = config(project, "show", "--config", "out.toml", "--json")
    first = json.loads(config(project, "show", "--json", "--storage", "x").stdout)
    values = [[(one["key"], one["value"]) for one in d["settings"]] for d in (json.loads(again.stdout), first)]
    assert values[0] == values[1]


def test_a_near_miss_in_the_environment_is_a_warning_on_stderr(project: Path) -> None:
    done = config(project, "show", "--json", LABTECH_WORKER="5")
    assert "did you mean LABTECH_WORKERS?" in done.stderr
    json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "--format", "jsn"], "did you mean 'json'?"),
        (["show", "--json", "--format", "toml"], "contradict"),
        (["show", "-s", "wrokers=2"], "did you mean 'workers'?"),
        (["show", "--config", "no.toml"], "there is no file 'no.toml'"),
        (["show", "--profile", "fsat"], "did you mean 'fast'?"),
        (["show", "-o", "no/such/folder"], "cannot be written"),
    ],
)
def test_a_mistake_is_a_paragraph_on_stderr_and_exit_status_2(project: Path, arguments: list[str], said: str) -> None:
    done = config(project, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_path_prints_the_file_in_use(project: Path) -> None:
    (project / "below").mkdir()
    done = config(project / "below", "path")
    assert (done.returncode, done.stdout) == (0, f"{project / 'labtech.toml'}\n")


def test_path_without_a_file_exits_1_and_says_so(tmp_path: Path) -> None:
    done = config(tmp_path, "path")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no labtech.toml" in done.stderr
