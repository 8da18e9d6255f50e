"""Whether a module in memory is what its file says now: an editor may have saved it since the import."""

from __future__ import annotations

import ast
import os
import sys
import time
from collections import Counter
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

_SLACK = 2.0  # seconds: clocks of file systems and of processes differ


def is_outdated(name: str, file: str, tree: ast.Module) -> bool:
    """Whether the loaded module `name` runs other functions or has other plain constants than its file.

    Files that are older than this process, nearly all of them, cost one comparison.
    """
    module = sys.modules.get(name)
    try:
        if not isinstance(module, ModuleType) or os.stat(file).st_mtime < _started() - _SLACK:
            return False
        written = _codes(compile(tree, file, "exec", dont_inherit=True))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    loaded = [_essence(item.__code__) for item in _functions(module)]
    return any(item not in written.get(item[0], ()) for item in loaded) or _has_other_constants(module, tree)


@cache
def _started() -> float:
    """When this process began; the dawn of time where the system does not say."""
    try:
        with open("/proc/self/stat", encoding="utf-8") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
    return time.time() - age


def _functions(module: ModuleType) -> list[FunctionType]:
    """Functions and methods that the module itself defines."""
    values: list[Any] = list(vars(module).values())
    for value in list(values):
        if isinstance(value, type) and value.__module__ == module.__name__:
            values += vars(value).values()
    values = [getattr(value, "__wrapped__", value) for value in values]
    file = getattr(module, "__file__", None)
    return [item for item in values if isinstance(item, FunctionType) and item.__code__.co_filename == file]


def _codes(code: CodeType) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    todo = [code]
    while todo:
        item = todo.pop()
        found.setdefault(item.co_qualname, []).append(_essence(item))
        todo += [const for const in item.co_consts if isinstance(const, CodeType)]
    return found


def _essence(code: CodeType) -> tuple[Any, ...]:
    """What a function does, without where it stands."""
    consts = tuple([_essence(item) if isinstance(item, CodeType) else _text(item) for item in code.co_consts])
    return (code.co_qualname, code.co_code, code.co_names, code.co_varnames, consts)


def _text(value: Any) -> Any:
    """A constant as text, which tells `1` from `1.0`; as it is where Python refuses to write its many digits."""
    try:
        return repr(value)
    except ValueError:
        return value


def _has_other_constants(module: ModuleType, tree: ast.Module) -> bool:
    """Of constants that are assigned once: others have changed since, as their module says."""
    stored = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    times = Counter([node.id for node in stored])
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                value = vars(module).get(target.id, node.value.value) if isinstance(target, ast.Name) else None
                if isinstance(target, ast.Name) and times[target.id] > 1:
                    continue
                if isinstance(target, ast.Name) and type(value) is type(node.value.value) and value != node.value.value:
                    return True
    return False
