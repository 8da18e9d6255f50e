"""The user's module imported, by file or by dotted name, here and in workers.

A file inside packages is imported under its full package name, a lone file under its stem; either
way the folder it is found from goes to the front of `sys.path`. Light on imports: workers use it.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from labtech_cli import alias
from labtech_cli.errors import TargetError, did_you_mean, nearest
from labtech_cli.names import importable_name
from labtech_cli.project.usercode import UserCodeError, blame, is_installed, location, shown, trimmed


@dataclass(frozen=True, slots=True)
class ModulePlace:
    """What another process needs to import the same module."""

    name: str
    folder: str
    """The folder that must be on `sys.path`; empty for modules that have no file."""


def place_of(module: ModuleType) -> ModulePlace:
    """Where `module` was imported from."""
    name = module.__name__
    levels = name.count(".")
    file = getattr(module, "__file__", None)
    paths = list(getattr(module, "__path__", []))
    if file:
        path = Path(os.path.abspath(file))
        levels += path.stem == "__init__"
    elif paths:  # a namespace package: a folder without __init__.py
        path = Path(os.path.abspath(paths[0]))
    else:
        return ModulePlace(name, "")
    return ModulePlace(name, str(path.parents[levels]))


def import_place(place: ModulePlace) -> ModuleType:
    """The module at `place`, imported as `import_target_module` did. Raises `TargetError`."""
    if place.folder:
        _put_on_path(place.folder)
    return _import(place.name, f"module '{place.name}'", place.folder)


def import_target_module(spec: str, base: Path) -> ModuleType:
    """The module that `spec` names: `FILE.py`, relative to `base`, or a dotted name.

    Raises `TargetError` for a module that is not there or not what it seems, and `UserCodeError`
    for one that fails on import.
    """
    path = base / spec
    if spec.endswith(".py") or "/" in spec or path.is_file():
        return _import_file(spec, path)
    if not all(part.isidentifier() for part in spec.split(".")):
        raise TargetError(
            f"'{spec}' is neither a Python file nor the name of a module",
            hint="write FILE.py:NAME or package.module:NAME",
        )
    _put_on_path(str(base))
    return _import(spec, f"module '{spec}'", str(base))


def _import_file(spec: str, path: Path) -> ModuleType:
    path = Path(os.path.abspath(path))
    _check_file(spec, path)
    name, folder = importable_name(path)
    top = folder / name.partition(".")[0]
    first = path if top.with_name(top.name + ".py") == path else top / "__init__.py"
    _check_taken(spec, top.name, first)
    _put_on_path(str(folder))
    module = _import(name, f"'{spec}'", str(folder))
    found = getattr(module, "__file__", None)
    if not _same(found, path):
        raise _collision(spec, name, path, found or "another module")
    return module


def _check_file(spec: str, path: Path) -> None:
    if path.is_dir():
        raise TargetError(f"'{spec}' is a folder, not a Python file", hint=_python_files(path, ""))
    if not path.exists():
        folder = path.parent
        if not folder.is_dir():
            raise TargetError(f"there is no file '{spec}': the folder {shown(folder)} does not exist")
        raise TargetError(f"there is no file '{spec}' in {folder}", hint=_python_files(folder, path.name))
    if path.suffix != ".py":
        raise TargetError(
            f"'{spec}' is not a Python file",
            hint="name a file that ends in .py, or a module: package.module:NAME",
        )
    name, folder = importable_name(path)
    if name.count(".") != len(path.relative_to(folder).parts) - (2 if path.stem == "__init__" else 1):
        raise TargetError(f"'{spec}' has a dot in its name, so Python cannot import it", hint="rename it without dots")


def _python_files(folder: Path, name: str) -> str:
    """A hint at the Python file that is meant."""
    try:
        files = [item.name for item in folder.iterdir() if item.suffix == ".py"]
    except OSError:
        files = []
    return did_you_mean(name, files) if files else "there are no Python files in that folder"


def _check_taken(spec: str, top: str, file: Path) -> None:
    """Refuse a file whose module name means another module, now or in a worker."""
    loaded = sys.modules.get(top)
    if loaded is not None:
        found = getattr(loaded, "__file__", None)
        if not _same(found, file):
            raise _collision(spec, top, file, found or "Python itself")
        return
    if top in sys.builtin_module_names:
        raise _collision(spec, top, file, "Python itself")
    installed = PathFinder.find_spec(top, [folder for folder in sys.path if folder and is_installed(folder)])
    if installed is not None and installed.loader is not None and not _same(installed.origin, file):
        raise _collision(spec, top, file, installed.origin or "Python itself")


def _collision(spec: str, name: str, file: Path, other: str) -> TargetError:
    return TargetError(
        f"'{spec}' cannot be imported: its module name '{name}' is taken, {shown(file)} against {other}",
        hint="rename the file, or the folder of the package",
    )


def _same(found: str | None, file: Path) -> bool:
    return found is not None and os.path.realpath(found) == os.path.realpath(file)


def _put_on_path(folder: str) -> None:
    folder = os.path.abspath(folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _import(name: str, subject: str, folder: str) -> ModuleType:
    """Import `name`, telling apart all the ways in which that fails."""
    alias.install()
    importlib.invalidate_caches()
    arguments = list(sys.argv)
    try:
        return importlib.import_module(name)
    except SyntaxError as error:
        if error.filename and os.path.isfile(error.filename):
            line = f":{error.lineno}" if error.lineno else ""
            place = shown(error.filename) + line
            raise TargetError(f"{place}: syntax error: {error.msg}", hint=f"correct {place}") from None
        raise blame(error, subject, "on import", folder) from None
    except ModuleNotFoundError as error:
        raise _not_found(error, name, subject, folder) from None
    except BaseException as error:
        raise blame(error, subject, "on import", folder) from None
    finally:
        sys.argv[:] = arguments


def _not_found(error: ModuleNotFoundError, name: str, subject: str, folder: str) -> TargetError:
    """The module itself is missing, or a package that it imports."""
    missing = error.name or ""
    place = location(error, folder)
    if missing and not place and f"{name}.".startswith(f"{missing}."):
        return TargetError(f"there is no module '{missing}'", hint=_modules_near(missing, folder))
    if not missing or not place:
        return blame(error, subject, "on import", folder)
    return UserCodeError(
        f"{subject} imports '{missing}', which is not installed ({place})",
        hint=f"install it for {sys.executable}, or correct the import",
        user_traceback=trimmed(error),
    )


def _modules_near(missing: str, folder: str) -> str:
    """A hint at the module that is meant, among those beside the missing one."""
    parent, _, last = missing.rpartition(".")
    beside = sys.modules.get(parent)
    if parent and not hasattr(beside, "__path__"):
        if hasattr(beside, last):
            return f"did you mean '{parent}:{last}'?"
        return f"'{parent}' is a module, not a package"
    paths = list(beside.__path__) if beside is not None else [folder]
    names = [info.name for info in pkgutil.iter_modules(paths)]
    close = nearest(last, names)
    if close is not None:
        return f"did you mean '{parent}.{close}'?" if parent else f"did you mean '{close}'?"
    places = ", ".join(str(path) for path in paths)
    return f"modules are looked for in {places} and among the installed packages"
