"""Importing the user's module: under the right name, and with errors that say what to do."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labtech_cli.errors import RunInterrupted, TargetError
from labtech_cli.project.modules import ModulePlace, import_place, import_target_module, place_of
from labtech_cli.project.usercode import UserCodeError, blame


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path, finders = list(sys.path), list(sys.meta_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:], sys.meta_path[:] = path, finders
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in str(getattr(module, "__file__", "")) or name.startswith("um_"):
            del sys.modules[name]


def write(file: Path, text: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def refusal(spec: str, base: Path) -> TargetError:
    with pytest.raises(TargetError) as caught:
        import_target_module(spec, base)
    return caught.value


def test_a_lone_file_is_imported_under_its_stem_and_its_folder_goes_to_the_front_of_the_path_once(
    project: Path,
) -> None:
    write(project / "sub" / "um_lone.py", "x = 1")
    module = import_target_module("sub/um_lone.py", project)
    assert (module.__name__, module.x) == ("um_lone", 1)
    assert sys.path[0] == str(project / "sub")
    assert import_target_module("sub/um_lone.py", project) is module
    assert sys.path.count(str(project / "sub")) == 1


def test_a_file_inside_a_package_is_imported_under_its_full_name(project: Path) -> None:
    write(project / "um_pkg" / "__init__.py")
    write(project / "um_pkg" / "inner" / "__init__.py")
    write(project / "um_pkg" / "inner" / "exp.py")
    module = import_target_module("um_pkg/inner/exp.py", project)
    assert module.__name__ == "um_pkg.inner.exp"
    assert sys.path[0] == str(project)
    assert import_target_module("um_pkg/__init__.py", project).__name__ == "um_pkg"


def test_a_dotted_name_is_found_from_the_base_folder(project: Path) -> None:
    write(project / "um_dotted" / "__init__.py")
    write(project / "um_dotted" / "exp.py", "x = 2")
    assert import_target_module("um_dotted.exp", project).x == 2


def test_an_absolute_path_and_a_name_that_is_no_identifier_work(project: Path) -> None:
    file = write(project / "01-um_first.py", "x = 3")
    assert import_target_module(str(file), Path("/")).x == 3


def test_a_module_can_be_imported_again_from_its_place_elsewhere(project: Path) -> None:
    write(project / "um_placed" / "__init__.py")
    write(project / "um_placed" / "exp.py", "x = 4")
    place = place_of(import_target_module("um_placed/exp.py", project))
    assert place == ModulePlace("um_placed.exp", str(project))
    assert place_of(sys.modules["um_placed"]) == ModulePlace("um_placed", str(project))
    assert pickle.loads(pickle.dumps(place)) == place
    code = (
        "from labtech_cli.project.modules import ModulePlace, import_place; "
        f"print(import_place(ModulePlace({place.name!r}, {place.folder!r})).x)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True).stdout == "4\n"


def test_a_namespace_package_and_a_builtin_module_have_places_too(project: Path) -> None:
    (project / "um_space" / "deep").mkdir(parents=True)
    assert place_of(import_target_module("um_space.deep", project)) == ModulePlace("um_space.deep", str(project))
    assert place_of(sys) == ModulePlace("sys", "")
    assert import_place(ModulePlace("sys", "")) is sys


def test_the_worker_half_is_light() -> None:
    heavy = {"typer", "rich", "frozendict", "tomllib"}
    code = f"import sys, labtech_cli.project.modules; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_a_missing_file_names_the_nearest_one_in_the_folder(project: Path) -> None:
    write(project / "um_evaluation.py")
    error = refusal("um_evaluatoin.py", project)
    assert error.message == f"there is no file 'um_evaluatoin.py' in {project}"
    assert error.hint == "did you mean 'um_evaluation.py'?"
    assert error.exit_status == 2


def test_a_missing_folder_an_empty_one_and_a_folder_are_told_apart(project: Path) -> None:
    assert refusal("nowhere/um.py", project).message.endswith("the folder nowhere does not exist")
    (project / "empty").mkdir()
    assert refusal("empty/um.py", project).hint == "there are no Python files in that folder"
    assert refusal("./empty", project).message == "'./empty' is a folder, not a Python file"


def test_a_file_that_is_not_python_is_refused(project: Path) -> None:
    write(project / "um_notes.txt")
    error = refusal("um_notes.txt", project)
    assert error.message == "'um_notes.txt' is not a Python file"
    assert "ends in .py" in str(error)
    assert "neither a Python file nor the name of a module" in str(refusal("what is this", project))


def test_a_file_with_a_dot_in_its_name_is_refused(project: Path) -> None:
    write(project / "um_exp.v2.py")
    assert str(refusal("um_exp.v2.py", project)) == (
        "'um_exp.v2.py' has a dot in its name, so Python cannot import it; rename it without dots"
    )


@pytest.mark.parametrize("name", ["json", "random", "sys", "pytest", "colorsys"])
def test_a_file_called_like_an_existing_module_is_refused_naming_both(project: Path, name: str) -> None:
    write(project / f"{name}.py")
    error = refusal(f"{name}.py", project)
    assert f"its module name '{name}' is taken, {name}.py against " in error.message
    assert error.message.endswith(("Python itself", f"/{name}.py", "/__init__.py"))
    assert str(project) not in sys.path


def test_two_files_of_one_name_collide(project: Path) -> None:
    write(project / "a" / "um_twin.py")
    write(project / "b" / "um_twin.py")
    import_target_module("a/um_twin.py", project)
    assert refusal("b/um_twin.py", project).message.endswith(f"b/um_twin.py against {project}/a/um_twin.py")


def test_a_package_beside_a_file_of_its_name_hides_it(project: Path) -> None:
    write(project / "um_hidden" / "__init__.py")
    write(project / "um_hidden.py")
    assert "um_hidden/__init__.py" in refusal("um_hidden.py", project).message


def test_a_syntax_error_names_file_line_and_message(project: Path) -> None:
    write(project / "um_syntax.py", "x = 1\nif x\n    y\n")
    error = refusal("um_syntax.py", project)
    assert str(error) == "um_syntax.py:2: syntax error: expected ':'; correct um_syntax.py:2"
    write(project / "um_uses_syntax.py", "import um_syntax")
    assert "um_syntax.py:2: syntax error" in str(refusal("um_uses_syntax.py", project))


def test_a_file_that_is_not_text_is_an_error_and_not_a_crash(project: Path) -> None:
    (project / "um_latin.py").write_bytes(b"x = '\xe9'\n")
    (project / "um_null.py").write_bytes(b"x = 1\0\n")
    assert "um_latin.py" in str(refusal("um_latin.py", project))
    assert "um_null.py" in str(refusal("um_null.py", project))


def test_a_module_that_raises_names_the_exception_and_the_line(project: Path) -> None:
    write(project / "um_helper.py", "def fit():\n    raise ValueError('no such set\\nmore')\n")
    write(project / "um_raises.py", "import um_helper\n\num_helper.fit()\n")
    error = refusal("um_raises.py", project)
    assert isinstance(error, UserCodeError)
    assert error.message == "'um_raises.py' failed on import with ValueError: no such set (um_helper.py:2)"
    lines = error.user_traceback.splitlines()
    assert lines[:2] == [
        "Traceback (most recent call last):",
        f'  File "{project}/um_raises.py", line 3, in <module>',
    ]
    assert "importlib" not in error.user_traceback
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.user_traceback) == (str(error), error.user_traceback)


def test_an_exception_that_cannot_be_printed_is_still_named(project: Path) -> None:
    write(project / "um_mute.py", "class Bad(BaseException):\n    def __str__(self): return 1/0\nraise Bad\n")
    assert "failed on import with Bad (um_mute.py:3)" in refusal("um_mute.py", project).message


def test_a_module_that_exits_is_told_where_to_put_that(project: Path) -> None:
    write(project / "um_exits.py", "import sys\nsys.exit(3)\n")
    assert str(refusal("um_exits.py", project)) == (
        "'um_exits.py' called sys.exit(3) on import (um_exits.py:2); put that under if __name__ == '__main__'"
    )


def test_ctrl_c_on_import_stays_ctrl_c(project: Path) -> None:
    write(project / "um_stopped.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        import_target_module("um_stopped.py", project)
    with pytest.raises(RunInterrupted):
        blame(RunInterrupted("stopped"), "it", "on import", "")


def test_a_labtech_error_keeps_its_words_and_gains_the_line(project: Path) -> None:
    write(project / "um_norun.py", "from labtech_cli.core.decorate import task\n\n@task\nclass T:\n    x: int\n")
    error = refusal("um_norun.py", project)
    assert error.message == "'um_norun.py' is wrong (um_norun.py:3): task type 'T' has no run() method"
    assert error.hint == "define run(self), which returns the result"
    assert not isinstance(error, UserCodeError)


def test_a_missing_module_is_told_from_a_missing_import_of_it(project: Path) -> None:
    write(project / "um_train.py", "\nimport um_numpyy.linalg\n")
    assert str(refusal("um_trian", project)) == "there is no module 'um_trian'; did you mean 'um_train'?"
    error = refusal("um_train", project)
    assert error.message == "module 'um_train' imports 'um_numpyy', which is not installed (um_train.py:2)"
    assert isinstance(error, UserCodeError) and "import um_numpyy" in error.user_traceback


def test_a_missing_submodule_names_the_nearest_and_an_attribute_its_colon(project: Path) -> None:
    write(project / "um_parent" / "__init__.py", "tasks = []")
    write(project / "um_parent" / "training.py", "sweep = []")
    assert refusal("um_parent.trainin", project).hint == "did you mean 'um_parent.training'?"
    assert refusal("um_parent.training.sweep", project).hint == "did you mean 'um_parent.training:sweep'?"
    assert refusal("um_parent.training.other", project).hint == "'um_parent.training' is a module, not a package"
    assert str(project) in str(refusal("um_qqqqqq", project))


def test_importing_leaves_the_arguments_of_the_command_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["labtech", "run"])
    write(project / "um_argv.py", "import sys\nsys.argv.append('more')\n")
    import_target_module("um_argv.py", project)
    assert sys.argv == ["labtech", "run"]


def test_a_module_written_for_labtech_finds_it(project: Path) -> None:
    write(project / "um_labtech.py", "import labtech\nimport labtech_cli\nsame = labtech is labtech_cli\n")
    assert import_target_module("um_labtech.py", project).same
    sys.modules.pop("labtech", None)
