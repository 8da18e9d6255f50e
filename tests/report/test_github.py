from __future__ import annotations

import io
from html import unescape
from pathlib import Path

from report_events import Fit, Score, done, failed, feed, over, started, warned

from labtech_cli.core.events import Failure, Outcome
from labtech_cli.report.github import GitHubReporter


def told(folder: Path, *events: object, summary: str | None = "summary.md", rerun: str | None = None) -> list[str]:
    """The lines a run leaves on stderr; its summary goes to `summary.md`."""
    stream = io.StringIO()
    environ = {"GITHUB_WORKSPACE": str(folder)}
    if summary is not None:
        environ["GITHUB_STEP_SUMMARY"] = str(folder / summary)
    reporter = GitHubReporter(stream, environ, rerun)
    feed(reporter, *events)
    reporter.close()
    return stream.getvalue().splitlines()


def trace(*places: tuple[str, int]) -> str:
    frames = [f'  File "{file}", line {line}, in run\n    fit()\n' for file, line in places]
    return "Traceback (most recent call last):\n" + "".join(frames) + "ValueError: no data\n"


def test_a_failed_task_is_an_error_at_the_last_line_of_the_users_code(tmp_path):
    installed = tmp_path / ".venv" / "lib" / "python3.12" / "site-packages" / "numpy.py"
    traceback = trace((f"{tmp_path}/src/fit.py", 3), (f"{tmp_path}/src/deep er.py", 14), (str(installed), 7))
    assert told(tmp_path, started({"Fit": 1}), failed(Fit(1), traceback=traceback), over(1)) == [
        "::error title=Fit(seed=1%2C name='') failed,file=src/deep er.py,line=14::ValueError: no data"
    ]


def test_without_a_line_of_the_users_code_there_is_no_place(tmp_path):
    elsewhere = failed(Fit(1), traceback=trace(("/usr/lib/python3.12/json.py", 3), ("<string>", 1)))
    died = done(Fit(2), Outcome.FAILED, error=Failure("TaskDied", "killed by SIGKILL"))
    lines = told(tmp_path, started({"Fit": 2}), elsewhere, died, over(1))
    assert [line.partition("::ValueError")[0].partition("::TaskDied")[0] for line in lines] == [
        "::error title=Fit(seed=1%2C name='') failed",
        "::error title=Fit(seed=2%2C name='') failed",
    ]


def test_a_frame_in_a_group_of_exceptions_is_found(tmp_path):
    traceback = f'  + Exception Group Traceback:\n  | File "{tmp_path}/a.py", line 4, in run\n  |     raise\n'
    (line,) = told(tmp_path, started({"Fit": 1}), failed(Fit(1), traceback=traceback), over(1))
    assert "file=a.py,line=4" in line


def test_nothing_in_a_message_ends_the_command_or_begins_another(tmp_path):
    evil = "50% of a:b,c\r\n::error::no\n::set-env name=x::y\x1b[31m"
    (line,) = told(tmp_path, started({"Fit": 1}), failed(Fit(1, "a:b,c%"), evil, traceback=""), over(1))
    assert line == (
        "::error title=Fit(seed=1%2C name='a%3Ab%2Cc%25') failed"
        "::ValueError: 50%25 of a:b,c%0A::error::no%0A::set-env name=x::y"
    )


def test_ten_annotations_and_then_one_that_counts_the_others(tmp_path):
    lines = told(tmp_path, started({"Fit": 60}), *[failed(Fit(n)) for n in range(60)], over(1))
    assert len(lines) == 11 and all(line.startswith("::error ") for line in lines[:10])
    assert lines[10] == "::warning title=labtech::50 more tasks failed"
    assert "| … and 10 more failures | |" in (tmp_path / "summary.md").read_text("utf-8")


def test_the_summary_counts_tells_failures_and_how_to_run_them_again(tmp_path):
    (tmp_path / "summary.md").write_text("before\n", "utf-8")
    told(
        tmp_path,
        started({"Fit": 2, "Score": 1}, {"Fit": 3}),
        *[done(Fit(n), Outcome.LOADED) for n in (7, 8, 9)],
        done(Fit(1)),
        failed(Fit(2)),
        done(Score(Fit(2)), Outcome.SKIPPED, because=Fit(2)),
        over(1, saved_seconds=120.0),
        rerun="labtech run a.py:b -p 'x=``'",
    )
    assert unescape((tmp_path / "summary.md").read_text("utf-8")).splitlines() == [
        "before",
        "### labtech run fit.py:all",
        "",
        "**Failed after 3 min 5 s**",
        "",
        "| outcome | tasks |",
        "|---|---:|",
        "| succeeded | 1 |",
        "| loaded | 3 |",
        "| failed | 1 |",
        "| skipped | 1 |",
        "",
        "3 results came from the cache and saved 2 min.",
        "",
        "| failed task | error |",
        "|---|---|",
        "| Fit(seed=2, name='') | ValueError: no data |",
        "",
        "Run the failed tasks again with:",
        "",
        "```sh",
        "labtech run a.py:b -p 'x=``'",
        "```",
        "",
    ]


def test_a_cell_is_text_whatever_a_task_says(tmp_path):
    evil = "a|b `c` <img src=x> [d](e) *f* _g_ \\| @me #1\nmore"
    told(tmp_path, started({"Fit": 1}), failed(Fit(1), evil), over(1), rerun="labtech run '```'")
    text = (tmp_path / "summary.md").read_text("utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| Fit")]
    assert row.count("|") == 3 and not set(row) & set("`<>[]*_\\@")
    assert evil.splitlines()[0] in unescape(row)
    assert "````sh\nlabtech run '```'\n````" in text


def test_a_run_that_goes_well_says_nothing_but_the_summary(tmp_path):
    assert told(tmp_path, started({"Fit": 1}), warned("w"), done(Fit(1)), over()) == []
    text = (tmp_path / "summary.md").read_text("utf-8")
    assert "**Done in 3 min 5 s**" in text and "failed" not in text


def test_a_summary_that_cannot_be_written_is_a_warning(tmp_path):
    (line,) = told(tmp_path, started({"Fit": 1}), done(Fit(1)), over(), summary="no/summary.md")
    assert line == f"warning: GITHUB_STEP_SUMMARY {tmp_path}/no/summary.md: no such file or directory"
    assert told(tmp_path, started({"Fit": 1}), done(Fit(1)), over(), summary=None) == []


def test_a_run_that_stopped_early_is_told_and_one_that_never_began_is_not(tmp_path):
    assert told(tmp_path) == [] and not (tmp_path / "summary.md").exists()
    told(tmp_path, started({"Fit": 1}), done(Fit(1)))
    assert "**Stopped after 0 s**" in (tmp_path / "summary.md").read_text("utf-8")
