"""What a module is called, wherever it was started from.

A task type is known by its module and its qualified name. A file run as a script or opened as a
notebook is the module `__main__`; here it gets the name under which everybody else imports it, so
that its cache keys are the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def importable_name(file: Path) -> tuple[str, Path]:
    """The dotted name a Python file is imported by, and the folder that must be on `sys.path`.

    A file inside packages gets its full package name, a lone file its stem.
    """
    file = Path(os.path.abspath(file))
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), folder


def canonical_module(name: str) -> str:
    """The module name to identify task types by: `name`, or what `__main__` is really called."""
    if name not in ("__main__", "__mp_main__"):
        return name
    main = sys.modules.get(name)
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name)
    file = _main_file(main)
    return importable_name(file)[0] if file is not None else name


def _main_file(main: object) -> Path | None:
    """The file of the `__main__` module: a script's, or the notebook's where its editor tells."""
    for place in (
        getattr(main, "__file__", None),
        getattr(main, "__vsc_ipynb_file__", None),
        os.environ.get("JPY_SESSION_NAME"),
    ):
        if place and Path(place).suffix in (".py", ".ipynb"):
            return Path(place)
    return None
