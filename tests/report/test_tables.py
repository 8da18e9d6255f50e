"""Rows written in every format."""

import csv
import io
import json
import subprocess
import sys
from enum import Enum

import pytest

from labtech_cli.errors import ConfigError
from labtech_cli.report.tables import merged_columns, write_json, write_rows

ROWS = [
    {"name": "a", "loss": 0.123456789, "n": 1, "where": [1, 2]},
    {"name": "longer", "loss": 12.0, "n": None, "extra": True},
]


class Colour(Enum):
    RED = 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


def written(rows, format, columns=None, stream=None, **more):
    stream = stream or io.StringIO()
    write_rows(rows, columns, format, stream, schema="labtech.test/1", key="rows", **more)
    return stream.getvalue()


def encoded(rows, format, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    write_rows(rows, None, format, stream, schema="s/1", key="rows")
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


def test_a_table_is_aligned_text_with_numbers_to_the_right():
    assert written(ROWS, "table") == (
        "name        loss  n  where   extra\na       0.123457  1  [1, 2]  -\nlonger        12  -  -       True\n"
    )


def test_columns_choose_what_is_shown_and_in_what_order():
    assert written(ROWS, "table", ["n", "name"]) == "n  name\n1  a\n-  longer\n"
    assert written(ROWS, "csv", ["n", "name"]) == "n,name\n1,a\n,longer\n"
    assert written([], "table", ["n"]) == "n\n"
    assert written([], "table") == ""


def test_a_table_is_as_wide_as_its_content():
    wide = {f"column_{n}": "x" * 30 for n in range(10)}
    assert written([wide], "table").splitlines()[1] == "  ".join(["x" * 30] * 10)


def test_wide_characters_are_aligned_by_the_space_they_take():
    assert written([{"a": "数", "b": 1}, {"a": "abc", "b": 2}], "table") == "a    b\n数   1\nabc  2\n"


def test_json_has_whole_rows_under_a_schema():
    document = json.loads(written(ROWS, "json", ["name"], extra={"count": 2}))
    assert document == {"schema": "labtech.test/1", "count": 2, "rows": ROWS}
    assert list(document) == ["schema", "count", "rows"]


def test_json_lines_have_a_row_and_its_schema_a_line():
    lines = written([{"a": 1, "schema": "mine"}, {"b": "x\ny\u2028z"}], "jsonl").splitlines()
    assert lines[0] == '{"schema":"labtech.test/1","a":1,"row.schema":"mine"}'
    assert json.loads(lines[1]) == {"schema": "labtech.test/1", "b": "x\ny\u2028z"}


def test_json_has_no_nan_and_no_foreign_objects():
    values = [float("nan"), float("-inf"), 1e300, Colour.RED, (1, {2: None}), {3}]
    assert json.loads(written([{"v": values}], "json"))["rows"][0]["v"] == [
        "nan", "-inf", 1e300, "RED", [1, {"2": None}], "{3}",
    ]  # fmt: skip


def test_csv_keeps_full_precision_line_breaks_and_leaves_none_empty():
    rows = [{"x": 0.1 + 0.2, "none": None, "text": 'a "b",\nc', "nan": float("nan"), "list": [1]}]
    text = written(rows, "csv")
    assert text.startswith("x,none,text,nan,list\n0.30000000000000004,,")
    assert list(csv.reader(io.StringIO(text)))[1][2:] == ['a "b",\nc', "nan", "[1]"]


def test_markdown_escapes_what_would_break_a_cell():
    assert written([{"a|b": "x|y\n<b>*&", "snake_case": 0.5, "_p": "[1]"}], "md") == (
        "| a\\|b | snake_case | \\_p |\n| --- | ---: | --- |\n| x\\|y\\\\n&lt;b>\\*&amp; | 0.5 | \\[1] |\n"
    )


@pytest.mark.parametrize("format", ["table", "md", "csv", "json", "jsonl"])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_control_character_of_a_value_reaches_the_stream(format, terminal):
    evil = "\x1b]0;owned\x07\x9b31m\r\x7f\u202e\ud800"
    stream = Terminal() if terminal else io.StringIO()
    text = written([{f"k{evil}": evil}], format, stream=stream)
    text.encode()  # no lone surrogates
    assert not set(text) & {"\x07", "\x9b", "\r", "\x7f", "\u202e"}
    assert "\x1b]" not in text


def test_json_of_odd_text_reads_back():
    evil = "\x1b\x9b\u202e\ud800 é"
    assert json.loads(written([{"v": evil}], "json"))["rows"] == [{"v": evil}]
    assert "é" in written([{"v": evil}], "json")


def test_a_stream_of_a_small_character_set_gets_escapes():
    assert encoded([{"v": "é数"}], "table", "latin-1") == "v\né\\u6570\n"
    assert json.loads(encoded([{"v": "é😀"}], "json", "ascii"))["rows"] == [{"v": "é😀"}]


def test_a_terminal_gets_a_table_with_a_bold_header(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    text = written([{"name": "[red]a[/red] :smile:", "n": 1}], "table", stream=Terminal())
    assert "\x1b[1mname" in text and "[red]a[/red] :smile:" in text


def test_a_narrow_terminal_folds_and_loses_nothing(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    rows = [{f"c{n}": "abcdefghij" * 5 for n in range(8)}]
    text = written(rows, "table", stream=Terminal())
    assert sum(text.count(letter) for letter in "abdefghij") == 8 * 5 * 9 and "…" not in text


def test_a_dumb_terminal_gets_plain_text(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert written([{"n": 1}], "table", stream=Terminal()) == "n\n1\n"


def test_an_endless_cell_is_cut_in_a_table_only():
    rows = [{"text": "x" * 5000}]
    assert len(written(rows, "table")) == 506 and "…" in written(rows, "table")
    assert all("x" * 5000 in written(rows, format) for format in ("csv", "md", "json", "jsonl"))


def test_a_document_is_indented_on_a_terminal_and_compact_elsewhere():
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        write_json({"a": [1], "b": "é"}, stream)
    assert pipe.getvalue() == '{"a":[1],"b":"é"}\n'
    assert terminal.getvalue() == '{\n  "a": [\n    1\n  ],\n  "b": "é"\n}\n'


def test_an_unknown_format_is_an_error_with_the_nearest_one():
    with pytest.raises(ConfigError, match="there is no format 'jsno'; did you mean 'json'"):
        written(ROWS, "jsno")


def test_rich_is_imported_for_terminals_only():
    code = (
        "import sys, labtech_cli.report.tables as t;"
        "t.write_rows([{'a': 1}], None, 'table', sys.stderr, schema='s', key='k');"
        "print('rich' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_a_column_that_only_some_rows_have_stands_where_it_stands_in_those() -> None:
    rows = [
        {"type": "A", "loss": 1},
        {"type": "B", "seed": 1, "loss": 2},
        {"type": "C", "seed": 1, "depth": 2, "loss": 3},
    ]
    assert merged_columns(rows) == ["type", "seed", "depth", "loss"]
