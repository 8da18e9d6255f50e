"""`labtech cache`, as a user runs it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pexpect
import pytest
from cli_kit import COMMAND, Cli, environment


def keys(cli: Cli, *arguments: str) -> list[str]:
    """The keys that `cache ls` lists."""
    return [row["key"] for row in cli("cache", "ls", *arguments, "--json").check().document()["results"]]


def left(cli: Cli) -> list[str]:
    """The types of the results in the storage, told without the command."""
    with sqlite3.connect(cli.folder / "labtech_storage" / "labtech.db") as database:
        rows = database.execute("SELECT type FROM task WHERE format IS NOT NULL ORDER BY type").fetchall()
    database.close()
    return [name.rpartition(".")[2] for (name,) in rows]


def types(cli: Cli, *arguments: str) -> list[str]:
    return sorted(row["type"] for row in cli("cache", "ls", *arguments, "--json").check().document()["results"])


def test_ls_lists_results_with_parameters_and_provenance(seen: Cli) -> None:
    rows = seen("cache", "ls", "--json").check().document()["results"]
    assert len(rows) == 8
    (total,) = [row for row in rows if row["type"] == "Total"]
    assert total["code_version"] == "v2" and total["status"] == "unknown"
    source = total["provenance"]
    assert (source["module"], source["format"]) == ("experiments", "pickle") and source["code"]
    assert len({row["provenance"]["origin"] for row in rows}) == 2 and source["peak_memory_bytes"] >= 0
    assert total["params"]["parts"][1]["params"] == {"n": 1, "kind": "SMALL"}
    table = seen("cache", "ls").check()
    assert len(table.out.splitlines()) == 9 and "4 Add" in table.out


def test_ls_needs_neither_the_module_nor_unpickles(ran: Cli) -> None:
    (ran.folder / "experiments.py").unlink()
    with sqlite3.connect(ran.folder / "labtech_storage" / "labtech.db") as database:
        database.execute("UPDATE data SET bytes = X'6372616468'")
    database.close()
    assert len(keys(ran)) == 8
    assert ran("cache", "stats", "--json").check().document()["results"] == 8


def test_ls_filters_sorts_and_limits(seen: Cli) -> None:
    assert types(seen, "Add") == ["Add"] * 7
    assert types(seen, "--where", "scale=1") == ["Total"]
    assert types(seen, "--where", "parts.2.n=2") == ["Total"]
    assert len(keys(seen, "--where", "n>0", "--where", "kind=SMALL")) == 3
    assert keys(seen, "--older-than", "1h") == []
    in_order = keys(seen, "--sort", "key")
    assert in_order == sorted(in_order)
    assert keys(seen, "--sort", "key", "--limit", "3") == in_order[:3]
    assert keys(seen, in_order[0][:8]) == in_order[:1]
    assert "did you mean 'Total'?" in seen("cache", "ls", "Totl").error()
    assert "--stale needs the module" in seen("cache", "ls", "--stale").error()


@pytest.mark.parametrize("form", ["table", "csv", "md", "jsonl"])
def test_ls_formats(seen: Cli, form: str) -> None:
    done = seen("cache", "ls", "--format", form).check()
    assert len(done.out.splitlines()) == {"table": 9, "csv": 9, "md": 10, "jsonl": 8}[form]


def test_statuses_compare_with_a_module(ran: Cli) -> None:
    module = ["--module", "experiments.py"]
    assert types(ran, "--current", *module) == ["Add"] * 7 + ["Total"]
    ran.write("experiments.py", ran.read("experiments.py").replace('"v2"', '"v3"').replace("Add", "Plus"))
    assert types(ran, "--stale", *module) == ["Total"]
    assert types(ran, "--orphaned", *module) == ["Add"] * 7
    assert len(keys(ran, "--stale", "--orphaned", *module)) == 8
    ran("cache", "rm", "--orphaned", *module, "--yes").check()
    assert left(ran) == ["Total"]
    ran.write("experiments.py", "nothing = 1\n")
    assert types(ran, "--orphaned", *module) == ["Total"]


def test_show_tells_all_of_one_result(seen: Cli) -> None:
    (key,) = keys(seen, "Total")
    document = seen("cache", "show", key[:10], "--json").check().document()
    assert document["key"] == key
    assert document["size_bytes"] == sum(file["size_bytes"] for file in document["files"])
    shown = seen("cache", "show", key).check().out
    assert key in shown and "file." in shown and "code_version" in shown
    assert "is not a key" in seen("cache", "show", "Total").error()
    assert "no result has the key" in seen("cache", "show", "ffffffff").error()


def test_stats_are_totals_by_type(seen: Cli) -> None:
    document = seen("cache", "stats", "--json").check().document()
    assert {row["type"]: row["results"] for row in document["types"]} == {"Add": 7, "Total": 1}
    assert document["results"] == 8
    table = seen("cache", "stats").check()
    assert len(table.out.splitlines()) == 3 and "8 results" in table.err


def test_rm_says_what_and_how_much_and_needs_yes_without_a_terminal(ran: Cli) -> None:
    assert "nothing is named" in ran("cache", "rm").error()
    done = ran("cache", "rm", "Add")
    assert done.error() == "nothing was removed: there is no terminal to ask on; add --yes to remove"
    assert "Add: 7 results" in done.err
    assert ran("cache", "rm", "Add", "--dry-run").check().out == ""
    assert len(left(ran)) == 8
    assert "removed 7 results" in ran("cache", "rm", "Add", "--yes").check().err
    assert left(ran) == ["Total"]
    assert "no result has the key or type 'Add'" in ran("cache", "rm", "Add", "--yes").error()
    assert ran("run", "experiments.py:total", "--json").check().counts() == {"loaded": 1}


def test_rm_by_key_filter_target_and_age(ran: Cli) -> None:
    key = keys(ran, "--where", "n=1", "--where", "kind=LARGE")[0]
    ran("cache", "rm", key[:12], "-y").check()
    assert left(ran) == ["Add"] * 6 + ["Total"]
    ran("cache", "rm", "--where", "kind=LARGE", "-y").check()
    assert len(left(ran)) == 5
    assert "no result matches" in ran("cache", "rm", "--older-than", "1d", "-y").check().err
    ran("cache", "rm", "--target", "experiments.py:total", "-y").check()
    assert left(ran) == ["Add"] * 4
    ran("cache", "rm", "--older-than", "0s", "--where", "n=3", "-y").check()
    assert len(left(ran)) == 3
    ran("cache", "rm", "--all", "-y").check()
    assert left(ran) == []


@pytest.mark.parametrize(("answer", "many", "code"), [("y", 1, 0), ("", 8, 1), ("\x04", 8, 1)])
def test_rm_asks_on_a_terminal(ran: Cli, answer: str, many: int, code: int) -> None:
    child = pexpect.spawn(
        COMMAND[0], [*COMMAND[1:], "cache", "rm", "Add"], cwd=str(ran.folder), env=environment(), timeout=30
    )
    try:
        child.expect_exact("7 results")
        child.expect_exact("remove them? [y/N] ")
        child.send(answer if answer == "\x04" else answer + "\r")
        child.expect(pexpect.EOF)
        child.close()
    finally:
        child.close(force=True)
    assert b"Traceback" not in (child.before or b"")
    assert (child.exitstatus, len(left(ran))) == (code, many)


def test_a_storage_that_is_not_there_is_empty_and_stays_so(cli: Cli) -> None:
    for line in ("cache ls --json", "cache stats --json"):
        assert cli(*line.split()).check().document()
    cli("cache", "ls").check()
    assert list(cli.folder.iterdir()) == []


def test_a_damaged_or_foreign_entry_never_stops_a_listing(ran: Cli) -> None:
    with sqlite3.connect(ran.folder / "labtech_storage" / "labtech.db") as database:
        insert = "INSERT INTO task (key, type, params, duration, format, started_at, size, parts) VALUES "
        database.execute(insert + "('zz/../../etc', 'x', 'not json', 1, 'pickle', 1, 1, 'a')")
        database.execute(insert + "('foreign', 'm.Foreign', '[1]', 1, 'other', 2, 1, '../../x\t1\tq\t/etc')")
        nested = '{"a": {"$task": "gone"}, "b": {"$enum": "m.K"}, "c": {"$int": "x"}}'
        database.execute(insert + f"('{'e' * 32}', '', '{nested}', 1, '', 3, 1, '')")
        database.execute("UPDATE task SET params = '{}' WHERE type LIKE '%Total'")
    database.close()
    for line in ("cache ls", "cache ls --where n=1 --sort size", "cache stats"):
        assert ran(*line.split()).check().out
    rows = ran("cache", "ls", "--format", "jsonl").check().lines()
    assert [row["status"] for row in rows].count("damaged") == 3 and len(rows) == 11
    assert ran("cache", "show", "eeeeee").code in (0, 2)
    ran("plan", "experiments.py:total").check()
    assert ran("run", "experiments.py:adds", "--json").check().counts() == {"loaded": 4}


def test_the_storage_follows_the_configuration_file(ran: Cli) -> None:
    ran.write("labtech.toml", '[lab]\nstorage = "labtech_storage"\n')
    below = ran.folder / "a" / "b"
    below.mkdir(parents=True)
    assert len(ran("cache", "ls", cwd=below).check().out.splitlines()) == 9
    assert os.listdir(below) == []
    empty = ran("cache", "ls", "--storage", str(Path("elsewhere")), cwd=below).check()
    assert empty.out == ""


def test_results_of_other_code_are_stale(ran: Cli) -> None:
    def statuses(*more: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        document = ran("cache", "ls", "--module", "experiments.py", *more, "--json").check().document()
        for row in document["results"]:
            found.setdefault(row["type"], set()).add(row["status"])
        return found

    assert statuses() == {"Add": {"current"}, "Total": {"current"}}
    ran.write(
        "experiments.py", ran.read("experiments.py").replace("return self.n + 1", "# add\n        return 1 + self.n")
    )
    assert statuses("--stale") == {"Add": {"stale"}, "Total": {"stale"}} and statuses("--current") == {}
    ran.write("experiments.py", ran.read("experiments.py").replace("return 1 + self.n", "return self.n + 1"))
    assert statuses("--stale") == {}


def test_code_of_types_that_are_not_at_hand_is_not_compared(ran: Cli) -> None:
    parts = ran.read("experiments.py").partition("@labtech.task(code_version")
    ran.write("experiments.py", parts[0].replace("class Add", "class Sum") + parts[1] + parts[2].replace("Add", "Sum"))
    document = ran("cache", "ls", "Total", "--module", "experiments.py", "--json").check().document()
    assert [row["status"] for row in document["results"]] == ["current"]  # `Add` is gone, `Total` is as it was
    assert ran("cache", "ls", "Add", "--module", "experiments.py", "--orphaned", "--json").check().document()["results"]
