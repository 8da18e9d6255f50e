"""The runs of a storage: by whom and where their history is kept, and which of them live."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from labtech_cli._version import __version__
from labtech_cli.core.events import Event, Outcome, Warned
from labtech_cli.report.history import SCHEMA, HistoryWriter
from labtech_cli.report.past import Past, past_run, past_runs, run_names
from labtech_cli.run.origin import command_line, user_name
from labtech_cli.store.owners import born, this_host
from labtech_cli.store.storage import Storage

KEEP_RUNS = 1000
_SILENCE = 60.0  # seconds without a sign of life, after which a run of another machine is not taken to live
_LOOK_BACK = 200  # runs that are searched for what failed
_AT_ONCE = 50  # runs removed at the beginning of one: bounds how long that takes


def keeper(
    storage: Storage, run_id: str, keep: int, emit: Callable[[Event], None], *, executes: bool
) -> HistoryWriter | None:
    """Who writes down a run that begins; None where no history is kept. Makes room by removing the oldest runs.

    A history that cannot be written is a warning; none where nothing else is written, as on a storage that is
    only read.
    """
    folder = storage.history()
    if folder is None or keep < 1:
        return None
    _make_room(folder, keep - 1)
    about: dict[str, Any] = {
        "schema": SCHEMA,
        "run_id": run_id,
        "status": "running",
        "argv": command_line(),
        "folder": os.getcwd(),
        "host": platform.node(),
        "pid": os.getpid(),
        "user": user_name(),
        "labtech": __version__,
        "process": {"host": this_host(), "born": born(os.getpid())},
    }

    def warn(error: OSError) -> None:
        if executes or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = (error.strerror or str(error)).lower()
            emit(Warned(run_id, time.time(), f"the history of this run cannot be written in '{folder}': {reason}"))

    return HistoryWriter(folder / run_id, about, warn)


def status(run: Past) -> str:
    """`running`, `succeeded`, `failed` or `interrupted`; of one that never said how it ended, `died` where
    its process is known to be gone, and `unknown` where another machine's has not been heard of."""
    said = run.about.get("status")
    if said in ("succeeded", "failed", "interrupted"):
        return str(said)
    process, pid = run.about.get("process"), run.about.get("pid")
    if not isinstance(process, dict) or type(pid) is not int:
        return "died" if time.time() - run.beat() > _SILENCE else "unknown"
    if process.get("host") == this_host():
        return "running" if born(pid) == process.get("born") else "died"
    return "running" if time.time() - run.beat() < _SILENCE else "unknown"


def failed_last(folder: Path, keys: Iterable[str]) -> tuple[set[str], bool]:
    """Those of `keys` that failed, or were skipped because another did, when they were last run; and whether
    the history knows any of them. Each task has a last run of its own: what was cancelled, or was running when
    its run died, says nothing."""
    failed: set[str] = set()
    wanted = set(keys)
    many = len(wanted)
    for run in islice(past_runs(folder), _LOOK_BACK):
        for key, outcome in run.outcomes().items():
            if key in wanted and outcome != Outcome.CANCELLED:
                wanted.discard(key)
                if outcome in (Outcome.FAILED, Outcome.SKIPPED):
                    failed.add(key)
        if not wanted:
            break
    return failed, len(wanted) < many


def _make_room(folder: Path, most: int) -> None:
    """Remove the oldest runs beyond `most`, but none that may be alive."""
    for name in run_names(folder)[most:][-_AT_ONCE:]:
        if status(past_run(folder, name)) != "running":
            shutil.rmtree(folder / name, ignore_errors=True)
