"""Where a result comes from, read from text that anybody may have written."""

from __future__ import annotations

import json
import sqlite3

import pytest
from cli_kit import Cli

from labtech_cli.cli.receipt import origin_of, told

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "text", [None, "", "nonsense", "[]", "7", DEEP, '{"host":"' + "x" * 2_000_000 + '"}'], ids=range(7)
)
def test_what_is_no_document_of_ours_is_none(text: str | None) -> None:
    assert origin_of(text) is None and told(origin_of(text) or {}) == {}


def test_odd_fields_are_left_out() -> None:
    text = json.dumps({"host": 5, "user": "me", "packages": {"a": "1", "b": 2}, "argv": ["x", None], "git_dirty": "no"})
    found = origin_of(text)
    assert found is not None and found["host"] is None and found["git_dirty"] is None
    assert found["packages"] == {"a": "1"} and told(found)["user"] == "me"
    assert origin_of('{"packages": [], "argv": {}}') is not None


def test_for_people_it_is_short_and_harmless() -> None:
    found = origin_of(
        json.dumps({"host": "a\x1b[31mb\nc", "argv": ["run", "x y"], "git_commit": "f", "git_dirty": True})
    )
    assert found is not None
    lines = told(found)
    assert lines == {"host": "ab", "git_commit": "f (and changes)", "argv": "run 'x y'"}


def test_show_survives_whatever_the_storage_holds(ran: Cli) -> None:
    hostile = [DEEP, "\x1b]0;owned\x07", json.dumps({"host": "\x1b[2J\u202e", "argv": ["\x00"] * 5_000})]
    (row,) = ran("cache", "ls", "Total", "--json").check().document()["results"]
    for text in hostile:
        with sqlite3.connect(ran.folder / "labtech_storage" / "labtech.db") as database:
            database.execute("UPDATE document SET text = ? WHERE digest = ?", (text, row["provenance"]["origin"]))
        database.close()
        shown = ran("cache", "show", row["key"]).check()
        assert not {"\x1b", "\x07", "\u202e", "\x00"} & set(shown.out)
        assert ran("cache", "show", row["key"], "--json").check().document()["key"] == row["key"]
