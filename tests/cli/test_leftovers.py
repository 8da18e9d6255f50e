"""What a killed run leaves in a storage goes with the next command that writes to it, and with no other."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_kit import Cli

from labtech_cli.lab import open_storage

MODULE = """
import labtech_cli as labtech

@labtech.task
class T:
    n: int
    def run(self):
        return b"x" * 200_000

ts = [T(n) for n in range(3)]
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from labtech_cli.lab import open_storage
storage = open_storage(sys.argv[1])
storage.enter([])
with storage.claiming() as claim:
    claim("a" * 32, True)
(Path(storage.spool()) / "half").write_bytes(b"half of it")
os.kill(os.getpid(), signal.SIGKILL)
"""
WRITES = ["rm T --yes", "gc --older-than 100d --yes", "verify --repair", "migrate left.T left.U --yes"]


def left(folder: Path) -> list[str]:
    """What lies in a storage beside its results: files of runs, and rows of the database that tell of them."""
    places = [item for name in ("spool", "runs", "leases") for item in (folder / name).rglob("*")]
    found = [str(item.relative_to(folder)) for item in places if item.is_file()]
    if (folder / "labtech.db").exists():
        database = open_storage(str(folder))._database  # type: ignore[attr-defined]
        found += [name for name in ("owner", "lease", "litter") for _ in database.select(f"SELECT * FROM {name}")]
    return found


@pytest.fixture(params=["", "file://"], ids=["local", "file"])
def killed(cli: Cli, request: pytest.FixtureRequest) -> Cli:
    """Three results, and what a killed run left."""
    where = f"{request.param}{cli.folder / 'kept'}"
    cli.write("left.py", MODULE)
    cli.write("labtech.toml", f'[lab]\nstorage = "{where}"\n')
    cli("run", "left.py:ts", "--runner", "serial", "--show", "none").check()
    assert left(cli.folder / "kept") == []
    ended = subprocess.run([sys.executable, "-c", KILLED, where], stdin=subprocess.DEVNULL, check=False)
    assert ended.returncode == -signal.SIGKILL and len(left(cli.folder / "kept")) >= 3
    return cli


@pytest.mark.parametrize("command", [*[f"cache {rest}" for rest in WRITES], "run left.py:ts"])
def test_a_command_that_writes_sweeps_what_a_killed_one_left(killed: Cli, command: str) -> None:
    killed(*command.split()).check()
    assert left(killed.folder / "kept") == []


def test_a_copy_sweeps_the_storage_it_writes_to_and_changes_nothing_in_the_other(killed: Cli) -> None:
    before = left(killed.folder / "kept")
    killed("cache", "copy", "--to", "other").check()
    assert left(killed.folder / "kept") == before
    killed(
        "cache", "copy", "--from", "other", "--to", (killed.folder / "labtech.toml").read_text().split('"')[1]
    ).check()
    assert left(killed.folder / "kept") == [] == left(killed.folder / "other")


@pytest.mark.parametrize("command", ["plan left.py:ts", "cache ls", "cache verify", "cache rm T --dry-run"])
def test_a_command_that_reads_writes_nothing(killed: Cli, command: str) -> None:
    before = left(killed.folder / "kept")
    killed(*command.split()).check()
    assert left(killed.folder / "kept") == before
