"""Which results of a storage are meant."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from labtech_cli.cli.catalogue import Catalogue, short
from labtech_cli.cli.filters import Filters, bytes_of, is_key, seconds_of
from labtech_cli.errors import ConfigError
from labtech_cli.report.tables import plain
from labtech_cli.store.records import Row
from labtech_cli.store.storage import NullStorage

NOW = time.time()


def row(key: str, kind: str, params: dict[str, Any], *, age: float = 0, version: str | None = None) -> Row:
    return Row(key.ljust(32, "0"), f"pkg.mod.{kind}", version, json.dumps(params), "pickle", NOW - age, 1.5, 10)


ROWS = [
    row("aaaa1", "Fit", {"n": 5, "rate": 0.1, "name": "x", "on": True, "none": None}),
    row("aaaa2", "Fit", {"n": 50, "rate": {"$float": "nan"}, "name": "5", "on": False, "none": None}, age=1000),
    row("bbbb1", "Outer.Score", {"fit": {"$task": "aaaa1".ljust(32, "0")}, "kind": {"$enum": "m.K", "name": "BIG"}}),
    row("cccc1", "Many", {"fits": [{"$task": "aaaa2".ljust(32, "0")}], "opt": {"$dict": {"depth": 3}}}),
]


class Fixed(NullStorage):
    def rows(self, keys: Any = None) -> Iterator[Row]:
        return iter(ROWS)

    def described(self) -> dict[str, tuple[str, str | None, str]]:
        return {item.key: (item.type, item.code_version, item.params) for item in ROWS}


def chosen(*names: str, **options: Any) -> list[str]:
    return [item.key[:5] for item in Filters(names, **options).select(Catalogue(Fixed()))]


@pytest.mark.parametrize(
    ("condition", "keys"),
    [
        ("n=5", ["aaaa1"]),
        ("n == 5.0", ["aaaa1"]),
        ("n>5", ["aaaa2"]),
        ("n>=5", ["aaaa1", "aaaa2"]),
        ("n<=5", ["aaaa1"]),
        ("n!=5", ["aaaa2"]),
        ("rate<1", ["aaaa1"]),
        ("name=x", ["aaaa1"]),
        ("name='5'", ["aaaa2"]),
        ('name="5"', ["aaaa2"]),
        ("on=true", ["aaaa1"]),
        ("on=False", ["aaaa2"]),
        ("none=None", ["aaaa1", "aaaa2"]),
        ("fit.n=5", ["bbbb1"]),
        ("fit=Fit", ["bbbb1"]),
        ("kind=BIG", ["bbbb1"]),
        ("fits.0.n=50", ["cccc1"]),
        ("opt.depth>2", ["cccc1"]),
        ("fits.1.n=50", []),
        ("nothing=1", []),
        ("nothing!=1", []),
        ("name>3", []),
        ("fit.n.deeper=1", []),
    ],
)
def test_conditions(condition: str, keys: list[str]) -> None:
    assert chosen(where=[condition]) == keys


VALUES = {
    "int": 1,
    "float": 1.0,
    "bool": True,
    "text": "1",
    "none": None,
    "nan": {"$float": "nan"},
    "inf": {"$float": "inf"},
    "minus": {"$float": "-inf"},
    "large": {"$int": format(2**70, "x")},
    "below": {"$int": format(-(2**64), "x")},
    "word": "nan",
    "odd float": {"$float": "x"},
    "odd int": {"$int": "x"},
    "odd task": {"$task": [1]},
}


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("n=1", {"int", "float"}),
        ("n=1.0", {"int", "float"}),
        ("n=true", {"bool"}),
        ("n=false", set()),
        ('n="1"', {"text"}),
        ("n=null", {"none"}),
        ("n=nan", {"nan", "word"}),
        ("n=NaN", {"nan"}),
        ("n='nan'", {"word"}),
        ("n=inf", {"inf"}),
        ("n=Infinity", {"inf"}),
        ("n=-inf", {"minus"}),
        (f"n={2**70}", {"large"}),
        (f"n={-(2**64)}", {"below"}),
        ("n>1", {"inf", "large"}),
        ("n>=1", {"int", "float", "inf", "large"}),
        ("n<0", {"minus", "below"}),
        ("n!=1", {"bool", "text", "none", "nan", "inf", "minus", "large", "below", "word"}),
        ("n!=nan", {"int", "float", "bool", "text", "none", "inf", "minus", "large", "below"}),
    ],
)
def test_values_are_told_apart_as_tasks_are(condition: str, names: set[str]) -> None:
    rows = [row(name, "Fit", {"n": value}) for name, value in VALUES.items()]

    class Values(NullStorage):
        def rows(self, keys: Any = None) -> Iterator[Row]:
            return iter(rows)

    found = Filters(where=[condition]).select(Catalogue(Values()))
    assert {item.key.rstrip("0") for item in found} == names


@pytest.mark.parametrize("condition", ["n", "n>>3", "n=", "=3", "3=n", "n=<3", "", "n!3"])
def test_what_is_no_condition_is_refused(condition: str) -> None:
    with pytest.raises(ConfigError, match="is not a condition"):
        Filters(where=[condition])


def test_several_filters_must_all_hold() -> None:
    assert chosen("Fit", where=["n>1", "name=x"]) == ["aaaa1"]
    assert chosen(older_than="15m") == ["aaaa2"]
    assert chosen(older_than="1d") == []


def test_names_are_keys_or_types() -> None:
    assert chosen("Fit", "Outer.Score") == ["aaaa1", "aaaa2", "bbbb1"]
    assert chosen("pkg.mod.Many") == ["cccc1"]
    assert chosen("bbbb") == ["bbbb1"]
    with pytest.raises(ConfigError, match="key 'aaaa' is ambiguous: 2 results; go on with aaaa1000, aaaa2000"):
        chosen("aaaa")
    with pytest.raises(ConfigError, match=r"no result has the key or type 'Ft'; did you mean 'Fit'\?"):
        chosen("Ft")


def test_short_names_and_keys_and_durations() -> None:
    assert short("a.b.Outer.Inner") == "Outer.Inner"
    assert short("a.b.lower") == "lower"
    assert (
        is_key("abcd")
        and is_key("a")
        and not is_key("")
        and not is_key("ABCD")
        and not is_key("g" * 8)
        and not is_key("a" * 33)
    )
    assert [seconds_of(text, "--x") for text in ("90s", "15m", "15min", "2h", "7d", "1w", "1.5 h")] == [
        *(90, 900, 900, 7200, 604800, 604800, 5400)
    ]
    for text in ("7", "d", "-1d", "1y", ""):
        with pytest.raises(ConfigError, match=r"--x .* is not a duration"):
            seconds_of(text, "--x")


def test_sizes() -> None:
    told = [bytes_of(text, "--x") for text in ("0", "12", "12 B", "1.5kB", "10GB", "3m", "1KiB", "2 tib", "1PB")]
    assert told == [0, 12, 12, 1500, 10**10, 3 * 10**6, 1024, 2 << 40, 10**15]
    for text in ("", "GB", "-1GB", "1ib", "1xB", "1e3", "ten"):
        with pytest.raises(ConfigError, match=r"--x .* is not a size; write for example 500MB"):
            bytes_of(text, "--x")


def test_statuses_need_the_types() -> None:
    class Kind:
        name, code_version = "pkg.mod.Fit", "v2"

    assert {Catalogue(Fixed()).status(item) for item in ROWS} == {"unknown"}
    catalogue = Catalogue(Fixed(), {"pkg.mod.Fit": Kind})
    assert [catalogue.status(item) for item in ROWS] == ["stale", "stale", "orphaned", "orphaned"]
    empty = Catalogue(Fixed(), {}, ["pkg.mod"])
    assert {empty.status(item) for item in ROWS} == {"orphaned"}
    assert catalogue.status(row("dddd", "Fit", {}, version="v2")) == "current"
    assert catalogue.status(Row("e", "other.Fit", None, "{}", "pickle", 0.0, 0.0, 0)) == "unknown"


def test_a_row_as_text_is_the_row_as_json() -> None:
    catalogue = Catalogue(Fixed(), {}, ())
    for item in catalogue.rows:
        odd: list[dict[str, Any]] = [{"peak_memory": 5, "code": "c", "origin": 'o"'}, {"peak_memory": b"x"}]
        odd += [{"params": "{"}, {"params": "[]"}, {"params": '{"a": {"$task": 5}}'}, {"duration": float("inf")}]
        for change in [{}, *odd]:
            changed = replace(item, **change)
            assert json.loads(catalogue.as_text(changed)) == plain(catalogue.as_json(changed))
