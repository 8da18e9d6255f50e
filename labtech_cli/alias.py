"""`import labtech` as another name of `labtech_cli`, for modules written for the labtech library.

The alias gives the very same module objects, submodules included, so that classes have one identity
and pickles one name (`labtech_cli...`). A real `labtech` that can be imported always wins; a mere
folder of that name without `__init__.py` (a namespace package) does not.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ALIAS = "labtech"
REAL = "labtech_cli"


def install() -> None:
    """Make `import labtech` work in this process. Doing it again changes nothing."""
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())


class AliasFinder:
    """Finds `labtech` and its submodules; every other name costs it one comparison."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not fullname.startswith(ALIAS):
            return None
        if fullname == ALIAS:
            return None if self._real_one() else _spec(ALIAS, importlib.util.find_spec(REAL))
        if not fullname.startswith(ALIAS + ".") or sys.modules.get(ALIAS) is not sys.modules.get(REAL):
            return None
        real = REAL + fullname.removeprefix(ALIAS)
        return _spec(fullname, importlib.util.find_spec(real))

    def _real_one(self) -> bool:
        """Whether a regular package or module called `labtech` can be imported."""
        for finder in sys.meta_path:
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec = find_spec(ALIAS, None)
            if spec is not None and spec.loader is not None and spec.origin is not None:
                return True
        return False


class AliasLoader:
    """Puts the real module in `sys.modules` under the other name.

    The import system documents that a loader may replace the module in `sys.modules` while it
    executes; the real module's own `__spec__` and `__name__` are thus never touched.
    """

    def __init__(self, real: str) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(self.real)


def _spec(alias: str, real: ModuleSpec | None) -> ModuleSpec | None:
    """Names the real module's file, so that who asks whose code this is without importing it (`code/places.py`) is
    told the same as after the import."""
    if real is None:
        return None
    loader: Any = AliasLoader(real.name)
    spec = ModuleSpec(alias, loader, origin=real.origin)
    spec.has_location = real.has_location
    return spec
