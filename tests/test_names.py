"""A module is called the same wherever it was started from."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from labtech_cli.names import canonical_module, importable_name


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A lone script and a package in a package."""
    for name in ("lone.py", "top/__init__.py", "top/mod.py", "top/sub/__init__.py", "top/sub/deep.py", "plain/mod.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("file", "name", "folder"),
    [
        ("lone.py", "lone", "."),
        ("top/mod.py", "top.mod", "."),
        ("top/sub/deep.py", "top.sub.deep", "."),
        ("top/sub/__init__.py", "top.sub", "."),
        ("top/__init__.py", "top", "."),
        ("plain/mod.py", "mod", "plain"),
    ],
)
def test_a_file_has_its_full_package_name_and_a_lone_file_its_stem(
    tree: Path, monkeypatch: pytest.MonkeyPatch, file: str, name: str, folder: str
) -> None:
    assert importable_name(tree / file) == (name, tree / folder)
    monkeypatch.chdir(tree)
    assert importable_name(Path(file)) == (name, Path(os.path.abspath(folder)))


def test_other_modules_keep_their_names() -> None:
    assert canonical_module("a.b") == "a.b"
    assert canonical_module("a.__main__") == "a.__main__"


def _main(monkeypatch: pytest.MonkeyPatch, spec: str | None = None, **attributes: object) -> None:
    main = ModuleType("__main__")
    main.__spec__ = ModuleSpec(spec, None) if spec else None
    main.__dict__.update(attributes)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


def test_a_module_run_with_m_is_called_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _main(monkeypatch, spec="pkg.mod", __file__="elsewhere.py")
    assert canonical_module("__main__") == "pkg.mod"


def test_a_package_run_with_m_is_called_as_its_file_is_imported(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    _main(monkeypatch, spec="top.__main__")
    by_spec = canonical_module("__main__")
    _main(monkeypatch, __file__=str(tree / "top" / "__main__.py"))
    assert by_spec == canonical_module("__main__") == "top.__main__"


def test_a_script_is_called_by_its_file(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    _main(monkeypatch, __file__=str(tree / "top" / "mod.py"))
    assert canonical_module("__main__") == "top.mod"


def test_a_notebook_is_called_by_its_file(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    _main(monkeypatch, __vsc_ipynb_file__=str(tree / "study.ipynb"))
    assert canonical_module("__main__") == "study"
    _main(monkeypatch)
    monkeypatch.setenv("JPY_SESSION_NAME", str(tree / "other.ipynb"))
    assert canonical_module("__main__") == "other"


def test_a_prompt_has_no_better_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _main(monkeypatch)
    assert canonical_module("__main__") == "__main__"
    _main(monkeypatch, __file__="<stdin>")
    assert canonical_module("__main__") == "__main__"
