"""Every recipe of docs/cookbook.md is run: its Python as a script, then its commands; its output is compared."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

COOKBOOK = Path(__file__).parents[2] / "docs" / "cookbook.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
USES_DATASET = re.compile(r"\b(digits_X|datasets|clone|ClassifierMixin|np)\b")
UNFINISHED = re.compile(r"TODO|FIXME|artifact_path|fetch_openml")


@dataclass
class Recipe:
    title: str
    python: str
    printed: str
    commands: list[list[str]]


def blocks(text: str, language: str) -> list[str]:
    return [code for found, code in BLOCK.findall(text) if found == language]


def recipes() -> tuple[list[str], list[Recipe]]:
    """The Python blocks that all recipes begin with, and the recipes that have code."""
    opening, *sections = re.split(r"^##+ ", COOKBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = []
    for section in sections:
        commands = [shlex.split(line) for block in blocks(section, "sh") for line in block.splitlines()]
        code = "\n".join(blocks(section, "python"))
        if code:
            found.append(Recipe(section.splitlines()[0], code, "".join(blocks(section, "text")), commands))
    return blocks(opening, "python"), found


OPENING, RECIPES = recipes()


def run(arguments: list[str], folder: Path) -> str:
    dropped = ("LABTECH_", "MLFLOW_", "GITHUB_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_question_has_an_answer() -> None:
    assert len(OPENING) == 2
    text = COOKBOOK.read_text(encoding="utf-8")
    assert len(re.findall(r"^## .*\?$", text, flags=re.MULTILINE)) == 14
    assert len(RECIPES) == 16
    assert not UNFINISHED.search(text)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_recipe(recipe: Recipe, tmp_path: Path) -> None:
    first, dataset = OPENING
    opening = first + dataset if USES_DATASET.search(recipe.python) else first
    (tmp_path / "recipe.py").write_text(f"{opening}\n\n{recipe.python}", encoding="utf-8")
    assert run(["recipe.py"], tmp_path) == recipe.printed
    for command, *arguments in recipe.commands:
        assert command == "labtech"
        if "KEY" in arguments:
            listed = json.loads(run(["-m", "labtech_cli", "cache", "ls", "--json"], tmp_path))
            arguments[arguments.index("KEY")] = listed["results"][0]["key"][:8]
        run(["-m", "labtech_cli", *arguments], tmp_path)
