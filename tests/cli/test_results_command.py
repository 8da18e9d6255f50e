"""`labtech results`, as a user runs it."""

from __future__ import annotations

import csv
import json
import sqlite3

from cli_kit import Cli, checked


def test_rows_have_parameters_beside_results(seen: Cli) -> None:
    done = seen("results", "experiments.py:adds").check()
    assert [line.split() for line in done.out.splitlines()] == [
        ["n", "kind", "result"],
        *[[str(n), "SMALL", str(n + 1)] for n in range(4)],
    ]
    document = seen("results", "experiments.py:total", "experiments.py:adds", "--json").check().document()
    first = document["results"][0]
    assert (first["task"], first["sum"], first["parts"]) == ("Total", 10.0, "4 Add")
    assert first["result.parts"] == 4
    assert len(document["results"]) == 5


def test_each_format_says_the_same(seen: Cli) -> None:
    rows = seen("results", "experiments.py:adds", "--json").check().document()["results"]
    lines = seen("results", "experiments.py:adds", "--format", "jsonl").check().lines()
    assert [{name: line[name] for name in line if name != "schema"} for line in lines] == rows
    table = list(csv.DictReader(seen("results", "experiments.py:adds", "--format", "csv").check().out.splitlines()))
    assert [{name: str(value) for name, value in row.items()} for row in rows] == table
    assert len(seen("results", "experiments.py:adds", "--format", "md").check().out.splitlines()) == 6


def test_functions_grids_and_parameters_are_targets_too(seen: Cli) -> None:
    assert len(seen("results", "experiments.py:many", "-p", "count=2", "--json").document()["results"]) == 2
    rows = seen("results", "experiments.py:Add", "--grid", "n=0..1", "--grid", "kind=SMALL,LARGE", "--json").document()
    assert [(row["n"], row["kind"]) for row in rows["results"]] == [
        (0, "SMALL"),
        (0, "LARGE"),
        (1, "SMALL"),
        (1, "LARGE"),
    ]


def test_what_has_no_result_is_counted_on_stderr(seen: Cli) -> None:
    done = seen("results", "experiments.py:Add", "--grid", "n=0,77", "--json").check()
    assert len(done.document()["results"]) == 1
    assert "1 of 2 targets have no result: 'labtech run' computes them" in done.err
    assert seen("results", "experiments.py:after").check().out == ""


def test_a_damaged_result_is_a_warning_and_exit_1_and_the_others_are_shown(ran: Cli) -> None:
    damage(ran, "Add")
    done = ran("results", "experiments.py:adds", "--json").check(1)
    assert len(done.document()["results"]) == 3
    assert "warning: the result of Add(n=" in done.err and "damaged" in done.err


def test_a_run_heals_a_damaged_result(ran: Cli) -> None:
    damage(ran, "Add")
    done = ran("run", "experiments.py:adds", "--json").check()
    assert done.counts() == {"succeeded": 1, "loaded": 3}
    warned = [event["message"] for event in done.events() if event["event"] == "warning"]
    assert len(warned) == 1 and "damaged" in warned[0]
    assert [row["result"] for row in ran("results", "experiments.py:adds", "--json").document()["results"]] == [
        1,
        2,
        3,
        4,
    ]
    assert ran("run", "experiments.py:adds", "--json").check().counts() == {"loaded": 4}


def damage(cli: Cli, label: str) -> None:
    """Change the bytes of the first result of a type."""
    with sqlite3.connect(cli.folder / "labtech_storage" / "labtech.db") as database:
        (number,) = database.execute("SELECT min(id) FROM task WHERE type LIKE ?", (f"%{label}",)).fetchone()
        database.execute("UPDATE data SET bytes = X'00' || substr(bytes, 2) WHERE id = ?", (number,))
    database.close()


def test_nothing_of_numbers_that_json_lacks_or_of_odd_text_breaks_the_document(cli: Cli) -> None:
    cli.write(
        "odd.py",
        "import labtech_cli as labtech\n@labtech.task\nclass Odd:\n    text: str\n    number: float\n"
        "    def run(self): return {'nan': float('nan'), 'inf': float('inf'), 'text': self.text, 'bytes': b'x'}\n"
        "odd = [Odd('\\x1b[31m\\u202ered\\ud800', float('nan')), Odd('日本\\n<b>|\\t', float('-inf'))]\n",
    )
    done = cli("run", "odd.py:odd", "--json").check()
    assert done.counts() == {"succeeded": 2}
    for form in ("table", "csv", "md", "jsonl", "json"):
        shown = cli("results", "odd.py:odd", "--format", form).check().out
        assert "\x1b" not in shown and "\u202e" not in shown
    checked(json.loads(shown))
    rows = json.loads(shown)["results"]
    assert [row["nan"] for row in rows] == ["nan", "nan"]
    assert rows[1]["text"] == "日本\n<b>|\t"
