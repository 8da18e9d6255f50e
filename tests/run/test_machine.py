"""What the machine gives: CPUs, memory and GPUs, with every limit above this process."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psutil
import pytest

from labtech_cli.run import machine
from labtech_cli.run.machine import cgroups, cpu_count, memory_kills, memory_size, visible_gpus


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc that says what a test writes there."""
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def unified(proc: Path, path: str = "/a/b", root: str = "/") -> Path:
    """One hierarchy of cgroups, version 2, in which this process is at `path`."""
    write(proc / "proc/self/cgroup", f"0::{path}\n")
    mount = f"36 25 0:31 {root} {proc}/cg rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
    write(proc / "proc/self/mountinfo", f"22 1 8:1 / / rw - ext4 /dev/sda rw\n{mount}")
    (proc / "cg").mkdir(exist_ok=True)
    return proc / "cg"


def test_without_cgroups_it_is_what_the_machine_has(proc: Path) -> None:
    assert list(cgroups("memory")) == []
    assert memory_size() == psutil.virtual_memory().total
    assert cpu_count() == len(os.sched_getaffinity(0)) and memory_kills() == 0


def test_the_smallest_limit_above_counts(proc: Path) -> None:
    cg = unified(proc)
    assert list(cgroups("memory")) == [cg / "a/b", cg / "a", cg]
    write(cg / "a/b/memory.max", "max\n")
    write(cg / "a/memory.max", "3000000\n")
    assert memory_size() == 3_000_000
    write(cg / "a/b/memory.high", "2000000\n")
    assert memory_size() == 2_000_000


def test_cpu_quotas_count_at_every_level(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(16))
    cg = unified(proc)
    write(cg / "a/b/cpu.max", "max 100000\n")
    assert cpu_count() == 16
    write(cg / "a/cpu.max", "250000 100000\n")
    assert cpu_count() == 3
    write(cg / "a/b/cpu.max", "10000 100000\n")
    assert cpu_count() == 1


def test_the_older_hierarchies_are_read_too(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(16))
    write(proc / "proc/self/cgroup", "4:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/\n")
    mounts = [
        f"{n} 25 0:{n} / {proc}/{name} rw - cgroup cgroup rw,{name}\n" for n, name in ((40, "memory"), (41, "cpu"))
    ]
    write(proc / "proc/self/mountinfo", "".join(mounts))
    write(proc / "memory/box/memory.limit_in_bytes", "9223372036854771712\n")
    assert memory_size() == psutil.virtual_memory().total
    write(proc / "memory/memory.limit_in_bytes", "5000000\n")
    write(proc / "memory/box/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    write(proc / "cpu/box/cpu.cfs_quota_us", "150000\n")
    write(proc / "cpu/box/cpu.cfs_period_us", "100000\n")
    assert (memory_size(), memory_kills(), cpu_count()) == (5_000_000, 4, 2)
    write(proc / "cpu/box/cpu.cfs_quota_us", "-1\n")
    assert cpu_count() == 16


@pytest.mark.parametrize(("path", "root"), [("/docker/x", "/docker/x"), ("/../../y", "/"), ("/elsewhere", "/docker/x")])
def test_in_a_container_the_mount_is_the_group(proc: Path, path: str, root: str) -> None:
    cg = unified(proc, path, root)
    write(cg / "memory.max", "7000\n")
    assert list(cgroups("memory")) == [cg] and memory_size() == 7000


def test_kills_are_counted_in_the_own_group_else_for_the_machine(proc: Path) -> None:
    write(proc / "proc/vmstat", "pgfault 7\noom_kill 3\n")
    assert memory_kills() == 3
    cg = unified(proc)
    write(cg / "a/memory.events", "low 0\noom 9\noom_kill 9\noom_group_kill 0\n")
    assert memory_kills() == 3, "those of the group above are others' as well"
    write(cg / "a/b/memory.events", "oom 2\noom_kill 2\n")
    assert memory_kills() == 2


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("0,2", ("0", "2")),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("1,-1,2", ("1",)),
        (" GPU-8932f937-d72c, MIG-GPU-8932/1/0", ("GPU-8932f937-d72c", "MIG-GPU-8932/1/0")),
    ],
)
def test_gpus_are_those_that_are_visible(said: str, found: tuple[str, ...]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": said}.get) == found


def driver(folder: Path, says: str, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> None:
    """A tool of the driver that says this."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{says}END\nexit {status}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_else_the_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(
        tmp_path,
        "GPU 0: NVIDIA H200 (UUID: GPU-aa)\nGPU 1: NVIDIA H200 (UUID: GPU-bb)\n"
        "  MIG 1g.18gb     Device  0: (UUID: MIG-cc)\n  MIG 1g.18gb     Device  1: (UUID: MIG-dd)\n"
        "GPU 2: NVIDIA H200 (UUID: GPU-ee)\n",
        monkeypatch,
    )
    assert visible_gpus({}.get) == ("0", "MIG-cc", "MIG-dd", "2")


def test_a_driver_that_fails_has_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, "NVIDIA-SMI has failed\n", monkeypatch, status=9)
    assert visible_gpus({}.get) == ()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert visible_gpus({}.get) == ()
