"""`labtech init`: what it writes runs, and nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

from cli_kit import Cli

import labtech_cli

README = Path(labtech_cli.__file__).parents[1] / "README.md"


def test_a_new_project_runs_at_once(cli: Cli) -> None:
    done = cli("init", "new/demo").check()
    assert done.out == ""
    assert "cd new/demo && labtech run summary" in done.err
    demo = cli.folder / "new" / "demo"
    assert sorted(path.name for path in demo.iterdir()) == ["experiments.py", "labtech.toml"]
    assert cli("run", "summary", "--json", cwd=demo).check().counts() == {"succeeded": 9}
    assert cli("run", "summary", "--json", cwd=demo).check().counts() == {"loaded": 1}
    below = demo / "below"
    below.mkdir()
    assert cli("plan", "summary", "--check", cwd=below).check().out
    settings = cli("config", "show", "--json", cwd=below).check().document()
    assert settings["file"] == str(demo / "labtech.toml")


def test_nothing_is_overwritten_without_force(cli: Cli) -> None:
    cli.write("experiments.py", "mine = 1\n")
    assert "experiments.py exists already; nothing was written" in cli("init").error()
    assert sorted(path.name for path in cli.folder.iterdir()) == ["experiments.py"]
    assert cli.read("experiments.py") == "mine = 1\n"
    cli("init", "--force").check()
    assert "class Estimate" in cli.read("experiments.py")


def test_a_place_that_cannot_be_written_is_named(cli: Cli) -> None:
    cli.write("file", "")
    assert "cannot write to 'file'" in cli("init", "file").error()
    assert "cannot write to 'file/below'" in cli("init", "file/below").error()


def test_the_readme_shows_the_module_that_is_written(cli: Cli) -> None:
    cli("init").check()
    body = cli.read("experiments.py").partition('"""\n\n')[2]
    assert body in README.read_text(encoding="utf-8")
