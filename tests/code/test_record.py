# ruff: noqa: E501
"""Fingerprints written, read, compared and renamed."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from conftest import Write
from hypothesis import given, settings
from hypothesis import strategies as st
from test_reach import run

from labtech_cli.code.fingerprint import changes, from_json, renamed, to_json
from labtech_cli.code.model import Fingerprint, Symbol, Unsure, digest_of_symbols

ONE = Symbol("a.b:f", "0" * 32, "a/b.py", 3, "def f():\n    return 1")
SYMBOLS = {"a.b:f": ONE}
FP = Fingerprint(
    "a.b.T", digest_of_symbols(SYMBOLS), SYMBOLS, (Unsure("a.b:f", "a/b.py", 4, "eval"),), {"numpy": "2.0"}, ("a.c.U",)
)


def test_what_is_written_is_read() -> None:
    assert from_json(to_json(FP)) == FP
    assert json.loads(to_json(FP))["schema"] == "labtech.code/1"


HOSTILE = [
    "", "null", "[]", "1", "{", '{"schema": "other/1"}', '{"schema": "labtech.code/1"}', "[" * 100_000,
    to_json(FP).replace("0" * 32, "1" * 32), to_json(FP).replace("0" * 32, "x"), to_json(FP).replace('"line":3', '"line":"3"'),
    to_json(FP).replace('"line":3', '"line":true'), to_json(FP).replace('["a.c.U"]', "[1]"), to_json(FP).replace('"2.0"', "2"),
    to_json(FP).replace('"symbols":{', '"symbols":{"x":1,'), '{"schema": "labtech.code/1", "symbols": {"x": null}}', "NaN", "1e999",
    "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_anything_else_is_a_value_error(number: int) -> None:
    with pytest.raises(ValueError, match="code fingerprint"):
        from_json(HOSTILE[number])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_damage_is_any_other_error(data: st.DataObject) -> None:
    text = to_json(FP)
    start = data.draw(st.integers(0, len(text)))
    damaged = text[:start] + data.draw(st.text(max_size=5)) + text[start + data.draw(st.integers(0, 9)) :]
    with contextlib.suppress(ValueError):
        from_json(damaged)


def test_other_types_than_text_are_value_errors() -> None:
    for value in (None, 3, b"\xff", object()):
        with pytest.raises(ValueError):
            from_json(value)  # type: ignore[arg-type]


def test_changes_name_symbols_with_a_diff_changed_ones_first(fp: Write) -> None:
    old = fp(run("return f(), g()", "def f(): return 1\ndef g(): return 2\n"))
    new = fp(run("return f(), h()", "def f(): return 3\ndef h(): return 2\n"))
    found = changes(old, new)
    assert [(item.kind, item.symbol) for item in found] == [
        ("changed", "exp:f"),
        ("changed", "exp:T.run"),
        ("added", "exp:h"),
        ("removed", "exp:g"),
    ]
    assert "-def f(): return 1\n+def f(): return 3" in found[0].diff
    assert (found[0].file, found[0].line) == ("exp.py", 2)
    assert changes(new, new) == []


def test_a_moved_module_compares_equal(fp: Write) -> None:
    lib = "def f(): return g()\ndef g(): return 1\n"
    task = "from labtech_cli import task\n" + lib + "@task\nclass T:\n    def run(self): return f()\n"
    from labtech_cli.code.fingerprint import fingerprint_of

    fp.write("", old=task)
    old = fingerprint_of("old", "T")
    fp.write("", pkg__new=task)
    new = fingerprint_of("pkg.new", "T")
    moved = renamed(old, "old", "pkg.new")
    assert (moved.type, moved.digest, set(moved.symbols)) == (new.type, new.digest, set(new.symbols))
    assert renamed(moved, "pkg.new", "old").digest == old.digest


def test_a_renamed_class_takes_its_methods_along() -> None:
    symbols = {name: replace(ONE, name=name) for name in ("a.b:T", "a.b:T.run", "a.b:Tail", "a.bc:T")}
    old = replace(FP, symbols=symbols)
    assert set(renamed(old, "a.b.T", "a.b.U").symbols) == {"a.b:U", "a.b:U.run", "a.b:Tail", "a.bc:T"}
    assert set(renamed(old, "a.b.T", "x.y.z:U.V").symbols) == {"x.y.z:U.V", "x.y.z:U.V.run", "a.b:Tail", "a.bc:T"}
    assert renamed(old, "a.b.T", "a.b.U").type == "a.b.U"
    assert renamed(old, "a", "z").tasks == ("z.c.U",)
