"""What the tests of the example projects share: a copy of one, and the real command run in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "example_projects"
LEFTOVERS = shutil.ignore_patterns("labtech_storage", "__pycache__", "mlflow.db", "mlruns")


@dataclass
class Ended:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    def check(self, code: int = 0) -> Ended:
        """Itself, if it ended with `code`."""
        assert self.code == code, f"exit status {self.code}, not {code}\n{self.out}\n{self.err}"
        return self

    def document(self) -> Any:
        """Its stdout as one JSON document."""
        return json.loads(self.out)

    def events(self) -> list[dict[str, Any]]:
        """Its stdout as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    def counts(self) -> dict[str, int]:
        """How many tasks had which outcome, without the outcomes that none had."""
        last = self.events()[-1]
        assert last["event"] == "run_finished"
        return {outcome: many for outcome, many in last["counts"].items() if many}


class Project:
    """A copy of an example project, and commands run in it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / name
        shutil.copytree(EXAMPLES / name, self.folder, ignore=LEFTOVERS)

    def labtech(self, *arguments: str, timeout: float = 60) -> Ended:
        """`labtech` with these arguments, as a user would run it in the project's folder."""
        return run_python("-m", "labtech_cli", *arguments, folder=self.folder, timeout=timeout)

    def python(self, *arguments: str, timeout: float = 60) -> Ended:
        return run_python(*arguments, folder=self.folder, timeout=timeout)

    def readme_commands(self) -> list[list[str]]:
        """The `labtech` commands that the README shows, without comments."""
        import shlex

        lines = (self.folder / "README.md").read_text(encoding="utf-8").splitlines()
        shown = [shlex.split(line, comments=True) for line in lines if line.startswith("    labtech ")]
        return [words[1:] for words in shown]


def clean_environment() -> Mapping[str, str]:
    """This process's environment without what would change how labtech, MLflow or a terminal behave."""
    dropped = ("LABTECH_", "MLFLOW_", "PYTEST_", "GITHUB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "PYTHONHASHSEED": "random", "NO_COLOR": "1"}


def run_python(*arguments: str, folder: Path, timeout: float = 60) -> Ended:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
