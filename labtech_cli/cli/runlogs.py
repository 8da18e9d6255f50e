"""What the tasks of a run printed: chosen by type or key, written as it was."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from labtech_cli.cli.runstext import label
from labtech_cli.core.events import Outcome
from labtech_cli.errors import TargetError, did_you_mean
from labtech_cli.report import words
from labtech_cli.report.past import Past, Story
from labtech_cli.report.tables import safe


def choose(run: Past, names: Sequence[str], failed: bool) -> list[Story]:
    """The tasks that types, or beginnings of keys, name; all if none is named."""
    stories = run.stories()
    chosen: dict[str, Story] = {}
    for name in names:
        found = [story for story in stories.values() if story.type == name or story.key.startswith(name)]
        if not found:
            types = {story.type for story in stories.values()}
            raise TargetError(f"run {run.run_id} has no task '{name}'", hint=did_you_mean(name, types))
        chosen.update({story.key: story for story in found})
    tasks = chosen.values() if names else stories.values()
    return [story for story in tasks if not failed or story.outcome == Outcome.FAILED]


def write_logs(run: Past, stories: Sequence[Story], out: TextIO, tail: int | None, *, named: bool) -> None:
    """Write what tasks wrote: the bytes themselves, but made harmless on a terminal. Names go to stderr."""
    written = [story for story in stories if story.pieces]
    for story in written:
        if len(stories) > 1:
            out.flush()
            print(safe(f"==> {label(story)} ({story.key[:12]}) <=="), file=sys.stderr, flush=True)
        _write_log(run, story, out, tail)
    out.flush()
    if not written:
        what = f"{len(stories)} tasks wrote" if len(stories) != 1 else f"{label(stories[0])} wrote"
        print(safe(f"{what} nothing that was kept" if stories else "there is no such task"), file=sys.stderr)
    elif named and len(stories) > len(written):
        print(f"{words.count(len(stories) - len(written), 'task')} wrote nothing", file=sys.stderr)


def _write_log(run: Past, story: Story, out: TextIO, tail: int | None) -> None:
    if tail is None and not out.isatty():
        for piece in run.output(story):
            out.buffer.write(piece)
        return
    lines = b"".join(run.output(story)).splitlines(keepends=True)
    lines = lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]
    if out.isatty():
        for line in words.lines(b"".join(lines).decode("utf-8", "backslashreplace")):
            out.write(line + "\n")
    else:
        out.buffer.write(b"".join(lines))
