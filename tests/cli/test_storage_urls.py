"""Commands on a storage that is named by a URL."""

from __future__ import annotations

import json

import pytest
from cli_kit import Cli


def test_every_command_works_on_a_shared_folder(cli: Cli) -> None:
    where = ["--storage", f"file://{cli.folder}/shared"]
    target = ["experiments.py:total"]
    plan = cli("plan", *target, *where, "--json").check().document()
    assert plan["counts"]["run"] and not (cli.folder / "shared").exists(), "planning writes nothing"
    cli("run", *target, *where).check()
    again = cli("run", *target, *where).check()
    assert " loaded" in again.err and "succeeded" not in again.err
    assert cli("plan", *target, *where, "--json").check().document()["counts"]["run"] == 0

    rows = cli("cache", "ls", *where, "--json").check().document()["results"]
    assert {row["type"].rpartition(".")[2] for row in rows} == {"Add", "Total"}
    (total,) = [row for row in rows if row["type"].endswith("Total")]
    shown = cli("cache", "show", total["key"][:8], *where, "--json").check().document()
    assert shown["files"] and shown["key"] == total["key"]
    assert "Total" in cli("cache", "stats", *where).check().out
    assert cli("results", *target, *where, "--format", "csv").check().out.count("\n") == 2
    cli("cache", "rm", "Total", "--yes", *where).check()
    assert cli("plan", *target, *where, "--json").check().document()["counts"] == {"run": 1, "load": 4, "untouched": 0}
    assert list((cli.folder / "shared" / "runs").iterdir()) == [], "no command stays registered"


def test_the_tasks_of_any_runner_are_kept_in_the_memory_of_the_command(cli: Cli) -> None:
    pytest.importorskip("fsspec")
    done = cli("run", "experiments.py:total", "--storage", "memory://lab", "--json").check()
    outcomes = [json.loads(line).get("outcome") for line in done.out.splitlines()]
    assert outcomes.count("succeeded") == 5


def test_a_url_that_nobody_knows_is_said_to_be_wrong(cli: Cli) -> None:
    pytest.importorskip("fsspec")
    done = cli("run", "experiments.py:total", "--storage", "nowhere://lab")
    assert done.status == 2 and done.err.startswith("error: storage 'nowhere://lab': protocol not known: nowhere")
    assert "Traceback" not in done.err
