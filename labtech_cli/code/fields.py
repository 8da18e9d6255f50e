"""Annotations that something reads when the code runs: of fields, and of functions chosen by the type of a value."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Collection, Iterable, Iterator
from enum import IntEnum

from labtech_cli.code.modules import Key, Modules
from labtech_cli.code.table import root_of

_BUILTINS = frozenset(dir(builtins))
_PLAIN = ("abc.ABC", "typing.Generic", "typing.Protocol", "typing_extensions.Protocol", "enum.")
_BLIND = sys.stdlib_module_names | {
    "attr",
    "attrs",
    "torch",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "labtech",
    "labtech_cli",
}
"""Modules whose bases and decorators take no notice of what the type of a field is, only that it is one."""
_HOOKS = ("__init_subclass__", "__class_getitem__")


class Reading(IntEnum):
    """What is made of annotations."""

    NOTHING = 0
    FIELDS = 1
    """They make fields, as in a dataclass: their names and order count."""
    TYPES = 2
    """They say what values become, as in a model of pydantic: the types count, too."""


def reading_of(modules: Modules, module: str, node: ast.ClassDef, seen: frozenset[Key] = frozenset()) -> Reading:
    """What is made of the annotations of a class, as far as its decorators and bases tell."""
    found = Reading.FIELDS if node.keywords else Reading.NOTHING
    for item in node.decorator_list:
        outside, _ = _meant(modules, module, item)
        found = max(found, Reading.FIELDS, *(_of_library(name) for name in outside))
    for base in node.bases:
        found = max(found, _of_base(modules, module, base, seen))
    return found


def _meant(modules: Modules, module: str, node: ast.expr) -> tuple[list[str], list[Key]]:
    """The names outside the project, and those of it, that an expression begins with."""
    chain = tuple(name for name in root_of(node) or () if name != "[]")
    meaning = modules.meaning(module, chain) if chain else None
    if meaning is None:
        return ([f"builtins.{chain[0]}"] if chain and chain[0] in _BUILTINS else ["?"]), []
    if not meaning.outside and not meaning.keys:
        return ["?"], []
    return meaning.outside, meaning.keys if not meaning.rest else [("", "")]


def _of_library(name: str) -> Reading:
    return Reading.FIELDS if name.partition(".")[0] in _BLIND or name == "?" else Reading.TYPES


def _of_base(modules: Modules, module: str, base: ast.expr, seen: frozenset[Key]) -> Reading:
    outside, keys = _meant(modules, module, base)
    kinds = [Reading.NOTHING]
    kinds += [_of_library(name) for name in outside if not name.startswith(("builtins.", *_PLAIN))]
    for key in keys:
        nodes = modules.table(key[0]).definitions(key[1]) if key[0] and key not in seen else []
        kinds += [Reading.NOTHING] if nodes or key in seen else [Reading.FIELDS]
        for node in nodes:
            reads = not isinstance(node, ast.ClassDef) or any(getattr(item, "name", "") in _HOOKS for item in node.body)
            kinds.append(Reading.FIELDS if reads else Reading.NOTHING)
            if isinstance(node, ast.ClassDef):
                kinds.append(reading_of(modules, key[0], node, seen | {key}))
    return max(kinds)


def dispatched(modules: Modules, module: str, nodes: Iterable[ast.stmt], within: Collection[str]) -> Iterator[ast.expr]:
    """The annotations that `functools.singledispatch` reads: of functions under a bare `@function.register`.

    `within` are names of the class that the functions are methods of.
    """
    for node in nodes:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        bare = [item for item in node.decorator_list if isinstance(item, ast.Attribute) and item.attr == "register"]
        chains = [root_of(item.value) or ("",) for item in bare]
        if any(chain[0] in within or _is_dispatcher(modules, module, chain) for chain in chains):
            arguments = (*node.args.posonlyargs, *node.args.args)
            yield from (argument.annotation for argument in arguments if argument.annotation is not None)


def _is_dispatcher(modules: Modules, module: str, chain: tuple[str, ...]) -> bool:
    meaning = modules.meaning(module, chain)
    for key in meaning.keys if meaning is not None else ():
        for node in modules.table(key[0]).definitions(key[1]):
            for item in getattr(node, "decorator_list", ()):
                if "functools.singledispatch" in _meant(modules, key[0], item)[0]:
                    return True
    return False
