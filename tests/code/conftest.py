"""A fixture that fingerprints a project written on the spot."""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from labtech_cli.code import fingerprint as code
from labtech_cli.code.fingerprint import Fingerprint

_numbers = itertools.count()


class Write:
    """Writes projects, each in a folder of its own, and fingerprints the task type `T` of `exp.py`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.folder = folder

    def __call__(self, exp: str, /, **files: str) -> Fingerprint:
        """Files beside `exp.py` are named `pkg__mod` for `pkg/mod.py`."""
        self.write(exp, **files)
        return code.fingerprint_of("exp", "T")

    def write(self, exp: str, /, **files: str) -> None:
        self.close()
        self.folder = self.root / f"p{next(_numbers)}"
        for name, text in {"exp": exp, **files}.items():
            path = self.folder / (name.replace("__", "/").replace("INIT", "__init__") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), "utf-8")
        sys.path.insert(0, str(self.folder))
        code.forget()

    def close(self) -> None:
        sys.path[:] = [item for item in sys.path if item != str(self.folder)]
        for name, module in list(sys.modules.items()):
            if str(self.root) in str(getattr(module, "__file__", "") or getattr(module, "__path__", "")):
                del sys.modules[name]
        code.forget()


@pytest.fixture
def fp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write = Write(tmp_path)
    yield write
    write.close()
