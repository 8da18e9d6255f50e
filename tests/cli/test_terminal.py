"""What a person sees: the command in a terminal, its screen read."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyte.modes
import pytest
from cli_kit import COMMAND, Cli, environment
from terminal_kit import Terminal

TASKS = r"""
import time
import labtech_cli as labtech

@labtech.task
class Fit:
    seed: int
    name: str = ""
    seconds: float = 0.5

    def run(self):
        open("runs", "w").close()
        for epoch in range(3):
            print(f"epoch {epoch} of {self.seed}")
            time.sleep(self.seconds / 3)
        if self.name == "bad":
            raise ValueError("no data")
        return self.seed

@labtech.task
class Score:
    fit: Fit

    def run(self):
        return self.fit.result

@labtech.task
class Loud:
    n: int

    def run(self):
        for number in range(3_000):
            print(f"line {number}")
            if number == 500:
                time.sleep(0.5)
        print("x" * 100_000)

@labtech.task
class Tiny:
    n: int

    def run(self):
        return self.n

good = [Score(Fit(n)) for n in range(4)]
bad = [Score(Fit(n, "bad" * (n == 1))) for n in range(4)]
slow = [Fit(n, "slow", 60.0) for n in range(4)]
strange = [Fit(n, name, 1.0) for n, name in enumerate(
    ["評価" * 40, "\U0001f44d\U0001f3fd\u200d\U0001f467\ufe0f" * 9, "e\u0301" * 50, "\x1b[2J\x1b]0;title\x07\r\n"])]
loud = [Loud(n) for n in range(4)]

def tiny(many: int):
    return [Tiny(n) for n in range(many)]
"""
Show = Callable[..., Terminal]


@pytest.fixture
def show(cli: Cli) -> Show:
    """Runs a target of the module above in a terminal, on two workers."""
    cli.write("shown.py", TASKS)

    def start(target: str, *options: str, columns: int = 80, rows: int = 24, **env: str) -> Terminal:
        command = [*COMMAND, "run", f"shown.py:{target}", "-j", "2", "--show", "none", *options]
        return Terminal(command, cli.folder, {**environment(), **env}, columns, rows)

    return start


def test_while_a_run_goes_there_are_bars_and_tasks_and_then_only_what_was_printed_and_the_summary(show: Show) -> None:
    with show("good") as terminal:
        terminal.until(lambda: len(terminal.bars) == 3 and any("Fit(seed=" in line for line in terminal.lines))
        assert [line.split()[0] for line in terminal.bars] == ["Fit", "Score", "total"]
        assert terminal.screen.cursor.hidden
        assert terminal.lines[-1].startswith("total ")
        assert terminal.finish() == 0
        assert terminal.is_given_back()
        lines = terminal.everything
        for seed in range(4):
            found = [line.partition(" │ ")[2] for line in lines if line.startswith(f"Fit(seed={seed},")]
            assert found == [f"epoch {epoch} of {seed}" for epoch in range(3)]
        assert re.fullmatch(r"Done in .*: 8 succeeded", lines[-1])
        assert len(lines) == 13


def test_after_a_failure_the_screen_shows_why_and_what_to_do(show: Show) -> None:
    with show("bad", "-k") as terminal:
        assert terminal.finish() == 1
        assert terminal.is_given_back()
        text = "\n".join(terminal.everything)
        assert text.count("failed Fit(seed=1, name='bad'") == 1 and "  ValueError: no data" in text
        assert "1 failed, 1 skipped" in text and "run the failed tasks again with: labtech run" in text


@pytest.mark.parametrize("status", [130, 143, 129], ids=["ctrl-c-twice", "term", "hup"])
def test_however_a_run_is_stopped_the_terminal_is_given_back(show: Show, status: int) -> None:
    with show("slow") as terminal:
        terminal.until(lambda: sum("Fit(seed=" in line for line in terminal.lines) >= 2 and terminal.bars)
        if status == 130:
            terminal.child.sendintr()
            terminal.until(lambda: any("again to stop" in line for line in terminal.lines))
            terminal.child.sendintr()
        else:
            terminal.child.kill(status - 128)
        assert terminal.finish() == status
        assert terminal.is_given_back()
        assert any(line.startswith("Interrupted after") for line in terminal.everything)


@pytest.mark.parametrize("runner", ["process", "thread", "serial"])
def test_ctrl_c_again_and_again_gives_the_cursor_back(show: Show, runner: str) -> None:
    with show("slow", "--runner", runner) as terminal:
        terminal.until(lambda: terminal.bars and any("Fit(seed=" in line for line in terminal.lines))
        terminal.press_until_it_ends("c")
        assert terminal.finish() == 130
        assert not terminal.screen.cursor.hidden


@pytest.mark.parametrize("options", [(), ("--progress", "plain")], ids=["live", "plain"])
def test_the_first_ctrl_c_is_answered_at_once_where_the_task_runs_in_the_command_itself(
    show: Show, cli: Cli, options: tuple[str, ...]
) -> None:
    with show("slow", "--runner", "serial", *options) as terminal:
        terminal.until((cli.folder / "runs").exists)
        terminal.child.sendintr()
        terminal.until(lambda: any("interrupted: waiting for the task" in line for line in terminal.lines), 10)
        terminal.child.sendintr()
        assert terminal.finish() == 130
        assert terminal.is_given_back()


def test_ctrl_z_gives_the_terminal_back_and_fg_draws_the_display_anew(show: Show) -> None:
    with show("slow") as asked:
        command = [str(part) for part in (asked.child.command, *asked.child.args[1:])]
        folder, env = Path(asked.child.cwd), asked.child.env
        asked.child.kill(signal.SIGKILL)
    shell = ["/bin/bash", "--norc", "--noprofile", "-i"]
    with Terminal(shell, folder, {**env, "PS1": "ready> "}) as terminal:
        terminal.until(lambda: terminal.lines and terminal.lines[-1] == "ready>")
        terminal.child.sendline(shlex.join(command))
        terminal.until(lambda: terminal.bars and any("Fit(seed=" in line for line in terminal.lines))
        assert terminal.screen.cursor.hidden
        terminal.child.sendcontrol("z")
        terminal.until(lambda: terminal.lines[-1] == "ready>" and any("Stopped" in line for line in terminal.lines))
        assert not terminal.screen.cursor.hidden and pyte.modes.DECAWM in terminal.screen.mode
        above = len(terminal.everything)
        terminal.child.sendline("fg")
        terminal.until(lambda: terminal.screen.cursor.hidden and terminal.lines[-1].startswith("total "))
        assert len(terminal.everything) > above
        terminal.child.sendintr()
        terminal.until(lambda: any("again to stop" in line for line in terminal.lines))
        terminal.child.sendintr()
        terminal.until(lambda: terminal.lines[-1] == "ready>")
        assert not terminal.screen.cursor.hidden


def stands_whole(shown: list[str], types: int) -> bool:
    """Whether the display is there once, to its last line; a look may come in the middle of a frame."""
    totals = [line for line in shown if line.startswith("total ")]
    fits = [line for line in shown if line.startswith("Fit ")]
    return len(totals) == 1 and shown[-1] == totals[0] and "0/4" in totals[0] and len(fits) == types


@pytest.mark.parametrize("sizes", [[(120, 30), (200, 50)], [(40, 10), (100, 8), (20, 24)], [(80, 1), (80, 24)]])
def test_after_the_window_changes_its_size_the_display_stands_there_whole(
    show: Show, sizes: list[tuple[int, int]]
) -> None:
    with show("slow") as terminal:
        terminal.until(lambda: terminal.bars)
        for columns, rows in sizes:
            terminal.resize(columns, rows)
            before = len(terminal.raw)
            terminal.until(lambda before=before: len(terminal.raw) > before + 1_000)
            terminal.until(lambda rows=rows: stands_whole(terminal.lines, 1 if rows > 2 else 0), 20)
        terminal.child.kill(signal.SIGTERM)
        assert terminal.finish() == 143
        assert not terminal.screen.cursor.hidden and not terminal.bars


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_names_of_whatever_length_and_width_take_a_line_each_and_steer_nothing(show: Show, columns: int) -> None:
    with show("strange", "-j", "4", columns=columns, rows=40) as terminal:
        terminal.until(lambda: sum(line.startswith("  Fit(") for line in terminal.lines) == 4)
        start = next(place for place, line in enumerate(terminal.lines) if line.startswith("Fit "))
        shown = terminal.lines[start:]
        assert len(shown) == 6 and all(line.startswith("  Fit(") for line in shown[1:5])
        assert terminal.finish() == 0
        assert terminal.is_given_back() and terminal.screen.title == ""
        assert sum("epoch 2 of" in line for line in terminal.everything) == 4 or columns == 20


def test_tasks_that_print_very_much_tear_nothing(show: Show) -> None:
    with show("loud", rows=50) as terminal:
        terminal.until(lambda: terminal.bars and any("line 1" in line for line in terminal.everything))
        assert terminal.finish() == 0
        assert terminal.is_given_back()
        lines = terminal.everything
        printed = [line for line in lines if " │ line " in line]
        assert len(printed) > 1_000 and all(re.fullmatch(r"Loud\(n=\d\) │ line \d+", line) for line in printed)
        assert re.fullmatch(r"Done in .*: 4 succeeded", lines[-1])


def test_ten_thousand_tasks_take_a_bar_and_a_line(show: Show) -> None:
    with show("tiny", "-p", "many=10_000") as terminal:
        terminal.until(lambda: len(terminal.bars) == 2)
        assert terminal.finish() == 0
        assert len(terminal.everything) == 1 and "10,000 succeeded" in terminal.lines[0]
        assert len(terminal.raw) < 100_000


def test_a_terminal_without_colour_gets_none_and_one_that_can_do_nothing_gets_plain_lines(show: Show) -> None:
    with show("good", NO_COLOR="1") as terminal:
        assert terminal.finish() == 0
        assert b"\x1b[?25l" in terminal.raw and not re.search(rb"\x1b\[[0-9;]*[34][0-7]m", bytes(terminal.raw))
    for env in ({"TERM": "dumb"}, {"CI": "1", "NO_COLOR": "1"}):
        with show("good", "--rerun", **env) as terminal:
            assert terminal.finish() == 0
            assert b"\x1b" not in terminal.raw
            assert sum(line.startswith("finished ") for line in terminal.everything) == 8


def test_without_a_terminal_a_run_of_many_tasks_is_a_few_lines(cli: Cli) -> None:
    cli.write("shown.py", TASKS)
    done = cli("run", "shown.py:tiny", "-p", "many=10_000", "--show", "none").check()
    first, last = done.err.splitlines()
    assert first.startswith("10,000 tasks to run") and last.endswith(": 10,000 succeeded")
    coloured = cli("run", "shown.py:tiny", "-p", "many=2", "-B", "--show", "none", env={"FORCE_COLOR": "1"}).check()
    assert "\x1b[32mDone in" in coloured.err and "\x1b[?25l" not in coloured.err


def test_without_a_terminal_what_tasks_print_is_cut(cli: Cli) -> None:
    cli.write("shown.py", TASKS)
    done = cli("run", "shown.py:loud", "-j", "2", "--show", "none").check()
    lines = done.err.splitlines()
    assert sum(" | line " in line for line in lines) == 400
    assert sum("… more is in its log: labtech runs logs" in line for line in lines) == 4
    assert len(lines) == 410


def test_a_run_whose_stderr_is_closed_goes_on(cli: Cli, tmp_path: Path) -> None:
    cli.write("shown.py", TASKS)
    command = " ".join([*COMMAND, "run", "shown.py:good", "2>&-"])
    done = subprocess.run(["sh", "-c", command], cwd=cli.folder, env=environment(), capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stdout.count(b"Fit") == 4
