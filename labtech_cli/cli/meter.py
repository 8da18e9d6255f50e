"""How far a long command is, as a bar on a terminal; elsewhere nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_AFTER, _EVERY = 0.5, 0.1  # seconds


@contextmanager
def meter(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a function to be told of bytes that are done with. Starts no thread: a caller may fork."""
    terminal = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    if not terminal or os.environ.get("CI", "").lower() not in ("", "0", "false"):
        yield lambda many: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    progress = Progress(*columns, console=console, transient=True, auto_refresh=False, redirect_stdout=False)
    task = progress.add_task(what, total=total)
    began, shown, done = progress.get_time(), 0.0, 0

    def told(many: int) -> None:
        nonlocal shown, done
        done += many
        now = progress.get_time()
        if now - began < _AFTER or now - shown < _EVERY:
            return
        if not shown:
            progress.start()
        shown = now
        progress.update(task, completed=done)
        progress.refresh()

    try:
        yield told
    finally:
        progress.stop()
