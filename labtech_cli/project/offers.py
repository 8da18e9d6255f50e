"""What a module offers as targets, in source order.

Offered are public names only:

- task types defined in the module, nested ones too;
- tasks and non-empty collections of tasks at its top level, unless they were imported into it
  (names listed in `__all__` count as its own); a generator is offered without looking into it;
- functions defined in it that may well give tasks: those whose return annotation names a task type,
  a Protocol, or a collection of them; and those without one that return or yield something and
  can be called with what `-p` gives, that is, have no required parameter without an annotation.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import GeneratorType, ModuleType
from typing import Any, get_args, get_origin

from labtech_cli.core.task import Task, is_task, is_task_type
from labtech_cli.project.annotations import kind_of, members, plain
from labtech_cli.project.arguments import return_annotation, signature_of

_COLLECTIONS = (list, tuple, set, frozenset, Mapping)


@dataclass(frozen=True, slots=True)
class Offer:
    """One name that can be written after the colon of a target."""

    name: str
    kind: str
    """`task`, `tasks`, `function` or `task type`."""
    count: int | None
    """How many tasks it names, where that can be told without running anything."""
    doc: str
    """The first line of its docstring."""


def offers(module: ModuleType) -> list[Offer]:
    """What `module` offers as targets."""
    source = _Source.of(module)
    own = set(getattr(module, "__all__", ()))
    found: list[Offer] = []
    for name, value in list(vars(module).items()):
        if not name.startswith("_"):
            found.extend(_offers_of(name, value, module.__name__, source, name in own))
    return found


def _offers_of(name: str, value: Any, module: str, source: _Source, listed: bool) -> Iterator[Offer]:
    defined = listed or getattr(value, "__module__", None) == module
    if isinstance(value, type):
        if listed or (defined and value.__qualname__ == name):
            yield from _types(name, value, set())
    elif is_task(value):
        if listed or name not in source.imported:
            yield Offer(name, "task", 1, "")
    elif isinstance(value, GeneratorType):
        yield Offer(name, "tasks", None, "")
    elif isinstance(value, _COLLECTIONS):
        count = _count(value) if listed or name not in source.imported else 0
        if count:
            yield Offer(name, "tasks", count, "")
    elif defined and _is_function(value) and _may_give_tasks(value, name, source):
        yield Offer(name, "function", None, _first_line(value))


def _types(name: str, cls: type, seen: set[type]) -> Iterator[Offer]:
    """The task types that a class is and holds."""
    seen.add(cls)
    if is_task_type(cls):
        yield Offer(name, "task type", None, _first_line(cls))
    for inner, value in list(vars(cls).items()):
        nested = isinstance(value, type) and value.__qualname__ == f"{cls.__qualname__}.{inner}"
        if nested and value not in seen and not inner.startswith("_"):
            yield from _types(f"{name}.{inner}", value, seen)


def _count(collection: Any) -> int:
    """How many distinct tasks a collection holds, nested; 0 when it holds anything else."""
    keys: set[str] = set()
    stack: list[Iterator[Any]] = [_items(collection)]
    while stack and len(stack) < 100:
        for item in stack[-1]:
            if isinstance(item, _COLLECTIONS):
                stack.append(_items(item))
                break
            if not is_task(item):
                return 0
            keys.add(item.cache_key)
        else:
            stack.pop()
    return 0 if stack else len(keys)


def _items(collection: Any) -> Iterator[Any]:
    return iter(collection.values() if isinstance(collection, Mapping) else collection)


def _is_function(value: Any) -> bool:
    return inspect.isfunction(value) or (callable(value) and inspect.isfunction(getattr(value, "__wrapped__", None)))


def _may_give_tasks(function: Callable[..., Any], name: str, source: _Source) -> bool:
    returned = plain(return_annotation(function))
    if kind_of(returned) != "any":
        return _names_tasks(returned)
    if name in source.returning_nothing:
        return False
    signature = signature_of(function)
    return all(signature.annotations[item] is not Any for item in signature.required)


def _names_tasks(annotation: Any) -> bool:
    """Whether a return annotation says: a task, or a collection of tasks."""
    annotation = plain(annotation)
    kind = kind_of(annotation)
    arguments = get_args(annotation)
    if kind == "union":
        return any(_names_tasks(member) for member in members(annotation))
    if kind == "mapping":
        return len(arguments) < 2 or _names_tasks(arguments[1])
    if kind == "items":
        return not arguments or any(_names_tasks(item) for item in arguments if item is not ...)
    if kind != "task":
        return kind == "any"
    origin = get_origin(annotation) or annotation
    return origin is Task or is_task_type(origin) or bool(getattr(origin, "_is_protocol", False))


def _first_line(value: Any) -> str:
    lines = inspect.cleandoc(getattr(value, "__doc__", None) or "").splitlines()
    name = getattr(value, "__name__", "")
    made_up = isinstance(value, type) and lines and lines[0].startswith(f"{name}(")  # by dataclass
    return lines[0] if lines and not made_up else ""


@dataclass(frozen=True, slots=True)
class _Source:
    """What only the text of a module tells."""

    imported: frozenset[str]
    returning_nothing: frozenset[str]

    @classmethod
    def of(cls, module: ModuleType) -> _Source:
        try:
            tree = ast.parse(inspect.getsource(module))
        except (OSError, TypeError, SyntaxError, ValueError):
            return cls(frozenset(), frozenset())
        imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
        imported = {item.asname or item.name for node in imports for item in node.names}
        for node in imports:
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                imported.update(_star(node, module))
        functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
        silent = {node.name for node in functions if not _gives_something(node)}
        return cls(frozenset(imported), frozenset(silent))


def _star(node: ast.ImportFrom, module: ModuleType) -> list[str]:
    """The names that `from ... import *` brought into `module`."""
    name = importlib.util.resolve_name("." * node.level + (node.module or ""), module.__package__)
    source = vars(sys.modules[name]) if name in sys.modules else {}
    return [key for key, value in source.items() if vars(module).get(key) is value]


def _gives_something(function: ast.FunctionDef) -> bool:
    """Whether a function returns a value or yields."""
    for node in _own_nodes(function.body):
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if isinstance(node, ast.Return) and node.value is not None:
            return True
    return False


def _own_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below, but for those in functions and classes defined inside."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield node
            waiting.extend(ast.iter_child_nodes(node))
