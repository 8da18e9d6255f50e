"""`import labtech` gives labtech_cli, the same objects, unless there is a real one."""

from __future__ import annotations

import subprocess
import sys
import timeit
from pathlib import Path

import pytest

from labtech_cli import alias


def python(code: str, folder: Path) -> str:
    """What a fresh interpreter in `folder` prints."""
    done = subprocess.run(
        [sys.executable, "-c", "from labtech_cli import alias; alias.install(); " + code],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_labtech_is_the_very_same_module_and_unchanged(tmp_path: Path) -> None:
    code = (
        "import labtech, labtech_cli, sys; "
        "same = labtech is labtech_cli is sys.modules['labtech']; "
        "print(same, labtech.__name__, labtech.__spec__.name)"
    )
    assert python(code, tmp_path) == "True labtech_cli labtech_cli"


@pytest.mark.parametrize("first", ["labtech", "labtech_cli"])
def test_submodules_are_the_same_whichever_is_imported_first(tmp_path: Path, first: str) -> None:
    code = (
        f"import {first}.core.task; import labtech.core.task, labtech_cli.core.task as real; "
        "from labtech.core.task import Task; from labtech.core import task; import labtech.errors as e; "
        "import labtech_cli.errors as f; "
        "print(labtech.core.task is real, task is real, Task is real.Task, real.__spec__.name, e is f)"
    )
    assert python(code, tmp_path) == "True True True labtech_cli.core.task True"


def test_pickles_carry_the_real_name(tmp_path: Path) -> None:
    code = "import pickle; from labtech.errors import LabError; print(b'labtech_cli' in pickle.dumps(LabError))"
    assert python(code, tmp_path) == "True"


def test_a_submodule_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    assert python("import labtech.nothing", tmp_path) == "ModuleNotFoundError: No module named 'labtech.nothing'"
    assert python("import labtechnique", tmp_path) == "ModuleNotFoundError: No module named 'labtechnique'"


def test_a_real_package_wins_with_its_submodules(tmp_path: Path) -> None:
    (tmp_path / "labtech").mkdir()
    (tmp_path / "labtech" / "__init__.py").write_text("real = True")
    (tmp_path / "labtech" / "errors.py").write_text("real = True")
    assert python("import labtech.errors; print(labtech.real, labtech.errors.real)", tmp_path) == "True True"


def test_a_real_module_wins(tmp_path: Path) -> None:
    (tmp_path / "labtech.py").write_text("real = True")
    assert python("import labtech; print(labtech.real)", tmp_path) == "True"


def test_a_mere_folder_of_the_name_does_not_win(tmp_path: Path) -> None:
    (tmp_path / "labtech" / "errors").mkdir(parents=True)
    code = "import labtech.errors, labtech_cli.errors; print(labtech.errors is labtech_cli.errors)"
    assert python(code, tmp_path) == "True"


def test_installing_twice_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [item for item in sys.meta_path if not isinstance(item, alias.AliasFinder)])
    before = len(sys.meta_path)
    alias.install()
    alias.install()
    assert len(sys.meta_path) == before + 1
    assert isinstance(sys.meta_path[0], alias.AliasFinder)


def test_other_imports_pay_next_to_nothing() -> None:
    finder = alias.AliasFinder()
    assert min(timeit.repeat(lambda: finder.find_spec("numpy.linalg"), number=1000, repeat=5)) < 0.02  # 20 µs each
