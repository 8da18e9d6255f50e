"""The source of a notebook or an interactive session: its cells, as far as they are still known."""

from __future__ import annotations

import ast
import linecache
import re
import sys
from types import FunctionType


def main_cells() -> str | None:
    """The cells of `__main__` that count, in the order they ran; None when there are none.

    A cell that ran again, changed, replaces what its earlier version defined.
    """
    main = sys.modules.get("__main__")
    cells = getattr(main, "In", None)
    if not isinstance(cells, list) or not any(cells):
        cells = _from_functions(vars(main)) if main is not None else []
    cells = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    return "\n".join(_latest(cells)) if cells else None


def _from_functions(namespace: dict[str, object]) -> list[str]:
    """The sources of the functions and classes in a namespace, where Python still holds them."""
    files: dict[str, None] = {}
    for value in list(namespace.values()):
        members = [*vars(value).values(), value] if isinstance(value, type) else [value]
        for member in members:
            if isinstance(member, FunctionType) and member.__module__ == "__main__":
                files[member.__code__.co_filename] = None
    return ["".join(linecache.getlines(file)) for file in files]


def _latest(cells: list[str]) -> list[str]:
    """Cells without the statements whose names a later cell defines anew."""
    kept: list[str] = []
    taken: set[str] = set()
    functions = set(re.findall(r"(?m)^(?:async )?def (\w+)", "\n".join(cells)))
    for cell in reversed(cells):
        try:
            tree = ast.parse(cell)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # it did not run either
        defined = {name for node in tree.body for name in _defines(node)}
        tree.body = [node for node in tree.body if not (_defines(node) and _defines(node) <= taken)]
        tree.body = [node for node in tree.body if not _tries(node, functions)]
        lines = cell.split("\n")
        kept.extend("\n".join(_lines(lines, node)) for node in reversed(tree.body))
        taken |= defined
    return kept[::-1]


def _lines(lines: list[str], node: ast.stmt) -> list[str]:
    first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", ()))])
    return lines[first - 1 : node.end_lineno]


def _tries(node: ast.stmt, functions: set[str]) -> bool:
    """Whether a statement only calls a function of the notebook, as one does to see what it says."""
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in functions


def _defines(node: ast.stmt) -> set[str]:
    """The names a plain definition gives a new value."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return set()
