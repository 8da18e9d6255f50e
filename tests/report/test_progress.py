from __future__ import annotations

import io

import pytest
from report_events import Fit, failed, feed, over, started

from labtech_cli.report.console import LiveReporter
from labtech_cli.report.plain import PlainReporter, QuietReporter
from labtech_cli.report.progress import make_progress, use_colour


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class LatinTerminal(Terminal):
    encoding = "latin-1"


XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("stream", "environ", "kind"),
    [
        (Terminal(), XTERM, LiveReporter),
        (Terminal(), {**XTERM, "CI": "false"}, LiveReporter),
        (Terminal(), {**XTERM, "NO_COLOR": "1"}, LiveReporter),
        (Terminal(), {**XTERM, "CI": "true"}, PlainReporter),
        (Terminal(), {"TERM": "dumb"}, PlainReporter),
        (LatinTerminal(), XTERM, PlainReporter),
        (io.StringIO(), XTERM, PlainReporter),
        (io.StringIO(), {**XTERM, "FORCE_COLOR": "1"}, PlainReporter),
    ],
)
def test_auto_is_live_only_where_a_person_looks(stream, environ, kind):
    assert type(make_progress("auto", stream, environ=environ)) is kind


@pytest.mark.parametrize(("mode", "kind"), [("live", LiveReporter), ("plain", PlainReporter), ("none", QuietReporter)])
def test_a_mode_that_was_asked_for_is_obeyed(mode, kind):
    assert type(make_progress(mode, io.StringIO(), environ={"CI": "1"})) is kind


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [
        (Terminal(), XTERM, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {**XTERM, "NO_COLOR": "1"}, False),
        (Terminal(), {**XTERM, "NO_COLOR": ""}, True),
        (io.StringIO(), XTERM, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "0"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_follows_the_terminal_and_the_environment(stream, environ, coloured):
    assert use_colour(stream, environ) is coloured


@pytest.mark.parametrize("mode", ["live", "plain", "none"])
@pytest.mark.parametrize(("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_every_mode_honours_no_color_and_offers_the_command(mode, extra, coloured):
    stream = Terminal()
    reporter = make_progress(mode, stream, rerun_command="labtech run x", environ={**XTERM, **extra})
    feed(reporter, started({"Fit": 1}), failed(Fit(1)), over(1))
    assert ("\x1b[31m" in stream.getvalue()) is coloured
    assert "labtech run x" in stream.getvalue()
