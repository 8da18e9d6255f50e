"""The installed packages a target's file imports, read from its text, not by running it."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_OWN = ("labtech", "labtech_cli", "__future__")


def packages_of(targets: Sequence[str], aliases: Mapping[str, str], base: Path) -> list[str]:
    """Modules that the files of `targets` import at their top level and that are not beside them.

    Importing these has no effect that depends on the project, so another process may do it early.
    """
    found: dict[str, None] = {}
    for target in targets:
        file = base / aliases.get(target, target).partition(":")[0]
        if file.suffix == ".py":
            found.update(dict.fromkeys(_imports(file)))
    return list(found)


def _imports(file: Path) -> list[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []  # the import proper says what is wrong with it
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            names.extend(item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return [name for name in names if name.partition(".")[0] not in _OWN and not _beside(file, name.partition(".")[0])]


def _beside(file: Path, name: str) -> bool:
    """Whether a module of that name is in the file's folder or one above it, so may be the project's own."""
    for folder in list(file.absolute().parents)[:4]:
        if os.path.exists(folder / f"{name}.py") or os.path.isdir(folder / name):
            return True
    return False
