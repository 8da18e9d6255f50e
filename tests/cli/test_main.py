"""`labtech` itself: help, version, mistakes in the command line, and what is imported when."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_kit import COMMAND, Cli, Ended, environment

from labtech_cli.cli.main import run

HEAVY = {"mlflow", "joblib", "numpy", "pandas", "pydantic", "dask", "ray", "sklearn"}
UPKEEP = ("cache verify", "cache gc", "cache copy")
COMMANDS = ("run", "plan", "tasks", "results", "diagram", "cache", "init", "config")


def test_help_is_grouped_short_and_has_examples(cli: Cli) -> None:
    done = cli("--help").check()
    assert done.err == ""
    assert len(done.out.splitlines()) <= 45
    assert all(len(line) <= 100 for line in done.out.splitlines())
    for group in ("Run:", "Look:", "Set up:", "Examples:"):
        assert f"\n{group}\n" in done.out
    for name in COMMANDS:
        assert f"\n  {name} " in done.out


@pytest.mark.parametrize(
    "name", [*COMMANDS, "cache ls", "cache show", "cache rm", "cache stats", *UPKEEP, "config show"]
)
def test_the_help_of_each_command_has_an_example_and_no_types_of_python(cli: Cli, name: str) -> None:
    done = cli(*name.split(), "--help").check()
    assert done.err == ""
    assert done.out.startswith(f"Usage: labtech {name} ")
    assert f"labtech {name}" in done.out.split("\n", 2)[2] or name in ("cache", "config")
    assert "list[" not in done.out and "{" not in done.out.splitlines()[0]
    assert "--install-completion" not in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(cli: Cli, option: str) -> None:
    done = cli(option).check()
    assert done.out.startswith("labtech ") and done.out.count("\n") == 1
    assert done.err == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rn", "there is no command 'rn'; did you mean 'run'?"),
        ("cahce ls", "did you mean 'cache'?"),
        ("zzzz", "choose from 'cache', 'config'"),
        ("cache lss", "there is no command 'lss'; did you mean 'ls'?"),
        ("config shw", "did you mean 'show'?"),
        ("run x.py:a --wrkers 3", "there is no option '--wrkers'; did you mean '--workers'?"),
        ("cache ls --frmat json", "did you mean '--format'?"),
        ("--vresion", "did you mean '--version'?"),
        ("run x.py:a -q", "there is no option '-q'"),
        ("run", "missing argument TARGET"),
        ("tasks", "missing argument FILE"),
        ("cache show", "missing argument KEY"),
        ("run x.py:a --config", "'--config' requires an argument"),
        ("run x.py:a -j two", "'two' is not a whole number"),
        ("run x.py:a -j 0", "0 is less than 1"),
        ("run x.py:a --max-failures 0", "0 is less than 1"),
        ("cache ls --limit -1", "-1 is less than 0"),
        ("plan x.py:a --format jsn", "--format jsn: must be one of table, json, jsonl, csv, md; did you mean 'json'?"),
        ("plan x.py:a --json --format csv", "contradict"),
        ("run x.py:a --progress lve", "did you mean 'live'?"),
        ("run x.py:a --show som", "must be one of auto, all, none"),
        ("cache ls --sort sze", "did you mean 'size'?"),
        ("run x.py:a --runner serail", "did you mean 'serial'?"),
        ("run x.py:a --set lab.wrkers=2", "did you mean 'lab.workers'?"),
        ("run x.py:a --set lab.workers=x", "must be a whole number"),
        ("run x.py:a --set workers", "-s"),
        ("run x.py:a --profile fast", "no configuration file with a profile 'fast'"),
        ("run x.py:a --config no.toml", "there is no file 'no.toml'"),
    ],
)
def test_a_mistake_is_told_with_the_nearest_right_thing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    """In this process: nothing of a user's is imported, and a process each would take ten seconds."""
    monkeypatch.chdir(tmp_path)
    code = run(line.split())
    out, err = capfd.readouterr()
    assert said in Ended(code, out, err).error()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "cache", "config"])
def test_a_command_group_alone_shows_its_help_and_exits_2(cli: Cli, name: str) -> None:
    done = cli(*name.split()).check(2)
    assert (done.out + done.err).startswith(f"Usage: labtech {name}".rstrip())
    assert "error" not in done.err


def modules_after(*arguments: str) -> tuple[set[str], str]:
    """The modules a fresh interpreter has imported after running a command line."""
    code = (
        "import sys\nfrom labtech_cli.__main__ import main\n"
        f"sys.argv[1:] = {list(arguments)!r}\n"
        "try:\n    main()\nexcept SystemExit as error:\n    assert not error.code, error.code\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env=environment(),
    )
    out, _, names = done.stdout.partition("MODULES ")
    return set(names.split()), out


@pytest.mark.parametrize("line", [["--help"], ["--version"], ["run", "--help"]])
def test_help_and_version_import_nothing_heavy_and_no_lab(line: list[str]) -> None:
    modules, out = modules_after(*line)
    assert out
    assert not {name.partition(".")[0] for name in modules} & (HEAVY | {"rich"})
    assert "labtech_cli.lab" not in modules
    if line == ["--version"]:
        assert "typer" not in modules


def test_completion_imports_nothing_heavy_and_no_lab() -> None:
    code = "import atexit, sys; atexit.register(lambda: print('MODULES', *sys.modules, file=sys.stderr)); "
    asked = {"_LABTECH_COMPLETE": "complete_bash", "COMP_WORDS": "labtech ca", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code + "import labtech_cli.__main__ as m; sys.argv[0] = 'labtech'; m.main()"],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={**environment(), **asked},
    )
    assert done.stdout.split() == ["cache"], done.stderr
    modules = done.stderr.partition("MODULES ")[2].split()
    assert not {name.partition(".")[0] for name in modules} & HEAVY
    assert "labtech_cli.lab" not in modules


def test_looking_imports_nothing_heavy(seen: Cli) -> None:
    storage = str(seen.folder / "labtech_storage")
    for line in (["cache", "ls"], ["cache", "stats", "--json"], ["config", "show"]):
        modules, out = modules_after(*line, "--storage", storage)
        assert out
        assert not {name.partition(".")[0] for name in modules} & HEAVY, line
        assert "pickle" not in out


def test_planning_and_a_run_that_only_loads_import_nothing_heavy(seen: Cli) -> None:
    target, storage = str(seen.folder / "experiments.py") + ":total", str(seen.folder / "labtech_storage")
    for line in (["plan", target], ["run", target, "--runner", "serial", "--progress", "none"]):
        modules, _ = modules_after(*line, "--storage", storage)
        assert not {name.partition(".")[0] for name in modules} & HEAVY, line


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_streams_that_are_closed_do_no_harm(lab: Cli, closed: str) -> None:
    shell = " ".join([*COMMAND, "run", "experiments.py:adds", closed])
    done = subprocess.run(
        ["sh", "-c", shell],
        cwd=lab.folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert len((lab.folder / "ran.txt").read_text().splitlines()) == 4
    database = (lab.folder / "labtech_storage" / "labtech.db").read_bytes()
    assert database.startswith(b"SQLite format 3")


def test_a_full_disk_behind_stdout_is_an_error_not_a_traceback(lab: Cli) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "plan", "experiments.py:total", "--json"],
            cwd=lab.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert "error: stdout cannot be written: no space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_traceback_of_ours_is_shown_when_asked_for(cli: Cli) -> None:
    assert "Traceback" not in cli("plan", "nope.py:x").check(2).err
    done = cli("plan", "nope.py:x", "--traceback")
    assert done.code == 2
    assert "Traceback" in done.err and "error: there is no file 'nope.py'" in done.err
