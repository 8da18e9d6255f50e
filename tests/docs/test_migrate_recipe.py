"""The cookbook's story of a class that moves and changes, told again by its files and commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

COOKBOOK = Path(__file__).parents[2] / "docs" / "cookbook.md"
SECTION = COOKBOOK.read_text(encoding="utf-8").partition("\n### Letting the results follow\n")[2].partition("\n## ")[0]
STEP = re.compile(r"^```(python \S+|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def labtech(line: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LABTECH_", "GITHUB_"))}
    done = subprocess.run(
        [sys.executable, "-m", "labtech_cli", *shlex.split(line)[1:]],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and "warning" not in done.stderr, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def executed(line: str, folder: Path) -> dict[str, int]:
    """Run with a `labtech run` line; how many tasks had which outcome."""
    events = [json.loads(text) for text in labtech(f"{line} --json", folder).splitlines()]
    assert not [event["message"] for event in events if event["event"] == "warning"]
    (counts,) = [event["counts"] for event in events if "counts" in event]
    return {name: many for name, many in counts.items() if many}


def results(folder: Path) -> set[str]:
    rows = json.loads(labtech("labtech cache ls --json", folder))["results"]
    return {row["key"] for row in rows}


@pytest.mark.slow
def test_nothing_is_computed_again_after_each_change_and_undo_restores(tmp_path: Path) -> None:
    runs: list[dict[str, int]] = []
    first: set[str] = set()
    for kind, text in STEP.findall(SECTION):
        if kind != "console":
            (tmp_path / kind.partition(" ")[2]).write_text(text, encoding="utf-8")
            continue
        for line in [line[2:] for line in text.splitlines() if line.startswith("$ ")]:
            if line.startswith("labtech run "):
                runs.append(executed(line, tmp_path))
                first = first or results(tmp_path)
            else:
                labtech(line, tmp_path)
    assert runs == [{"succeeded": 3}, {"loaded": 1}, {"loaded": 1}, {"loaded": 1}]
    assert results(tmp_path) == first and len(first) == 3


def test_the_story_has_all_its_steps() -> None:
    assert len(STEP.findall(SECTION)) == 10
    assert SECTION.count("cache migrate --undo\n") == SECTION.count("--yes\n") == 5
