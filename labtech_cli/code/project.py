"""What the walk asks of a project: what a name is made of, and which classes are task types or enums."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labtech_cli.code.imports import Import
from labtech_cli.code.modules import Key, Meaning, Modules
from labtech_cli.code.parts import Normal, Part, is_task_decorator, normal_of, parts_of, values_of
from labtech_cli.code.places import Owner
from labtech_cli.code.scopes import annotation_names
from labtech_cli.code.table import root_of

_QUIET_BASES = ("typing.", "typing_extensions.", "abc.", "enum.", "labtech_cli.", "builtins.", "collections.abc.")
"""Bases that call no method of a task type by themselves."""
Class = tuple[str, str]
"""A module and the qualified name of a class in it."""


@dataclass(frozen=True, slots=True)
class Family:
    """A task type with the bases it inherits from."""

    classes: set[Class]
    parts: list[Part]
    is_open: bool
    """Whether a base is not the project's, and so may call any method."""


class Project:
    """All that was worked out so far about the modules of this process's project."""

    def __init__(self) -> None:
        self.modules = Modules()
        self._parts: dict[Key, dict[str, Part]] = {}
        self._normal: dict[Part, Normal] = {}
        self._is_task: dict[Class, bool] = {}
        self._values: dict[Class, list[Part]] = {}
        self._loads: dict[str, list[str]] = {}
        self._bases: dict[Class, tuple[list[Class], list[str]]] = {}

    def parts(self, key: Key) -> dict[str, Part]:
        """The parts of a top-level name."""
        found = self._parts.get(key)
        if found is None:
            found = self._parts[key] = parts_of(self.modules.table(key[0]), key[1])
        return found

    def normal(self, part: Part) -> Normal:
        """What a part says."""
        found = self._normal.get(part)
        if found is None:
            found = self._normal[part] = normal_of(self.modules, part)
        return found

    def loads(self, module: str) -> list[str]:
        """The project's modules that a module of it imports when it is imported."""
        if module not in self._loads:
            self._loads[module] = self.loaded_by(self.modules.table(module).loads)
        return self._loads[module]

    def loaded_by(self, imports: Iterable[Import]) -> list[str]:
        """The project's modules that import statements name: `from package import module` has two."""
        names: dict[str, None] = {}
        for item in imports:
            if self.modules.places[item.module].owner is not Owner.PROJECT:
                continue
            names[item.module] = None
            if item.attribute and self.modules.has_submodule(item.module, item.attribute):
                names[f"{item.module}.{item.attribute}"] = None
        return list(names)

    def changed_by_import(self, module: str) -> set[Key] | None:
        """The project's names in other modules that importing `module` changes; None where that is not all it does."""
        changed: set[Key] = set()
        chains = self.modules.table(module).changed_elsewhere()
        for chain in [()] if chains is None else chains:
            meaning = self.modules.meaning(module, chain) if chain else None
            if meaning is None or meaning.outside or not meaning.keys:
                return None
            changed.update(meaning.keys)
        return changed

    def nodes(self, found: Class) -> list[ast.ClassDef]:
        """The definitions of a class: several where branches of an `if` compete."""
        top, *inner = found[1].split(".")
        nodes = [node for node in self.modules.table(found[0]).definitions(top) if isinstance(node, ast.ClassDef)]
        for name in inner:
            members = [item for node in nodes for item in node.body]
            nodes = [item for item in members if isinstance(item, ast.ClassDef) and item.name == name]
        return nodes

    def classes(self, meaning: Meaning) -> Iterator[Class]:
        """The classes of the project that a name means."""
        for key in meaning.keys:
            found = key
            for name in ("", *meaning.rest):
                inner = (key[0], f"{found[1]}.{name}") if name else key
                if not self.nodes(inner):
                    break
                found = inner
            if self.nodes(found):
                yield found

    def bases(self, found: Class) -> tuple[list[Class], list[str]]:
        """The bases of a class: those of the project, and the names of the others."""
        if found not in self._bases:
            own: list[Class] = []
            others: list[str] = []
            for node in self.nodes(found):
                for base in node.bases:
                    meaning = self._base(found[0], base)
                    own += [item for item in self.classes(meaning) if item != found]
                    others += meaning.outside
            self._bases[found] = own, others
        return self._bases[found]

    def _base(self, module: str, base: ast.expr) -> Meaning:
        """What a base class is; its name may be another name of it, given by an assignment."""
        chain = tuple(name for name in root_of(base) or () if name != "[]")
        meaning = (self.modules.meaning(module, chain) if chain else None) or Meaning("", outside=["?"])
        if len(chain) == 1 and chain[0] == "object":
            return Meaning("object", outside=["builtins.object"])
        for key in meaning.keys:
            for node in self.modules.table(key[0]).statements.get(key[1], ()):
                if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Name, ast.Attribute)):
                    return self._base(key[0], node.value)
        return meaning

    def lineage(self, found: Class) -> list[Class]:
        """A class and all the project's classes it inherits from."""
        line, todo = [], [found]
        while todo:
            item = todo.pop(0)
            if item not in line:
                line.append(item)
                todo += self.bases(item)[0]
        return line

    def inherits(self, found: Class, prefix: str) -> bool:
        """Whether a base of the class, however far up, has a name outside the project that begins so."""
        return any(name.startswith(prefix) for item in self.lineage(found) for name in self.bases(item)[1])

    def is_enum(self, found: Class) -> bool:
        """Whether its members are values that parameters may have."""
        return self.inherits(found, "enum.")

    def is_enum_made_by_call(self, key: Key) -> bool:
        """Whether a name is given an enum as in `Kind = Enum("Kind", "A B")`."""
        for node in self.modules.table(key[0]).statements.get(key[1], ()):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                meaning = self.modules.meaning(key[0], root_of(node.value.func) or ("",))
                if meaning is not None and any(name.startswith("enum.") for name in meaning.outside):
                    return True
        return False

    def unaliased(self, meaning: Meaning) -> list[Meaning]:
        """A name in an annotation, and those that it stands for: `Mode` where `Mode = Fast | Slow`."""
        found, seen = [meaning], set(meaning.keys)
        for item in found:
            for key in item.keys:
                for chain in self._aliased(key):
                    other = self.modules.meaning(key[0], chain)
                    if other is not None and not seen.issuperset(other.keys):
                        seen.update(other.keys)
                        found.append(other)
        return found

    def _aliased(self, key: Key) -> Iterator[tuple[str, ...]]:
        """The names in the values that a top-level name is given, calls left out; `type Mode = ...` is one too."""
        for node in self.modules.table(key[0]).statements.get(key[1], ()):
            value = getattr(node, "value", None) if not isinstance(node, ast.Expr) else None
            if isinstance(value, (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.Constant)):
                yield from annotation_names(value)

    def is_task(self, found: Class) -> bool:
        """Whether the class is decorated with `@task`, here or, when it is loaded, in fact."""
        if found not in self._is_task:
            decorators = [item for node in self.nodes(found) for item in node.decorator_list]
            made = any(self._makes_tasks(found[0], item) for item in decorators)
            self._is_task[found] = made or _is_loaded_task(found)
        return self._is_task[found]

    def task_around(self, module: str, qual: str) -> str:
        """The task type that a qualified name is in, or is; empty if there is none."""
        names = qual.split(".")
        prefixes = [".".join(names[: count + 1]) for count in range(len(names))]
        return next((item for item in prefixes if self.is_task((module, item))), "")

    def family(self, found: Class) -> Family:
        """A task type and its bases, without the task types nested in them."""
        line = self.lineage(found)
        parts: list[Part] = []
        for module, qual in line:
            for part in self.parts((module, qual.partition(".")[0])).values():
                inside = part.qual.startswith(f"{qual}.")
                if part.qual == qual or (inside and not self._has_task_below(module, qual, part.qual)):
                    parts.append(part)
        others = [name for item in line for name in self.bases(item)[1]]
        parts = [part for part in parts if part.header is not None or part.nodes]  # else there is no source
        return Family(set(line), parts, any(not name.startswith(_QUIET_BASES) for name in others))

    def values(self, found: Class) -> list[Part]:
        """The methods of a task type and of its bases, and the values that they give to names of their classes."""
        if found not in self._values:
            family = self.family(found)
            self._values[found] = values = []
            for part in family.parts:
                whole = (part.table.name, part.qual) in family.classes
                values += values_of(part) if whole else [part]
        return self._values[found]

    def _has_task_below(self, module: str, outer: str, qual: str) -> bool:
        """Whether a class between `outer` and `qual` is a task type of its own."""
        names = qual.removeprefix(f"{outer}.").split(".")
        return any(self.is_task((module, f"{outer}.{'.'.join(names[: n + 1])}")) for n in range(len(names)))

    def _makes_tasks(self, module: str, decorator: ast.expr) -> bool:
        """Whether a decorator is `@task`, or a function or partial of the project's that applies it."""
        if is_task_decorator(self.modules, module, decorator):
            return True
        meaning = self.modules.meaning(module, tuple(root_of(decorator) or ("",)))
        keys = meaning.keys if meaning is not None and not meaning.rest else []
        uses = [use for key in keys for part in self.parts(key).values() for use, _ in self.normal(part).uses]
        return any(name in ("labtech_cli.task", "labtech.task") for use in uses for name in use.outside)


def _is_loaded_task(found: Class) -> bool:
    """Whether the class, as it is in memory, is a task type; nothing is imported to find out."""
    value: object = sys.modules.get(found[0])
    for name in found[1].split("."):
        value = getattr(value, "__dict__", {}).get(name)
    return isinstance(value, type) and "__labtech__" in value.__dict__
