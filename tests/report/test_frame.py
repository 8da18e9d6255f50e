from __future__ import annotations

import pytest
from report_events import T0, Fit, Score, done, failed, running, started
from rich.cells import cell_len

from labtech_cli.core.events import Active, Outcome
from labtech_cli.report.frame import cut, fit, frame
from labtech_cli.report.summary import Tally
from labtech_cli.report.usage import Use


def tally_of(*events):
    tally = Tally()
    for event in events:
        tally.add(event)
    return tally


def drawn(tally, active=(), use=lambda pid: None, width=80, height=24, now=T0 + 10):
    return [row.plain.rstrip() for row in frame(tally, now, active, use, width, height)]


def test_there_is_a_bar_per_type_a_line_per_active_task_and_a_total():
    tally = tally_of(
        started({"Fit": 4, "Score": 4}, {"Fit": 4}),
        *[done(Fit(n), Outcome.LOADED) for n in range(4)],
        done(Fit(5)),
        failed(Fit(6)),
    )
    active = running(Fit(7), since=T0 + 8, pid=1)
    assert drawn(tally, active, lambda pid: Use(98.4, 1_240_000_000)) == [
        "Fit    " + "━" * 30 + "─" * 10 + "    6/8  1 failed  4 loaded",
        "Score  " + "─" * 40 + "    0/4",
        "  Fit(seed=7, name='')                                   2.0 s     98 %   1.2 GB",
        "total  " + "━" * 20 + "─" * 20 + "   6/12  10 s, about 30 s left",
    ]


def test_the_longest_running_tasks_are_shown_and_the_others_counted():
    active = [Active(Fit(n), n, T0 + n, None) for n in range(40)]
    rows = drawn(tally_of(started({"Fit": 50})), list(reversed(active)), height=24)
    assert [row.split(",")[0] for row in rows[1:-2]] == [f"  Fit(seed={n}" for n in range(6)]
    assert rows[-2] == "  … and 34 more"


def test_of_very_many_types_those_in_progress_are_shown():
    types = {f"Type{n}": 2 for n in range(30)}
    rows = drawn(tally_of(started({**types, "Fit": 2}), done(Fit(1))), height=24)
    assert rows[0].startswith("Fit ") and rows[6] == "… and 25 more types" and len(rows) == 8


@pytest.mark.parametrize("width", [1, 5, 10, 20, 40, 59, 60, 80, 200])
@pytest.mark.parametrize("height", [1, 3, 10, 50])
def test_no_frame_is_larger_than_the_terminal(width, height):
    types = {"Fit": 1_000_000, "Score": 3, "評価の種類" * 10: 5}
    tally = tally_of(started(types, estimate=1e5), failed(Fit(1)))
    active = running(*[Score(Fit(n, "日本語" * 40)) for n in range(30)], pid=1)
    rows = frame(tally, T0 + 1e4, active, lambda pid: Use(1600.0, 10**12), width, height)
    assert max(cell_len(row.plain) for row in rows) <= width
    assert len(rows) <= max(1, height - 1)


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 4, "abc…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日… "),
    ],
)
def test_wide_characters_take_two_columns(text, width, shown):
    assert cut(text, width) == shown


def test_a_type_that_was_not_announced_does_not_disturb():
    assert drawn(tally_of(started({}), done(Fit(1))))[0].startswith("Fit")
    assert len(drawn(tally_of())) == 1


def test_what_terminals_disagree_on_is_left_out_of_names():
    assert (
        fit("\U0001f44d\U0001f3fd \U0001f469\u200d\U0001f467 \u2764\ufe0f", 20)
        == "\U0001f44d \U0001f469\U0001f467 \u2764"
    )
    assert fit("日本語", 5) == "日本…" and fit("ab", 5) == "ab"
