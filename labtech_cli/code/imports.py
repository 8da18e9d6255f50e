"""What import statements bind and load, and which statements only run where a module is not imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from labtech_cli.code.places import Place


class Import(NamedTuple):
    """What an import statement binds a name to."""

    module: str
    attribute: str | None
    """None: the module itself."""


def imports_of(node: ast.AST, place: Place) -> Iterator[tuple[str, Import]]:
    """The names an import statement binds in the module at `place`, and to what; `*` for all."""
    if isinstance(node, ast.Import):
        for item in node.names:
            top = item.name.partition(".")[0]
            yield item.asname or top, Import(item.name if item.asname else top, None)
    elif isinstance(node, ast.ImportFrom):
        module = _absolute(node, place)
        for item in node.names:
            yield item.asname or item.name, Import(module, item.name)


def loads_of(node: ast.AST, place: Place) -> list[Import]:
    """What an import statement imports: the whole of `a.b`, of which `imports_of` says that it binds `a`."""
    if isinstance(node, ast.Import):
        return [Import(item.name, None) for item in node.names]
    return [found for _, found in imports_of(node, place)]


def is_script(test: ast.expr) -> bool | None:
    """Whether a test holds only where a module runs as a script, or (False) only where not; None for other tests."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = is_script(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return True if any(is_script(item) for item in test.values) else None
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    names = {item.id for item in ast.walk(test) if isinstance(item, ast.Name)}
    values = [item.value for item in ast.walk(test) if isinstance(item, ast.Constant)]
    if "__name__" not in names or "__main__" not in values:
        return None
    return isinstance(test.ops[0], (ast.Eq, ast.In, ast.Is))


def _absolute(node: ast.ImportFrom, place: Place) -> str:
    """The full name of the module that a `from` import names."""
    if not node.level:
        return node.module or ""
    parts = place.name.split(".")
    base = parts[: len(parts) - node.level + bool(place.folders)]
    return ".".join([*base, node.module] if node.module else base)
