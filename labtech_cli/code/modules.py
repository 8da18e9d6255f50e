"""What a name means: the modules of a project, each parsed once, and the way from a name to what it stands for."""

from __future__ import annotations

import ast
import os
import sys
import warnings
from dataclasses import dataclass, field

from labtech_cli.code.imports import Import
from labtech_cli.code.loaded import is_outdated
from labtech_cli.code.notebook import main_cells
from labtech_cli.code.places import Owner, Place, Places
from labtech_cli.code.table import Table

_OF_EVERY_MODULE = frozenset(("__file__", "__path__", "__name__", "__doc__", "__dict__", "__package__", "__spec__"))
_EDITED = "the file was changed after it was imported: what runs is not what is read here"
Key = tuple[str, str]
"""A module and one of its top-level names."""


@dataclass(slots=True)
class Meaning:
    """What a dotted name stands for."""

    text: str
    """The same however it was imported."""
    keys: list[Key] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    """Dotted names in modules that are not the project's."""
    modules: list[str] = field(default_factory=list)
    """Modules of the project that are used as values, so that anything in them may be reached."""
    rest: tuple[str, ...] = ()
    """Attributes that follow the last top-level name."""
    reason: str = ""
    """Why this cannot be followed, if so."""


class Modules:
    """The modules of a project. Shared by all task types of a process."""

    def __init__(self) -> None:
        self.places = Places()
        self.parses = 0
        self._tables: dict[str, Table] = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        self._meanings: dict[tuple[str, tuple[str, ...]], Meaning | None] = {}

    def is_current(self) -> bool:
        """Whether all files read are as they were."""
        return all(stamp(file) == known for file, known in self._stamps.items())

    def edited(self, *, imported: bool) -> set[str]:
        """The modules whose files are not as they were when they were read; of those that this process has imported
        only where `imported` says that others import them anew."""
        files = {table.place.file: name for name, table in self._tables.items() if imported or name not in sys.modules}
        return {name for file, name in files.items() if file in self._stamps and stamp(file) != self._stamps[file]}

    def tables(self) -> list[Table]:
        """The modules read so far."""
        return list(self._tables.values())

    def table(self, name: str) -> Table:
        """A module of the project, read when first asked for."""
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = self._read(self.places[name])
        return table

    def source(self, place: Place) -> str | None:
        """The text of a module; None when there is none to read."""
        if not place.file or place.file.endswith(".ipynb"):
            return main_cells() if not place.folders else ""
        self._stamps[place.file] = stamp(place.file)
        try:
            with open(place.file, "rb") as file:
                return _decoded(file.read())
        except (OSError, SyntaxError, UnicodeDecodeError, ValueError):
            return None

    def _read(self, place: Place) -> Table:
        nothing = ast.Module(body=[], type_ignores=[])
        text = self.source(place) if place.is_source else None
        if text is None:
            return Table(place, nothing, "", f"the source of {place.name} is not available")
        self.parses += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = parse(text)
                outdated = bool(place.file) and is_outdated(place.name, place.file, tree)
                return Table(place, tree, text, warning=_EDITED if outdated else "")
        except SyntaxError as error:
            return Table(place, nothing, text, f"{place.shown} has a syntax error in line {error.lineno}")
        except (RecursionError, MemoryError, ValueError):
            return Table(place, nothing, text, f"{place.shown} cannot be parsed")

    def meaning(self, module: str, chain: tuple[str, ...]) -> Meaning | None:
        """What the dotted name `chain` means at the top level of `module`; None if nothing there has that name."""
        key = (module, chain)
        if key not in self._meanings:
            self._meanings[key] = self._in_module(module, chain, frozenset(), bare=True)
        return self._meanings[key]

    def imported(self, found: Import, rest: tuple[str, ...], seen: frozenset[Key] = frozenset()) -> Meaning:
        """What follows from an import, and the attributes after it."""
        if found.attribute is None:
            return self._of_module(found.module, rest, seen)
        return self._of_module(found.module, (found.attribute, *rest), seen)

    def _of_module(self, name: str, rest: tuple[str, ...], seen: frozenset[Key]) -> Meaning:
        """`name.rest`, where `name` is a module."""
        place = self.places[name]
        if place.owner is not Owner.PROJECT:
            dotted = ".".join((name, *rest))
            if dotted.startswith("labtech."):
                dotted = "labtech_cli" + dotted.removeprefix("labtech")
            return Meaning(dotted, outside=[dotted])
        if not rest:
            return Meaning(f"module {name}", modules=[name])
        found = self._in_module(name, rest, seen)
        if found is not None:
            return found
        if rest[0] in _OF_EVERY_MODULE:
            return Meaning(".".join((name, *rest)))
        problem = self.table(name).problem
        return Meaning(".".join((name, *rest)), reason=problem or f"'{rest[0]}' is not found in {place.shown}")

    def _in_module(
        self, module: str, chain: tuple[str, ...], seen: frozenset[Key], *, bare: bool = False
    ) -> Meaning | None:
        """`bare`: a name as code of the module itself says it, which never asks the module's `__getattr__`."""
        name, rest = chain[0], chain[1:]
        if (module, name) in seen:
            return None
        seen |= {(module, name)}
        table = self.table(module)
        imports = table.imports.get(name, []) or ([] if name in table.made else table.for_types.get(name, []))
        if name not in table.made and len(imports) == 1:
            return self.imported(imports[0], rest, seen)
        if name in table.made or imports:
            made = Meaning(".".join((f"{module}:{name}", *rest)), [(module, name)], rest=rest)
            for found in imports:
                self._add(made, self.imported(found, rest, seen))
            later = table.star_lines[-1:] > [node.lineno for node in table.statements.get(name, ())][:1]
            other = self._from_star(table, chain, seen) if later else None
            if other is not None:
                self._add(made, other)
            return made
        return self._elsewhere(table, chain, seen, bare=bare)

    def _add(self, made: Meaning, other: Meaning) -> None:
        made.keys += other.keys
        made.outside += other.outside
        made.modules += other.modules

    def _elsewhere(self, table: Table, chain: tuple[str, ...], seen: frozenset[Key], *, bare: bool) -> Meaning | None:
        """A name that no statement of the module binds: from `import *`, a submodule, made while running."""
        name, rest = chain[0], chain[1:]
        found = self._from_star(table, chain, seen)
        if found is not None:
            return found
        submodule = f"{table.name}.{name}"
        if table.place.folders and self.places[submodule].owner is Owner.PROJECT:
            return self._of_module(submodule, rest, seen)
        dotted = ".".join((f"{table.name}:{name}", *rest))
        if "__getattr__" in table.made and not bare and not name.startswith("__"):
            return Meaning(dotted, [(table.name, "__getattr__")], reason=f"'{name}' comes from a module's __getattr__")
        if f"global {name}" in table.text:
            return Meaning(dotted, [(table.name, name)], rest=rest)
        if name in table.script:
            return Meaning(dotted, reason=f"'{name}' is only there when {table.place.shown} runs as a script")
        return None

    def _from_star(self, table: Table, chain: tuple[str, ...], seen: frozenset[Key]) -> Meaning | None:
        for star in reversed(table.stars):
            if self.places[star].owner is Owner.PROJECT and star != table.name and self.table(star).exports(chain[0]):
                found = self._in_module(star, chain, seen)
                if found is not None:
                    return found
        return None

    def has_submodule(self, package: str, name: str) -> bool:
        """Whether `from package import name` imports a module of the project."""
        if not self.places[package].folders or self.places[f"{package}.{name}"].owner is not Owner.PROJECT:
            return False
        table = self.table(package)
        return name not in table.made and name not in table.imports

    def outside_star(self, table: Table) -> str:
        """The module outside the project that a name may come from by `import *`; empty if there is none."""
        return next((star for star in table.stars if self.places[star].owner is not Owner.PROJECT), "")


def parse(text: str) -> ast.Module:
    """The syntax tree of a module. Nobody changes it."""
    return ast.parse(text)


def stamp(file: str) -> tuple[int, int]:
    """Changes when a file does."""
    try:
        status = os.stat(file)
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def _decoded(content: bytes) -> str:
    """Source text, in the encoding it declares, with plain line ends."""
    if b"coding" in content[:200]:
        from importlib.util import decode_source

        return decode_source(content)
    return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
