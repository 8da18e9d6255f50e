"""What the tests of the command line share: the real command, run in a folder, and its documents checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
SECONDS = 60.0
COMMAND = [sys.executable, "-m", "labtech_cli"]

EXPERIMENTS = '''\
import os
from enum import Enum

import labtech_cli as labtech

print("printed on import")
os.write(1, b"written on import\\n")


class Kind(Enum):
    SMALL = 1
    LARGE = 2


@labtech.task
class Add:
    """Add one."""

    n: int
    kind: Kind = Kind.SMALL

    def run(self):
        with open("ran.txt", "a") as file:
            file.write(f"Add {self.n}\\n")
        return self.n + 1


@labtech.task(code_version="v2")
class Total:
    parts: list[Add]
    scale: float = 1.0

    def run(self):
        return {"sum": sum(part.result for part in self.parts) * self.scale, "parts": len(self.parts)}


@labtech.task
class Odd:
    n: int

    def run(self):
        if self.n % 2:
            raise ValueError(f"{self.n} is odd")
        return self.n


@labtech.task
class AfterOdd:
    odd: Odd

    def run(self):
        return self.odd.result


adds = [Add(n) for n in range(4)]
total = Total(adds)
after = [AfterOdd(Odd(n)) for n in range(4)]


def many(count: int = 3, kind: Kind = Kind.LARGE):
    """Some additions."""
    return [Add(n, kind) for n in range(count)]
'''


@dataclass
class Ended:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    def check(self, code: int = 0) -> Ended:
        """Itself, if it ended with `code` and without a traceback of ours."""
        assert self.code == code, f"exit status {self.code}, not {code}\n{self.out}\n{self.err}"
        assert "labtech_cli/cli/" not in self.err, self.err
        return self

    def document(self) -> Any:
        """Its stdout as one JSON document, checked against the schema that it names."""
        return checked(json.loads(self.out))

    def lines(self) -> list[Any]:
        """Its stdout as a JSON document a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    def events(self) -> list[dict[str, Any]]:
        """Its stdout as the events of a run, checked against their schema."""
        return [checked(line) for line in self.lines()]

    def counts(self) -> dict[str, int]:
        """How many tasks had which outcome, without the outcomes that none had."""
        last = self.events()[-1]
        assert last["event"] == "run_finished"
        return {outcome: many for outcome, many in last["counts"].items() if many}

    def error(self, code: int = 2) -> str:
        """The paragraph that says what is wrong: one, on stderr, in lower case; stdout is empty."""
        self.check(code)
        assert self.out == ""
        told = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(told) == 1, self.err
        text = told[0].removeprefix("error: ")
        assert text and (not text[0].isupper() or text.startswith("LABTECH_")), text
        assert not text.endswith("."), text
        return text


class Cli:
    """A folder, and the command run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def __call__(self, *arguments: str, env: Mapping[str, str | None] | None = None, cwd: Path | None = None) -> Ended:
        """`labtech` with these arguments, as a user would run it in the folder."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=cwd or self.folder,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, running, in a session of its own; `finish` waits for it."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def head(self, *arguments: str) -> tuple[int, str, str]:
        """`labtech ... | head -c 1`: the command's exit status, what was read, and its stderr."""
        process = self.start(*arguments)
        assert process.stdout is not None and process.stderr is not None
        try:
            first = os.read(process.stdout.fileno(), 1).decode()
            process.stdout.close()
            told = process.stderr.read()
            return process.wait(SECONDS), first, told
        finally:
            process.kill()
            process.stderr.close()


def finish(process: subprocess.Popen[str], seconds: float = SECONDS) -> Ended:
    """Wait for a command that was started; kill it if it does not end."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


def wait_until(true: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait until something holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.02)


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment without what would change how labtech or a terminal behave."""
    dropped = ("LABTECH_", "MLFLOW_", "PYTEST_", "GITHUB_", "COV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    for name in ("NO_COLOR", "FORCE_COLOR", "CI", "COLUMNS", "TERM"):
        kept.pop(name, None)
    for name, value in (changes or {}).items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    return kept


@cache
def validator(name: str) -> Any:
    """The validator of a schema such as `labtech.plan/1`."""
    import jsonschema

    schema = json.loads((SCHEMAS / f"{name.replace('/', '.')}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def checked(document: Any) -> Any:
    """The document, if it is as the schema that it names says."""
    validator(document["schema"]).validate(document)
    return document
