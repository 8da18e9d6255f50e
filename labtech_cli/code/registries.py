"""What other code puts into a name when it is imported: registries, `singledispatch`, hooks of subclasses.

Such code is not reached by following names, since the registry does not name what it holds. It is looked
for in the modules of the project that are loaded; their texts tell which of them are worth reading.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from labtech_cli.code.modules import Key
from labtech_cli.code.parts import Part
from labtech_cli.code.places import Owner
from labtech_cli.code.project import Project
from labtech_cli.code.table import IMPORT, Table, root_of

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_FIXED = (ast.Constant, ast.JoinedStr, ast.Lambda, ast.Compare, ast.Name, ast.Attribute)
_HOOKS = ("__init_subclass__", "__new__", "__init__")


class Registries:
    """Who fills what, in the modules of one project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._words: dict[str, frozenset[str]] | None = None
        """The words of each module: to search texts again and again took a third of the time of a fingerprint."""
        self._read: set[str] = set()
        self._made: dict[str, list[tuple[Key, str, Key]]] = {}
        self._changers: dict[str, list[tuple[str, Part, str]]] = {}

    def into(self, key: Key) -> list[Key]:
        """What is put into `key`: functions, classes, and imports that do it."""
        if not self._may_collect(key):
            return []
        collectors = set(self._collectors(key))
        wanted = {key[1], *(name for _, name in collectors)}
        found: list[Key] = []
        for table in self._mentioning(wanted):
            for through, how, target in self._effects(table):
                if target == key:
                    continue
                direct = through == key and (how == "method" or (how == "base" and self._has_hook(key)))
                if direct or (through in collectors and how != "method"):
                    found.append(target)
            if (
                IMPORT in table.statements
                and (table.name, IMPORT) != key
                and self._import_fills(table, key, collectors)
            ):
                found.append((table.name, IMPORT))
        return found

    def is_empty(self, key: Key) -> bool:
        """Whether all that is written of `key` is that it is an empty container."""
        statements = self.project.modules.table(key[0]).statements.get(key[1], [])
        if len(statements) != 1 or not isinstance(statements[0], (ast.Assign, ast.AnnAssign)):
            return False
        value = statements[0].value
        if isinstance(value, ast.Call):
            chain = root_of(value.func) or ("",)
            return chain[-1] in ("dict", "list", "set") and not value.args and not value.keywords
        return isinstance(value, (ast.Dict, ast.List)) and not list(ast.iter_child_nodes(value))[:-1]

    def _may_collect(self, key: Key) -> bool:
        for node in self.project.modules.table(key[0]).statements.get(key[1], ()):
            if isinstance(node, (ast.Assign, ast.AnnAssign)):
                if not isinstance(node.value, _FIXED):
                    return True
            elif not isinstance(node, _FUNCTIONS) or node.decorator_list:
                return True
        return False

    def _collectors(self, key: Key) -> Iterator[Key]:
        """Functions and classes beside `key` that change it when they are called, or inherited from."""
        for name, part, source in self._may_change(key[0]):
            if name != key[1] and key[1] in source and key in self.project.normal(part).stores:
                yield (key[0], name)

    def _may_change(self, module: str) -> list[tuple[str, Part, str]]:
        """The functions and classes of a module that may change others, with their texts: made once for all names."""
        if module not in self._changers:
            table = self.project.modules.table(module)
            found = self._changers[module] = []
            for name in table.made:
                for part in self.project.parts((module, name)).values() if table.definitions(name) else ():
                    is_method = "." in part.qual and part.qual.rpartition(".")[2] not in _HOOKS
                    if name != IMPORT and not is_method:
                        found.append((name, part, part.source))
        return self._changers[module]

    def _has_hook(self, key: Key) -> bool:
        """Whether a class hears of its subclasses."""
        if not any(isinstance(node, ast.ClassDef) for node in self.project.modules.table(key[0]).definitions(key[1])):
            return False
        return any(
            node.keywords
            or any(isinstance(item, _FUNCTIONS) and item.name == "__init_subclass__" for item in node.body)
            for found in self.project.lineage(key)
            for node in self.project.nodes(found)
        )

    def _mentioning(self, names: set[str]) -> list[Table]:
        """The modules of the project whose text has one of `names`."""
        modules = self.project.modules
        if self._words is None:
            self._words = {}
            for place in modules.places.loaded():
                if place.is_source:
                    self._words[place.name] = _words(modules.source(place) or "")
        for table in modules.tables():
            if table.place.owner is Owner.PROJECT and table.name not in self._read:
                self._read.add(table.name)
                self._words[table.name] = _words(table.text)
        found = sorted(module for module, words in self._words.items() if not names.isdisjoint(words))
        return [modules.table(module) for module in found]

    def _effects(self, table: Table) -> list[tuple[Key, str, Key]]:
        """What definitions of a module do to others: through which name, how, and which definition."""
        if table.name not in self._made:
            found: list[tuple[Key, str, Key]] = []
            for name in sorted(table.made):
                for node in table.definitions(name):
                    found += [(through, how, (table.name, name)) for through, how in self._of(table, name, node)]
            self._made[table.name] = found
        return self._made[table.name]

    def _of(self, table: Table, name: str, node: ast.AST) -> Iterator[tuple[Key, str]]:
        for decorator in getattr(node, "decorator_list", ()):
            chain = root_of(decorator)
            meaning = self.project.modules.meaning(table.name, chain) if chain else None
            if meaning is not None:
                yield from ((key, "method" if meaning.rest else "call") for key in meaning.keys)
        if isinstance(node, ast.ClassDef):
            yield from ((base, "base") for base in self.project.lineage((table.name, name))[1:])

    def _import_fills(self, table: Table, key: Key, collectors: set[Key]) -> bool:
        for part in self.project.parts((table.name, IMPORT)).values():
            normal = self.project.normal(part)
            used = {item for meaning, _ in normal.uses for item in meaning.keys}
            if key in normal.stores or used & collectors:
                return True
        return False


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))
