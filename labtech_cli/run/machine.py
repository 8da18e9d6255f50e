"""What the machine lets this process use: CPUs, memory, GPUs. The limits of every cgroup above it count."""

from __future__ import annotations

import math
import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
_OPEN_FILES = "/dev/fd"
_NVIDIA = ("nvidia-smi", "-L")
_NVIDIA_SECONDS = 30
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def cpu_count() -> int:
    """The CPUs this process may use: affinity and the quotas of cgroups counted."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in cgroups("cpu"):
        for quota, period in _quotas(folder):
            count = min(count, -(-quota // period))
    return max(1, count)


def memory_size() -> int:
    """The bytes this process and all it starts may use: what the machine has, or the smallest limit above it."""
    found = _physical()
    for folder in cgroups("memory"):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            limit = _number(folder / name)
            if limit:
                found = min(found, limit)
    return found


def _physical() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # a system that does not say
        import psutil

        return int(psutil.virtual_memory().total)


def files_left() -> tuple[float, float]:
    """How many files this process may still open, and how many it may have open in all."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return math.inf, math.inf
    try:
        return limit - len(os.listdir(_OPEN_FILES)), limit
    except OSError:  # a system that does not list them
        return limit, limit


def memory_kills() -> int:
    """How many processes of this cgroup, else of this machine, were killed for want of memory."""
    for folder in cgroups("memory"):
        for name in ("memory.events", "memory.oom_control"):
            if (found := _field(folder / name, "oom_kill")) is not None:
                return found
        break  # what happens in the groups above is others' as well
    return _field(PROC / "vmstat", "oom_kill") or 0


def visible_gpus(environment: Callable[[str], str | None] = os.environ.get) -> tuple[str, ...]:
    """The GPUs there are, as CUDA_VISIBLE_DEVICES names them: by number, or by UUID."""
    said = environment(_VISIBLE)
    if said is None:
        return tuple(_installed())
    found = []
    for name in said.split(","):
        name = name.strip()
        if not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", name):  # CUDA, too, ends the list there: "-1", "NoDevFiles"
            break
        found.append(name)
    return tuple(found)


def _installed() -> list[str]:
    """What the driver's own tool lists; a GPU that is divided (MIG) stands for its parts."""
    try:
        done = subprocess.run(_NVIDIA, capture_output=True, text=True, timeout=_NVIDIA_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []  # there is no driver, or it does not answer: nothing can be handed out
    found: list[str] = []
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        if gpu := re.match(r"GPU (\d+):", line):
            found.append(gpu[1])
        elif part := re.search(r"^\s+MIG .*\(UUID: (MIG-[\w/-]+)\)", line):
            if found and found[-1].isdigit():
                found.pop()
            found.append(part[1])
    return found


def cgroups(controller: str) -> Iterator[Path]:
    """The folders of the cgroups this process is in that can limit `controller`, each before those above it."""
    for kind, named, path in _memberships():
        if not named or controller in named:
            for root, place in _mounts(kind, controller):
                yield from _upwards(place, root, path)


def _memberships() -> Iterator[tuple[str, list[str], str]]:
    """The kind of file system, the controllers (none: of the unified hierarchy) and the path, for each hierarchy."""
    for line in _lines(PROC / "self/cgroup"):
        number, names, path = (*line.split(":", 2), "", "")[:3]
        yield ("cgroup2", [], path) if number == "0" else ("cgroup", names.split(","), path)


def _mounts(kind: str, controller: str) -> Iterator[tuple[str, Path]]:
    """Where a hierarchy is mounted, and which of its groups is seen there."""
    for line in _lines(PROC / "self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, system = before.split(), after.split()
        if len(fields) < 5 or len(system) < 3 or system[0] != kind:
            continue
        if kind == "cgroup2" or controller in system[2].split(","):
            yield fields[3], Path(fields[4])


def _upwards(place: Path, root: str, path: str) -> Iterator[Path]:
    inside = PurePosixPath(path)
    if ".." in inside.parts or not inside.is_relative_to(root):  # seen from outside: the mount is all we have
        inside = PurePosixPath(root)
    below = inside.relative_to(root).parts
    for depth in range(len(below), -1, -1):
        yield place.joinpath(*below[:depth])


def _quotas(folder: Path) -> Iterable[tuple[int, int]]:
    """The microseconds of CPU per microseconds of time, where they are limited."""
    for line in _lines(folder / "cpu.max"):
        quota, _, period = line.partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota), int(period)
    quota_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    if quota_us and period_us:
        yield quota_us, period_us


def _number(file: Path) -> int | None:
    """The number that a file holds; None where it says "max", or -1, or is not there."""
    for line in _lines(file):
        return int(line) if line.isdigit() else None
    return None


def _field(file: Path, name: str) -> int | None:
    for line in _lines(file):
        if line.startswith(f"{name} "):
            return int(line.split()[1])
    return None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []  # there are no such limits here
