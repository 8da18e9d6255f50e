"""Commands on a storage that is named by a URL."""

from __future__ import annotations

import pytest
from cli_kit import Cli


def test_every_command_works_on_a_shared_folder(lab: Cli) -> None:
    where = ["--storage", f"file://{lab.folder}/shared"]
    target = ["experiments.py:total"]
    plan = lab("plan", *target, *where, "--json").check().document()
    assert plan["counts"]["run"] and not (lab.folder / "shared").exists(), "planning writes nothing"
    lab("run", *target, *where).check()
    again = lab("run", *target, *where).check()
    assert " loaded" in again.err and "succeeded" not in again.err
    assert lab("plan", *target, *where, "--json").check().document()["counts"]["run"] == 0

    rows = lab("cache", "ls", *where, "--json").check().document()["results"]
    assert {row["type"].rpartition(".")[2] for row in rows} == {"Add", "Total"}
    (total,) = [row for row in rows if row["type"].endswith("Total")]
    shown = lab("cache", "show", total["key"][:8], *where, "--json").check().document()
    assert shown["files"] and shown["key"] == total["key"]
    assert "Total" in lab("cache", "stats", *where).check().out
    assert lab("results", *target, *where, "--format", "csv").check().out.count("\n") == 2
    lab("cache", "rm", "Total", "--yes", *where).check()
    assert lab("plan", *target, *where, "--json").check().document()["counts"] == {"run": 1, "load": 4, "untouched": 0}
    assert list((lab.folder / "shared" / "runs").iterdir()) == [], "no command stays registered"


def test_the_tasks_of_any_runner_are_kept_in_the_memory_of_the_command(lab: Cli) -> None:
    pytest.importorskip("fsspec")
    done = lab("run", "experiments.py:total", "--storage", "memory://lab", "--json").check()
    assert done.counts() == {"succeeded": 5}


def test_a_url_that_nobody_knows_is_said_to_be_wrong(lab: Cli) -> None:
    pytest.importorskip("fsspec")
    told = lab("run", "experiments.py:total", "--storage", "nowhere://lab").error()
    assert told.startswith("storage 'nowhere://lab': protocol not known: nowhere; name a folder")
