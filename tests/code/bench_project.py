"""A project written to a folder, imported, run and fingerprinted in this process, again and again."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus import TASKS

from labtech_cli.code import fingerprint as code
from labtech_cli.core.task import attach

MODULES = ("steps", "plain", "pkg", "aside", "other", "new")


class Bench:
    """The project in a folder; `edited` changes one file for a while."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder = folder
        self.files = files
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
            os.utime(folder / path, (1, 1))

    @contextlib.contextmanager
    def edited(self, path: str, text: str) -> Iterator[None]:
        """With another text in one file."""
        file = self.folder / path
        file.write_bytes(text.encode("latin-1" if "latin-1" in text[:40] else "utf-8"))
        os.utime(file, (1, 1))  # as old as files are that nobody edits while they are in use
        try:
            yield
        finally:
            if path in self.files:
                file.write_text(self.files[path], "utf-8")
                os.utime(file, (1, 1))
            else:
                file.unlink()

    def load(self) -> dict[str, Any]:
        """The task types, imported anew."""
        for name in [name for name in sys.modules if name.partition(".")[0] in MODULES]:
            del sys.modules[name]
        importlib.invalidate_caches()
        code.forget()
        importlib.import_module("pkg.plugins")
        return {name: getattr(importlib.import_module(module), name) for name, module in TASKS.items()}

    def digests(self) -> dict[str, str]:
        """The digests of all task types, read from the files alone."""
        return {name: code.fingerprint_of(module, name).digest for name, module in TASKS.items()}


class _Results:
    def result(self, task: Any) -> Any:
        return task.run()

    def result_meta(self, task: Any) -> Any: ...
    def context(self, task: Any) -> Any: ...


def outputs(types: dict[str, Any]) -> dict[str, str]:
    """What tasks of each type compute, for a few parameters: text, or the error."""
    found: dict[str, list[str]] = {name: [] for name in types}
    for seed in (0, 1, 5, 9):
        makers = {
            "Train": lambda seed=seed: types["Train"](seed=seed),
            "Score": lambda seed=seed: types["Score"](_given(types, seed), "mean" if seed else "last"),
            "Report": lambda seed=seed: types["Report"](_score(types, seed), wide=bool(seed)),
            "Solo": lambda seed=seed: types["Solo"](x=seed),
        }
        for name, make in makers.items():
            if name in types:
                found[name].append(_said(make))
        if types:
            metric = ["other", "range", "first"][seed % 3]
            found["Score"].append(_said(lambda seed=seed, metric=metric: types["Score"](_given(types, seed), metric)))
    return {name: repr(said) for name, said in found.items()}


def _given(types: dict[str, Any], seed: int) -> Any:
    return types["Train"](seed)


def _score(types: dict[str, Any], seed: int) -> Any:
    return types["Score"](types["Train"](seed))


def _said(make: Any) -> str:
    """What a task returns or raises; an edit may have made a loop endless."""
    signal.signal(signal.SIGVTALRM, _late)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.1)
    try:
        task = make()
        attach(task, _Results())
        return repr(task.run())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _late(*_: object) -> None:
    raise TimeoutError
