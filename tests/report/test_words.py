from __future__ import annotations

import pytest
from report_events import Fit

from labtech_cli.report import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (-1.0, "0 s"), (0.004, "4 ms"), (0.0994, "99 ms"), (0.0996, "0.1 s"), (1.23, "1.2 s"),
        (9.96, "10 s"), (12, "12 s"), (59.4, "59 s"), (59.6, "1 min"), (185, "3 min 5 s"), (3599.7, "1 h"),
        (7440, "2 h 4 min"), (86_400 * 3 + 3_600, "3 d 1 h"),
    ],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1 s"), (42.4, "42 s"), (200, "3 min"), (5_369, "89 min"), (7_441, "2 h 4 min")]
)
def test_guesses_are_not_told_to_the_second(seconds, text):
    assert words.rough(seconds) == text


@pytest.mark.parametrize(
    ("many", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (999_700, "1.0 MB"), (98e6, "98 MB"), (1.24e9, "1.2 GB")],
)
def test_sizes_are_powers_of_1000(many, text):
    assert words.size(many) == text


def test_counts_agree_with_their_noun():
    assert [words.count(n, "task") for n in (0, 1, 1234)] == ["0 tasks", "1 task", "1,234 tasks"]
    assert words.count(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("one\r\ntwo", ["one", "two"]),
        ("", []),
        ("\n", [""]),
        ("\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1Hx", ["red x"]),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", ["alink"]),
        ("\x1bPq#0\x1b\\a\x1b(Bb\x1bc\x9b2Jd", ["abd"]),
        ("10%\r20%\r30%\r\nnext", ["30%", "next"]),
        ("bell\x07 back\x08 null\x00 \x85", ["bell back null "]),
        ("a\u202eb\u2066c\u2028d", ["abcd"]),
        ("a\tb", ["a       b"]),
        ("half \ud800", ["half \ufffd"]),
        ("日本語 é [red]x[/red]", ["日本語 é [red]x[/red]"]),
    ],
)
def test_foreign_text_cannot_move_colour_or_reorder_anything(text, found):
    assert words.lines(text) == found


def test_one_line_is_the_first_that_says_something():
    assert words.one_line("\n\n  cause\nmore") == "  cause"
    assert words.one_line("x" * 300, 10) == "x" * 9 + "…"
    assert words.one_line("") == ""


def test_a_label_is_cut():
    assert words.label(Fit(1, "x" * 100), 20) == "Fit(seed=1, name='x…"


def test_a_very_long_line_is_shortened():
    assert words.shortened("x" * 2_000) == "x" * 2_000
    assert words.shortened("x" * 3_234) == "x" * 2_000 + "… and 1,234 more characters"
