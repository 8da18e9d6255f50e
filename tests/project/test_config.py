"""The configuration: where it is found, what overrides what, and how each mistake is told."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labtech_cli.errors import ConfigError
from labtech_cli.project.config import Config, load_config
from labtech_cli.project.document import key_lines
from labtech_cli.project.settings import BY_KEY, FREE_TABLES, SETTINGS

EXAMPLE = Path(__file__).parents[2] / "labtech.toml.example"

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load(toml, **arguments)`: the configuration of this labtech.toml, in an empty environment."""

    def load(text: str | None = None, **arguments: Any) -> Config:
        if text is not None:
            (tmp_path / "labtech.toml").write_text(text, encoding="utf-8")
        return load_config(**{"start": tmp_path, "environ": {}, **arguments})

    return load


def error_of(load: Load, text: str | None = None, **arguments: Any) -> tuple[str, str | None]:
    with pytest.raises(ConfigError) as caught:
        load(text, **arguments)
    assert "\n" not in str(caught.value)
    return caught.value.message, caught.value.hint


# --- without a file ------------------------------------------------------------------------------------


def test_without_a_file_the_defaults_hold(load: Load, tmp_path: Path) -> None:
    config = load()
    assert config.file is None
    assert config.root == tmp_path
    assert config.profile is None
    assert list(config.items()) == [
        ("lab.storage", str(tmp_path / "labtech_storage"), "default"),
        ("lab.workers", None, "default"),
        ("lab.runner", "process", "default"),
        ("lab.keep_going", False, "default"),
        ("lab.retries", 0, "default"),
        ("lab.retry_delay", "1s", "default"),
        ("lab.timeout", None, "default"),
        ("lab.keep_runs", 1000, "default"),
        ("lab.on_code_change", "warn", "default"),
        ("resources.cpus", None, "default"),
        ("resources.memory", None, "default"),
        ("resources.gpus", None, "default"),
        ("resources.enforce_memory", False, "default"),
        ("mlflow.tracking_uri", None, "default"),
        ("mlflow.experiment", None, "default"),
    ]
    assert (config.context, config.loaders, config.targets, config.warnings) == ({}, {}, {}, [])


def test_the_working_directory_and_the_process_environment_are_used_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "labtech.toml").write_text("[lab]\nworkers = 2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABTECH_RUNNER", "serial")
    config = load_config()
    assert (config["lab.workers"], config["lab.runner"]) == (2, "serial")


# --- the file ------------------------------------------------------------------------------------------

FULL = """\
[lab]
storage = "results"
workers = 4
runner = "thread"
keep_going = true

[context]
within_task_workers = 4
sizes = [1, 2]
[context.grid]
lr = 0.1
[context.loaders]
DATASETS = "experiments:load_datasets"

[mlflow]
tracking_uri = "sqlite:///mlflow.db"
experiment = "example"

[targets]
evaluation = "experiments.py:evaluation_task"
other = "my.pkg:Type.make"
"""


def test_a_file_is_read_whole_and_its_paths_start_from_its_folder(load: Load, tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    config = load(FULL, start=below)
    assert config.file == tmp_path / "labtech.toml"
    assert config.root == tmp_path
    assert config["lab.storage"] == str(tmp_path / "results")
    assert config["lab.workers"] == 4
    assert config["lab.runner"] == "thread"
    assert config["lab.keep_going"] is True
    assert config["mlflow.tracking_uri"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert config["mlflow.experiment"] == "example"
    assert config.context == {"within_task_workers": 4, "sizes": [1, 2], "grid": {"lr": 0.1}}
    assert config.loaders == {"DATASETS": "experiments:load_datasets"}
    assert config.targets == {
        "evaluation": f"{tmp_path}/experiments.py:evaluation_task",
        "other": "my.pkg:Type.make",
    }


def test_each_value_knows_the_line_it_comes_from(load: Load) -> None:
    config = load(FULL)
    sources = {key: source for key, _, source in config.items() if source != "default"}
    assert sources == {
        "lab.storage": "labtech.toml:2",
        "lab.workers": "labtech.toml:3",
        "lab.runner": "labtech.toml:4",
        "lab.keep_going": "labtech.toml:5",
        "mlflow.tracking_uri": "labtech.toml:16",
        "mlflow.experiment": "labtech.toml:17",
        "context.within_task_workers": "labtech.toml:8",
        "context.sizes": "labtech.toml:9",
        "context.grid": "labtech.toml:10",
        "context.loaders.DATASETS": "labtech.toml:13",
        "targets.evaluation": "labtech.toml:20",
        "targets.other": "labtech.toml:21",
    }
    assert config.source("context.loaders.DATASETS") == "labtech.toml:13"
    assert config["context.within_task_workers"] == 4


def test_an_empty_file_gives_the_defaults_and_the_root(load: Load, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    config = load("", start=tmp_path / "below")
    assert config.root == tmp_path
    assert config["lab.storage"] == str(tmp_path / "labtech_storage")


def test_the_nearest_folder_wins_whichever_kind_of_file_it_holds(load: Load, tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (tmp_path / "labtech.toml").write_text("[lab]\nworkers = 1\n")
    (below / "pyproject.toml").write_text("[tool.labtech.lab]\nworkers = 2\n")
    config = load(start=below)
    assert (config["lab.workers"], config.source("lab.workers")) == (2, "pyproject.toml:2")


def test_labtech_toml_comes_before_a_pyproject_beside_it(load: Load, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.labtech.lab]\nworkers = 2\n")
    assert load("[lab]\nworkers = 1\n")["lab.workers"] == 1


@pytest.mark.parametrize(
    "other",
    [
        "[project]\nname = 'x'\n",
        "[project]\nname = 'labtech'\n",
        "[tool.ruff]\nx = 'labtech'\n",
        "not [ toml",
        "\xff",
    ],
)
def test_a_pyproject_without_our_table_is_passed_over(load: Load, tmp_path: Path, other: str) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "pyproject.toml").write_text(other, encoding="latin-1")
    assert load("[lab]\nworkers = 3\n", start=below)["lab.workers"] == 3


def test_a_pyproject_with_our_table_empty_is_the_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.labtech]\n")
    assert load().file == tmp_path / "pyproject.toml"


def test_a_named_file_is_used_and_comes_before_the_variable(load: Load, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.toml").write_text("[lab]\nworkers = 1\nstorage = 'here'\n")
    (tmp_path / "two.toml").write_text("[lab]\nworkers = 2\n")
    environ = {"LABTECH_CONFIG": "two.toml"}
    assert load("[lab]\nworkers = 9\n", environ=environ)["lab.workers"] == 2
    config = load(file=Path("sub/one.toml"), environ=environ)
    assert config["lab.workers"] == 1
    assert config.source("lab.workers") == "one.toml:2"
    assert config["lab.storage"] == str(tmp_path / "sub" / "here")


def test_a_byte_order_mark_does_no_harm(load: Load, tmp_path: Path) -> None:
    assert load("\ufeff[lab]\nworkers = 3\n")["lab.workers"] == 3


# --- what overrides what ---------------------------------------------------------------------------------

PROFILES = """\
[lab]
workers = 1
runner = "thread"
[context]
size = 1
kept = true
[context.loaders]
DATA = "experiments:load"
[targets]
one = "experiments.py:one"
[profiles.cluster.lab]
workers = 64
storage = "s3://bucket/lab"
[profiles.cluster.context]
size = 2
DATA = "nothing"
[profiles.cluster.targets]
one = "experiments.py:two"
[profiles.laptop]
lab.workers = 2
"""


def test_a_profile_goes_on_top_of_the_file(load: Load, tmp_path: Path) -> None:
    config = load(PROFILES, profile="cluster")
    assert config.profile == "cluster"
    assert config["lab.workers"] == 64
    assert config.source("lab.workers") == "profile cluster (labtech.toml:12)"
    assert config["lab.storage"] == "s3://bucket/lab"
    assert config["lab.runner"] == "thread"
    assert config.context == {"size": 2, "kept": True, "DATA": "nothing"}
    assert config.loaders == {}
    assert config.targets == {"one": f"{tmp_path}/experiments.py:two"}


def test_the_profile_can_come_from_the_environment_and_the_option_is_stronger(load: Load) -> None:
    environ = {"LABTECH_PROFILE": "laptop"}
    assert load(PROFILES, environ=environ)["lab.workers"] == 2
    assert load(PROFILES, environ=environ, profile="cluster")["lab.workers"] == 64


def test_each_layer_is_stronger_than_the_one_before(load: Load) -> None:
    environ = {"LABTECH_WORKERS": "3"}
    sets = ["lab.workers=4"]
    layers: list[dict[str, Any]] = [
        {},
        {"profile": "laptop"},
        {"profile": "laptop", "environ": environ},
        {"profile": "laptop", "environ": environ, "sets": sets},
        {"profile": "laptop", "environ": environ, "sets": sets, "overrides": {"lab.workers": 5}},
    ]
    found = [load(PROFILES, **layer) for layer in layers]
    assert [config["lab.workers"] for config in found] == [1, 2, 3, 4, 5]
    assert [config.source("lab.workers") for config in found] == [
        "labtech.toml:2",
        "profile laptop (labtech.toml:20)",
        "environment LABTECH_WORKERS",
        "command line",
        "command line",
    ]


def test_an_option_that_was_not_given_overrides_nothing(load: Load) -> None:
    config = load("[lab]\nworkers = 3\n", overrides={"lab.workers": None, "lab.storage": None})
    assert (config["lab.workers"], config.source("lab.workers")) == (3, "labtech.toml:2")


def test_the_environment_can_say_every_setting(load: Load, tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    config = load(
        "[lab]\nstorage = 'x'\n",
        start=below,
        environ={
            "LABTECH_STORAGE": "here",
            "LABTECH_WORKERS": "7",
            "LABTECH_RUNNER": "my.pkg:Runner",
            "LABTECH_KEEP_GOING": "1",
            "LABTECH_MLFLOW_TRACKING_URI": "http://host:5000",
            "LABTECH_MLFLOW_EXPERIMENT": "2024",
        },
    )
    assert config["lab.storage"] == str(below / "here")
    assert config["lab.workers"] == 7
    assert config["lab.runner"] == "my.pkg:Runner"
    assert config["lab.keep_going"] is True
    assert config["mlflow.tracking_uri"] == "http://host:5000"
    assert config["mlflow.experiment"] == "2024"


def test_an_empty_variable_is_as_good_as_none(load: Load) -> None:
    environ = {"LABTECH_WORKERS": "", "LABTECH_CONFIG": "", "LABTECH_PROFILE": "", "LABTECH_STORAGE": ""}
    assert load("[lab]\nworkers = 3\n", environ=environ)["lab.workers"] == 3


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("lab.workers=8", "lab.workers", 8),
        ("workers = 8", "lab.workers", 8),
        ("keep_going=true", "lab.keep_going", True),
        ("keep_going=no", "lab.keep_going", False),
        ("runner=serial", "lab.runner", "serial"),
        ("runner='serial'", "lab.runner", "serial"),
        ("storage=none", "lab.storage", "none"),
        ("mlflow.experiment=2024", "mlflow.experiment", "2024"),
        ("experiment=a=b", "mlflow.experiment", "a=b"),
        ("context.n=8", "context.n", 8),
        ("context.name=iris", "context.name", "iris"),
        ("context.day=2024-01-02", "context.day", datetime.date(2024, 1, 2)),
        ("context.all=[1, {a = 2}]", "context.all", [1, {"a": 2}]),
        ("context.two=1\nb=2", "context.two", "1\nb=2"),
        ("context.loaders.DATA=pkg.mod:load", "context.loaders.DATA", "pkg.mod:load"),
    ],
)
def test_a_set_is_read_as_toml_or_else_as_bare_text(load: Load, text: str, key: str, value: object) -> None:
    config = load(sets=[text])
    assert config[key] == value
    assert config.source(key) == "command line"


def test_a_set_can_change_a_part_of_a_table_of_the_context(load: Load) -> None:
    config = load("[context.grid]\nlr = 0.1\nn.a = 1\n", sets=["context.grid.n.b=2", "context.new.x=1"])
    assert config.context == {"grid": {"lr": 0.1, "n": {"a": 1, "b": 2}}, "new": {"x": 1}}


def test_a_loader_and_a_value_of_one_name_replace_each_other(load: Load) -> None:
    config = load("[context]\nA = 1\n[context.loaders]\nB = 'm:b'\n", sets=["context.B=2", "context.loaders.A=m:a"])
    assert (config.context, config.loaders) == ({"B": 2}, {"A": "m:a"})


def test_paths_of_the_command_line_start_from_the_working_directory(load: Load, tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    config = load("", start=below, overrides={"lab.storage": "x"}, sets=["targets.t=../e.py:t"])
    assert config["lab.storage"] == str(below / "x")
    assert config.targets == {"t": f"{tmp_path}/e.py:t"}


# --- paths and URIs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["none", "s3://bucket/path", "memory://", "my_pkg.storage:MyStorage", "/srv/lab"])
def test_a_storage_that_is_no_relative_path_stays_as_it_is(load: Load, kept: str) -> None:
    assert load(f"[lab]\nstorage = {kept!r}\n")["lab.storage"] == kept


def test_a_storage_may_start_at_the_home_folder_or_go_up(load: Load, tmp_path: Path) -> None:
    assert load("[lab]\nstorage = '~/lab'\n")["lab.storage"] == os.path.expanduser("~/lab")
    assert load("[lab]\nstorage = '../lab/'\n")["lab.storage"] == str(tmp_path.parent / "lab")


@pytest.mark.parametrize(
    "kept",
    [
        "http://host:5000",
        "sqlite:////abs/mlflow.db",
        "sqlite://",
        "sqlite:///:memory:",
        "databricks",
        "file:///x",
    ],
)
def test_a_tracking_uri_that_is_no_relative_path_stays_as_it_is(load: Load, kept: str) -> None:
    assert load(f"[mlflow]\ntracking_uri = {kept!r}\n")["mlflow.tracking_uri"] == kept


def test_relative_tracking_paths_start_from_the_file(load: Load, tmp_path: Path) -> None:
    def uri(text: str) -> str:
        return str(load(f"[mlflow]\ntracking_uri = {text!r}\n")["mlflow.tracking_uri"])

    assert uri("sqlite:///sub/mlflow.db?timeout=5") == f"sqlite:///{tmp_path}/sub/mlflow.db?timeout=5"
    assert uri("mlruns") == f"{tmp_path}/mlruns"


# --- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "[lab]\n\nstorrage = 'x'\n",
            "labtech.toml:3: [lab] has no key 'storrage'",
            "did you mean 'storage'?",
        ),
        (
            "[lab]\nexperiment = 'x'\n",
            "labtech.toml:2: [lab] has no key 'experiment'",
            "'experiment' belongs in [mlflow]",
        ),
        (
            "[mlflow]\nzzz = 1\n",
            "labtech.toml:2: [mlflow] has no key 'zzz'",
            "choose from 'experiment', 'tracking_uri'",
        ),
        ("[labb]\nx = 1\n", "labtech.toml:1: there is no table [labb]", "did you mean 'lab'?"),
        (
            "# first\nworkers = 4\n",
            "labtech.toml:2: there is no key 'workers' outside a table",
            "write it below [lab]",
        ),
        (
            "lab = 3\n",
            "labtech.toml:1: 'lab' must be a table, not 3",
            "write [lab] on a line of its own, and its keys below",
        ),
        (
            "[context]\nloaders = 'x'\n",
            "labtech.toml:2: 'context.loaders' must be a table, not the text 'x'",
            "write [context.loaders] on a line of its own, and its keys below",
        ),
        (
            "[[lab]]\nworkers = 1\n",
            "labtech.toml:1: 'lab' must be a table, not an array",
            "write [lab] on a line of its own, and its keys below",
        ),
        (
            "[lab]\nworkers = 'four'\n",
            "labtech.toml:2: lab.workers must be a whole number, at least 1, not the text 'four'",
            None,
        ),
        (
            "[lab]\nworkers = '4'\n",
            "labtech.toml:2: lab.workers must be a whole number, at least 1, not the text '4'",
            "write it without quotes",
        ),
        (
            "[lab]\nworkers = 0\n",
            "labtech.toml:2: lab.workers must be a whole number, at least 1, not 0",
            None,
        ),
        (
            "[lab]\nworkers = true\n",
            "labtech.toml:2: lab.workers must be a whole number, at least 1, not true",
            None,
        ),
        (
            "[lab]\nkeep_going = 'yes'\n",
            "labtech.toml:2: lab.keep_going must be true or false, not the text 'yes'",
            "write it without quotes",
        ),
        ("[lab]\nkeep_going = 1\n", "labtech.toml:2: lab.keep_going must be true or false, not 1", None),
        (
            "[lab]\nstorage = 3\n",
            "labtech.toml:2: lab.storage must be a folder, a URL or 'none', not 3",
            "put it in quotes",
        ),
        (
            "[lab]\nstorage = ''\n",
            "labtech.toml:2: lab.storage must be a folder, a URL or 'none', not the text ''",
            None,
        ),
        (
            "[lab]\nrunner = 'proces'\n",
            "labtech.toml:2: lab.runner must be a runner or 'package.module:attribute', not the text 'proces'",
            "did you mean 'process'?",
        ),
        (
            "[mlflow]\nexperiment = []\n",
            "labtech.toml:2: mlflow.experiment must be the name of an MLflow experiment, not an array",
            None,
        ),
        (
            "[context.loaders]\nD = 'data/experiments.py:load'\n",
            "labtech.toml:2: context.loaders.D must be 'package.module:attribute', "
            "not the text 'data/experiments.py:load'",
            "write 'data.experiments:load'",
        ),
        (
            "[context.loaders]\nD = {}\n",
            "labtech.toml:2: context.loaders.D must be 'package.module:attribute', not a table",
            None,
        ),
        (
            "[context]\nD = 1\n[context.loaders]\nD = 'm:d'\n",
            "labtech.toml:4: 'D' is in [context.loaders] and in [context]",
            "give it a value or a loader, not both",
        ),
        (
            "[targets]\ne = 'experiments.py'\n",
            "labtech.toml:2: targets.e must be 'FILE.py:NAME' or 'package.module:NAME', not the text 'experiments.py'",
            None,
        ),
        (
            "[profiles.a.lab]\nworker = 1\n",
            "labtech.toml:2: [profiles.a.lab] has no key 'worker'",
            "did you mean 'workers'?",
        ),
        (
            "[profiles.a.lab]\nworkers = 0\n",
            "labtech.toml:2: lab.workers must be a whole number, at least 1, not 0",
            None,
        ),
        (
            "[profiles.a.profiles.b]\n",
            "labtech.toml:1: there is no table [profiles.a.profiles]",
            "choose from 'context', 'lab', 'mlflow', 'resources', 'targets'",
        ),
        (
            "[profiles.a]\nworkers = 1\n",
            "labtech.toml:2: there is no key 'workers' outside a table",
            "write it below [profiles.a.lab]",
        ),
        (
            "[profiles]\na = 1\n",
            "labtech.toml:2: 'profiles.a' must be a table, not 1",
            "write [profiles.a] on a line of its own, and its keys below",
        ),
    ],
)
def test_a_mistake_in_the_file_names_line_key_and_what_is_allowed(
    load: Load, text: str, message: str, hint: str | None
) -> None:
    assert error_of(load, text) == (message, hint)


def test_a_profile_that_is_not_used_may_name_a_runner_that_is_not_here(load: Load) -> None:
    text = "[lab]\nrunner = 'elsewhere'\n[profiles.cluster.lab]\nrunner = 'far'\n"
    assert load(text, sets=["runner=serial"])["lab.runner"] == "serial"
    message, _ = error_of(load, text, profile="cluster")
    assert message.startswith("labtech.toml:4: lab.runner must be")


def test_a_mistake_in_pyproject_names_the_table_as_it_is_written_there(load: Load, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname='x'\n[tool.labtech.lab]\nworker = 1\n")
    assert error_of(load) == (
        "pyproject.toml:4: [tool.labtech.lab] has no key 'worker'",
        "did you mean 'workers'?",
    )


def test_our_table_in_pyproject_must_be_a_table(load: Load, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nlabtech = 1\n")
    assert error_of(load)[0] == "pyproject.toml:2: 'labtech' must be a table"


def test_a_file_in_another_folder_is_named_as_seen_from_here(load: Load, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    message, _ = error_of(load, "[lab]\nx = 1\n", start=tmp_path / "below")
    assert message == "../labtech.toml:2: [lab] has no key 'x'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lab]\nworkers 4\n", "labtech.toml:2: not valid TOML at column 9: expected '='"),
        ("[lab]\nx = 1\nx = 2\n", "labtech.toml:3: not valid TOML at column 6: cannot overwrite a value"),
        ("[lab]\nx = ", "labtech.toml:2: not valid TOML: invalid value"),
        ("x = " + "9" * 5000 + "\n", "labtech.toml:1: not valid TOML"),
        ("x = " + "[" * 5000 + "\n", "labtech.toml:1: not valid TOML"),
    ],
)
def test_what_is_not_toml_names_the_line(load: Load, text: str, message: str) -> None:
    assert error_of(load, text)[0].startswith(message)


def test_what_is_not_utf8_names_the_line(load: Load, tmp_path: Path) -> None:
    (tmp_path / "labtech.toml").write_bytes(b"[lab]\nstorage = '\xff'\n")
    assert error_of(load) == ("labtech.toml:2: not UTF-8 text", "save the file as UTF-8")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_says_so(load: Load, tmp_path: Path) -> None:
    (tmp_path / "labtech.toml").write_text("")
    (tmp_path / "labtech.toml").chmod(0)
    assert error_of(load)[0] == "labtech.toml: cannot be read: permission denied"


def test_a_file_that_fails_to_be_read_says_so(load: Load) -> None:
    message, hint = error_of(load, file=Path("/proc/self/mem"))
    assert message == "/proc/self/mem: cannot be read: input/output error"
    assert hint == "make it readable, or name another file with --config"


def test_a_named_file_must_exist_and_be_a_file_with_our_settings(load: Load, tmp_path: Path) -> None:
    assert error_of(load, file=Path("no.toml"))[0] == "--config: there is no file 'no.toml'"
    message, _ = error_of(load, environ={"LABTECH_CONFIG": "no.toml"})
    assert message == "LABTECH_CONFIG: there is no file 'no.toml'"
    (tmp_path / "folder").mkdir()
    assert error_of(load, file=Path("folder"))[0] == "--config: 'folder' is a folder"
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert error_of(load, file=Path("pyproject.toml"))[0] == "--config: pyproject.toml has no [tool.labtech]"


def test_an_unknown_profile_names_the_nearest(load: Load) -> None:
    assert error_of(load, PROFILES, profile="clutser") == (
        "--profile: labtech.toml has no profile 'clutser'",
        "did you mean 'cluster'?",
    )
    message, _ = error_of(load, PROFILES, environ={"LABTECH_PROFILE": "x"})
    assert message == "LABTECH_PROFILE: labtech.toml has no profile 'x'"


def test_a_profile_without_any_file_says_that_there_is_none(load: Load) -> None:
    assert error_of(load, profile="x")[0] == "--profile: there is no configuration file with a profile 'x'"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (
            {"environ": {"LABTECH_WORKERS": "four"}},
            "LABTECH_WORKERS=four: lab.workers must be a whole number, at least 1, not the text 'four'",
            None,
        ),
        (
            {"environ": {"LABTECH_KEEP_GOING": "perhaps"}},
            "LABTECH_KEEP_GOING=perhaps: lab.keep_going must be true or false, not the text 'perhaps'",
            None,
        ),
        (
            {"environ": {"LABTECH_RUNNER": "treads"}},
            "LABTECH_RUNNER=treads: lab.runner must be a runner or 'package.module:attribute', not the text 'treads'",
            "did you mean 'thread'?",
        ),
        ({"sets": ["workers"]}, "-s workers: must be KEY=VALUE", "for example -s lab.workers=4"),
        ({"sets": ["wrokers=4"]}, "-s wrokers=4: there is no setting 'wrokers'", "did you mean 'workers'?"),
        (
            {"sets": ["lab.worker=4"]},
            "-s lab.worker=4: there is no setting 'lab.worker'",
            "did you mean 'lab.workers'?",
        ),
        ({"sets": ["targets.=4"]}, "-s targets.=4: there is no setting 'targets.'", ...),
        ({"sets": ["context=4"]}, "-s context=4: there is no setting 'context'", ...),
        ({"sets": ["context.loaders=4"]}, "-s context.loaders=4: there is no setting 'context.loaders'", ...),
        ({"sets": ["=4"]}, "-s =4: there is no setting ''", ...),
        (
            {"sets": ["workers=-1"]},
            "-s workers=-1: lab.workers must be a whole number, at least 1, not -1",
            None,
        ),
        (
            {"sets": ["context.loaders.D=x"]},
            "-s context.loaders.D=x: context.loaders.D must be 'package.module:attribute', not the text 'x'",
            None,
        ),
        (
            {"overrides": {"lab.workers": 0}},
            "--workers: lab.workers must be a whole number, at least 1, not 0",
            None,
        ),
        (
            {"overrides": {"lab.storage": ""}},
            "--storage: lab.storage must be a folder, a URL or 'none', not the text ''",
            None,
        ),
    ],
)
def test_a_mistake_outside_the_file_names_the_variable_or_the_option(
    load: Load, arguments: dict[str, Any], message: str, hint: Any
) -> None:
    found, hinted = error_of(load, **arguments)
    assert found == message
    assert hint is ... or hinted == hint


# --- variables that are not ours -------------------------------------------------------------------------


def test_a_variable_that_is_nearly_ours_is_worth_a_warning(load: Load) -> None:
    environ = {"LABTECH_WORKER": "4", "LABTECH_SIGNINGKEY": "x"}
    assert load(environ=environ).warnings == [
        "the environment variable LABTECH_SIGNINGKEY is not used; did you mean LABTECH_SIGNING_KEY?",
        "the environment variable LABTECH_WORKER is not used; did you mean LABTECH_WORKERS?",
    ]


def test_other_variables_are_left_in_peace(load: Load) -> None:
    environ = {"LABTECH_HOME": "x", "LABTECH_SIGNING_KEY": "k", "WORKERS": "x", "LABTECH_DEBUG": "1"}
    assert load(environ=environ).warnings == []


# --- lines -----------------------------------------------------------------------------------------------

TRICKY = '''\
a.b = 1
"a".'c d' = """
[lab]
x = "]" # not a key
"""
list = [ # comment = 1
  { one = 1, two = { three = [2] } }, { four = "}" },
  "x = 1",
]
[ "quo.ted" . table ] # [x]
k = 'it''s'
day = 1979-05-27 07:32:00
e = {}
[[many]]
n = 1
[[many]]
m = """a\\""" b"""
last = 1
'''.replace("'it''s'", "'its'")


def test_the_line_of_every_key_is_found_whatever_way_it_is_written() -> None:
    tomllib.loads(TRICKY)
    lines = key_lines(TRICKY)
    assert lines == {
        ("a",): 1,
        ("a", "b"): 1,
        ("a", "c d"): 2,
        ("list",): 6,
        ("list", "one"): 7,
        ("list", "two"): 7,
        ("list", "two", "three"): 7,
        ("list", "four"): 7,
        ("quo.ted",): 10,
        ("quo.ted", "table"): 10,
        ("quo.ted", "table", "k"): 11,
        ("quo.ted", "table", "day"): 12,
        ("quo.ted", "table", "e"): 13,
        ("many",): 14,
        ("many", "n"): 15,
        ("many", "m"): 17,
        ("many", "last"): 18,
    }


@pytest.mark.parametrize(
    "text",
    [
        "lab.storrage = 'x'",
        "lab = { workers = 1, storrage = 'x' }",
        "[lab]\n'storrage' = 'x'",
        '["lab"]\n"storrage"=1',
    ],
)
def test_a_wrong_key_has_its_line_however_its_table_is_written(load: Load, text: str) -> None:
    line = text.count("\n") + 2
    assert error_of(load, f"# first\n{text}\n")[0] == f"labtech.toml:{line}: [lab] has no key 'storrage'"


# --- the example -----------------------------------------------------------------------------------------


def test_the_example_loads_and_says_the_defaults(load: Load) -> None:
    config = load(EXAMPLE.read_text())
    default = load_config(start=config.root, file=None, environ={})
    for setting in SETTINGS:
        assert config[setting.key] == default[setting.key], setting.key
        if setting.default is not None:
            assert config.source(setting.key).startswith("labtech.toml:"), f"{setting.key} is not in the example"
            assert tomllib.loads(EXAMPLE.read_text())[setting.table][setting.name] == setting.default


def test_the_example_shows_every_setting_and_every_table(load: Load) -> None:
    """What has no default is commented out, by a `#` without a space; it must be right all the same."""
    uncommented = re.sub(r"(?m)^#(?=\S)", "", EXAMPLE.read_text())
    config = load(uncommented)
    for key in BY_KEY:
        assert config.source(key).startswith("labtech.toml:"), f"{key} is not in the example"
    assert config.context and config.loaders and config.targets
    assert load(uncommented, profile="cluster")["lab.workers"] == 64
    assert all(f"[{table}]" in uncommented for table in FREE_TABLES)


def test_every_setting_takes_its_own_default() -> None:
    for setting in SETTINGS:
        if setting.default is not None:
            setting.value_of(setting.default, Path("/"))


def test_configuration_does_not_import_the_command_line() -> None:
    code = (
        "import sys, labtech_cli.project.config; "
        "print([m for m in ('typer', 'rich', 'mlflow', 'tomli_w', 'importlib.metadata') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_resources_are_checked(load: Load) -> None:
    config = load(
        '[resources]\ncpus = 2\nmemory = "8GiB"\ngpus = [1, "GPU-aa"]\n', environ={"LABTECH_RESOURCES_CPUS": "3"}
    )
    found = [config[f"resources.{name}"] for name in ("cpus", "memory", "gpus", "enforce_memory")]
    assert found == [3, "8GiB", [1, "GPU-aa"], False]
    for line, words in {
        "cpus = 0": "resources.cpus must be a whole number, at least 1, not 0",
        "memory = 4": "resources.memory must be a size such as '16GB', not 4",
        'memory = "0MB"': "resources.memory must be a size such as '16GB', not the text '0MB'; write for example 500MB",
        "gpus = [-1]": "resources.gpus must be a list of the numbers or UUIDs of GPUs, not an array; write for example",
        "gpus = [0, 0]": "name each once",
    }.items():
        with pytest.raises(ConfigError) as caught:
            load(f"[resources]\n{line}\n")
        assert f"labtech.toml:2: {words}" in str(caught.value) or words in str(caught.value)
