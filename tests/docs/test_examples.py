"""The Python and the commands of the README and the guide work as they are written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")


def blocks(text: str, info: str) -> list[str]:
    return [code for found, code in BLOCK.findall(text) if found == info]


def consoles(text: str) -> list[tuple[str, int]]:
    """The `$ labtech` lines of console blocks, and the status each is to end with (```console exit 2)."""
    found = []
    for info, code in BLOCK.findall(text):
        kind, _, status = info.partition(" exit ")
        if kind == "console":
            found += [(line[2:], int(status or 0)) for line in code.splitlines() if line.startswith("$ labtech ")]
    return found


def run(arguments: list[str], folder: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    dropped = ("LABTECH_", "MLFLOW_", "GITHUB_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr or status == 1
    return done


def labtech(line: str, folder: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command line that begins with `labtech`."""
    command, *arguments = shlex.split(line)
    assert command == "labtech"
    return run(["-m", "labtech_cli", *arguments], folder, status)


@pytest.mark.slow
def test_the_guide_works_from_top_to_bottom(tmp_path: Path) -> None:
    code = "\n\n".join(blocks(GUIDE, "python"))
    (tmp_path / "experiments.py").write_text(code, encoding="utf-8")
    lines = consoles(GUIDE)
    assert len(blocks(GUIDE, "python")) >= 8 and len(lines) >= 30
    run(["experiments.py"], tmp_path)
    run(["-c", "import experiments"], tmp_path)
    for line, status in lines:
        labtech(line, tmp_path, status)


@pytest.mark.slow
def test_the_configuration_in_the_guide_is_valid(tmp_path: Path) -> None:
    (tmp_path / "experiments.py").write_text("\n\n".join(blocks(GUIDE, "python")), encoding="utf-8")
    (tmp_path / "labtech.toml").write_text("\n".join(blocks(GUIDE, "toml")), encoding="utf-8")
    labtech("labtech config show --profile small", tmp_path)
    shown = labtech("labtech run experiments.py:lookups", tmp_path).stdout  # with the loader
    assert "3.14159" in shown
    labtech("labtech plan report", tmp_path)


@pytest.mark.slow
def test_the_readme_works(tmp_path: Path) -> None:
    labtech("labtech init demo", tmp_path)
    folder = tmp_path / "demo"
    (code,) = blocks(README, "python")
    written = (folder / "experiments.py").read_text(encoding="utf-8")
    assert code.strip() in written  # what init writes, without its docstring
    (folder / "experiments.py").write_text(code, encoding="utf-8")
    run(["-c", "import experiments; assert experiments.summary"], folder)
    inline = re.findall(r"`(labtech (?:run|plan|results|cache) [^`]*)`", README)
    plain = [line for block in blocks(README, "") for line in block.splitlines() if line.startswith("labtech ")]
    assert len(inline) >= 5 and plain
    for line in [*inline, *plain]:
        labtech(line if " rm " not in line else f"{line} --yes", folder)
    (script,) = blocks(README, "python notest")
    (folder / "use.py").write_text(f"import labtech_cli as labtech\nfrom experiments import estimates\n{script}")
    run(["use.py"], folder)


@pytest.mark.parametrize("name", ["README.md", "docs/guide.md", "docs/reference.md"])
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        file = page.parent / path if path else page
        assert file.exists(), path
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor[1:] in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, anchor
