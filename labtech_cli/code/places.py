"""Where a module's source is, and whose code it is; nothing is imported to find out."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from labtech_cli.names import canonical_module

_STDLIB = os.path.realpath(os.path.dirname(os.__file__)) + os.sep
_OURS = os.path.realpath(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_INSTALLED = ("site-packages", "dist-packages")
_MAIN = "__main__"


class Owner(Enum):
    """Whose code a module is."""

    PROJECT = "the project's own"
    PACKAGE = "an installed package's"
    PYTHON = "the standard library's"
    OURS = "labtech's"
    NOBODY = "not to be found"


@dataclass(frozen=True, slots=True)
class Place:
    """A module, loaded or not."""

    name: str
    owner: Owner
    file: str = ""
    """Absolute; empty where there is none: namespace packages, notebooks."""
    folders: tuple[str, ...] = ()
    """Where its submodules are; empty for a module that is no package."""

    @property
    def shown(self) -> str:
        """The file, relative to the folder the module is imported from."""
        if not self.file:
            return self.name.replace(".", "/")
        levels = self.name.count(".") + 1 + (os.path.basename(self.file).startswith("__init__."))
        return "/".join(self.file.split(os.sep)[-levels:])

    @property
    def is_source(self) -> bool:
        """Whether there is Python text to read."""
        return not self.file or self.file.endswith((".py", ".pyw", ".ipynb"))


class Places:
    """Modules by name, each looked up once."""

    def __init__(self) -> None:
        self._known: dict[str, Place] = {}
        self._main = canonical_module(_MAIN)

    def __getitem__(self, name: str) -> Place:
        place = self._known.get(name)
        if place is None:
            place = self._known[name] = self._find(name)
        return place

    def loaded(self) -> list[Place]:
        """The project's own modules among those this process has imported."""
        names = [self._main if name in (_MAIN, "__mp_main__") else name for name in list(sys.modules)]
        return [self[name] for name in sorted(set(names)) if self._may_be_own(name)]

    def _may_be_own(self, name: str) -> bool:
        top = name.partition(".")[0]
        if top != name and self[top].owner is not Owner.PROJECT:
            return False
        place = self[name]
        return place.owner is Owner.PROJECT and (bool(place.file) or name == self._main)

    def _find(self, name: str) -> Place:
        parent = name.rpartition(".")[0]
        if parent and self[parent].owner is not Owner.PROJECT:
            return Place(name, self[parent].owner)
        module = sys.modules.get(_MAIN if name == self._main else name)
        if module is not None:
            return _placed(name, getattr(module, "__file__", None), getattr(module, "__path__", ()))
        spec = _spec(name, list(self[parent].folders) if parent else None)
        if spec is None:
            # A folder without `__init__.py`: finders fail on those in packages that are not imported.
            inside = [
                os.path.join(folder, name.rpartition(".")[2]) for folder in (self[parent].folders if parent else ())
            ]
            folders = [folder for folder in inside if os.path.isdir(folder)]
            return _placed(name, None, folders) if folders else Place(name, Owner.NOBODY)
        return _placed(name, spec.origin if spec.has_location else None, spec.submodule_search_locations or ())


def _spec(name: str, folders: list[str] | None) -> Any:
    """What `importlib.util.find_spec` finds, without the import of the parents that it does."""
    if folders == []:
        return None
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        try:
            spec = find(name, folders) if find is not None else None
        except Exception:  # a finder of the user's; the import proper says what is wrong with it
            continue
        if spec is not None:
            return spec
    return None


def _placed(name: str, file: Any, paths: Any) -> Place:
    try:
        folders = tuple(str(path) for path in paths or ())
    except Exception:  # a namespace package asks its parent, which is not imported
        folders = tuple(getattr(paths, "_path", ()))
    path = os.path.abspath(file) if isinstance(file, str) else ""
    return Place(name, _owner(name, path or (folders[0] if folders else "")), path, folders)


def _owner(name: str, path: str) -> Owner:
    if not path:  # built-in modules have no file, and neither has a notebook's `__main__`
        builtin = name.partition(".")[0] in sys.stdlib_module_names and name != _MAIN
        return Owner.PYTHON if builtin else Owner.PROJECT
    real = os.path.join(_real_folder(os.path.dirname(path)), os.path.basename(path), "")
    if real.startswith(_OURS):
        return Owner.OURS
    if any(part in _INSTALLED for part in path.split(os.sep)) or any(
        f"{os.sep}{p}{os.sep}" in real for p in _INSTALLED
    ):
        return Owner.PACKAGE
    return Owner.PYTHON if real.startswith(_STDLIB) else Owner.PROJECT


@lru_cache(maxsize=1024)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)
