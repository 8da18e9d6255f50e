"""Who uses a storage, and whether they still live.

An owner on this machine lives as long as its process does: its pid, with the time that process was
started, so that another process with the same pid is not taken for it. Of an owner elsewhere only its
beat is seen: it counts as dead once its beat has not changed for `SILENCE` seconds by *our* clock, so
clocks need not agree. To be wrong about a death costs double work, never a wrong result.
"""

from __future__ import annotations

import os
import platform
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from labtech_cli.store.records import Owner

BEAT_SECONDS = 5.0
SILENCE = 30.0


def this_host() -> str:
    """The machine, or the container, in which pids of this process mean something.

    `LABTECH_HOST` names it where several machines would otherwise look the same.
    """
    named = os.environ.get("LABTECH_HOST")
    if named:
        return named
    boot, space = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    return "-".join(part for part in (platform.node(), boot, space) if part)


def born(pid: int) -> str | None:
    """When a process of this machine was started, in a form to compare; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except FileNotFoundError:
        if os.path.exists("/proc/self/stat"):
            return None
    except OSError:
        return None
    else:
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    import psutil  # no /proc here

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def new_owner() -> Owner:
    """This process as an owner; each call is another one."""
    pid = os.getpid()
    return Owner(uuid.uuid4().hex, this_host(), pid, born(pid) or "", time.time(), 0)


class Watch:
    """Tells dead owners from live ones, remembering when each beat was first seen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._host = this_host()
        self._seen: dict[str, tuple[int, float]] = {}

    def lives(self, owner: Owner) -> bool:
        """Whether the owner may still be at work."""
        if owner.host == self._host:
            return born(owner.pid) == owner.born
        beat, since = self._seen.get(owner.id, (None, 0.0))
        now = self._clock()
        if beat != owner.beat:
            self._seen[owner.id] = owner.beat, now
            return True
        return now - since < SILENCE
