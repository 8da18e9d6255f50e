"""From a task type through everything its code can reach."""

from __future__ import annotations

from labtech_cli.code.model import Symbol, Unsure
from labtech_cli.code.modules import Key, Meaning
from labtech_cli.code.parts import Part
from labtech_cli.code.places import Owner
from labtech_cli.code.project import Class, Project
from labtech_cli.code.registries import Registries
from labtech_cli.code.table import IMPORT
from labtech_cli.code.unsure import ANY_ATTRIBUTE
from labtech_cli.code.versions import distribution_of

_OWN_ROOTS = frozenset(("run", "post_init", "filter_context", "runner_options"))
"""Methods of a task type that labtech calls."""


class _Waiting:
    """Methods that are reached when, and only when, something uses an attribute of their name."""

    def __init__(self) -> None:
        self._called: set[str] = set()
        self._members: dict[str, list[Part]] = {}

    def add(self, part: Part) -> list[Part]:
        """Let `part` wait; the list has it if it was called already."""
        name = part.qual.rpartition(".")[2]
        if name in self._called:
            return [part]
        self._members.setdefault(name, []).append(part)
        return []

    def called(self, names: set[str]) -> list[Part]:
        """The methods that `names` call, which no longer wait."""
        new = names - self._called
        self._called |= new
        return [part for name in new for part in self._members.pop(name, ())]

    def everything(self) -> list[Part]:
        """All that waits: something may call any of it."""
        return self.called(set(self._members))


class Walk:
    """One walk; afterwards `symbols`, `unsure`, `packages` and `tasks` say what it met."""

    def __init__(self, project: Project, registries: Registries) -> None:
        self.project = project
        self.registries = registries
        self.symbols: dict[str, Symbol] = {}
        self.unsure: dict[Unsure, None] = {}
        self.packages: dict[str, str] = {}
        self.tasks: set[str] = set()
        self.used: set[Key] = set()
        """Names that are used, not only defined with: what a registry holds matters for these."""
        self._seen: set[Key] = set()
        self._met: set[Key] = set()
        """Names that were reached, or are task types that were named."""
        self._modules: set[str] = set()
        """Those of which something is reached."""
        self._imported: set[str] = set()
        """Those that are imported by these."""
        self._whole: set[str] = set()
        """Those that are used as values."""
        self._idle: dict[str, set[Key] | None] = {}
        """Of these, what importing them changes, if that is not followed yet."""
        self._own = _Waiting()
        """Methods of the task type itself."""
        self._others = _Waiting()
        """Methods of other task types."""
        self._tops: set[str] = set()
        self._todo: list[Part] = []
        self._family: set[Class] = set()
        self._used_tasks: set[Class] = set()
        """Other task types that code uses, not only fields."""
        self._stored: set[Key] = set()

    def start(self, module: str, qual: str) -> None:
        """Walk from the task type `qual` of `module`, or from an Enum type: of that all methods count."""
        self._enter_module(module)
        family = self.project.family((module, qual))
        self._family = family.classes
        by_call = self.project.is_enum_made_by_call((module, qual))
        whole = family.is_open or by_call or self.project.is_enum((module, qual))
        for part in family.parts:
            name = part.qual.rpartition(".")[2]
            is_class = (part.table.name, part.qual) in family.classes
            if is_class or whole or name in _OWN_ROOTS or _is_special(part):
                self._todo.append(part)
            else:
                self._todo += self._own.add(part)
        for base, name in family.classes:
            self._enter_module(base)
            self._met.add((base, name.partition(".")[0]))
        if not (by_call or self.project.nodes((module, qual))):
            self._missing(module, qual)
        self._finish()

    def _missing(self, module: str, qual: str) -> None:
        table = self.project.modules.table(module)
        reason = table.problem or f"its definition is not found in {table.place.shown}"
        self.unsure[Unsure(f"{module}:{qual}", table.place.shown, 1, reason)] = None

    def _finish(self) -> None:
        """Follow all that is known, then what was registered in it, until there is nothing new."""
        asked: set[Key] = set()
        empty: list[Key] = []
        while True:
            while self._todo:
                self._follow(self._todo.pop())
                if not self._todo:
                    self._wake()
            new = sorted(self.used - asked)
            if not new:
                break
            asked.update(new)
            for key in new:
                found = self.registries.into(key)
                if not found and self.registries.is_empty(key):
                    empty.append(key)
                for item in found:
                    self._reach(item)
        for module, name in empty:
            if (module, name) not in self._stored:
                symbol = self.symbols.get(f"{module}:{name}")
                if symbol is None:
                    continue
                reason = "it is empty, and what fills it is nowhere to be seen"
                self.unsure[Unsure(symbol.name, symbol.file, symbol.line, reason)] = None

    def _follow(self, part: Part) -> None:
        if part.name in self.symbols:
            return
        normal = self.project.normal(part)
        place = part.table.place
        self.symbols[part.name] = Symbol(part.name, normal.digest, place.shown, part.line, part.source)
        for line, reason in normal.unsure:
            self.unsure[Unsure(part.name, place.shown, line, reason)] = None
            if reason == ANY_ATTRIBUTE:
                self._todo += self._own.everything()
        is_own = part.header is not None and (part.table.name, part.qual) in self._family
        for meaning, quiet in normal.uses:
            for key in meaning.keys:
                self._reach(key, meaning.rest, used=not (quiet or is_own))
                if not quiet:
                    self.used.add(key)
            for module in meaning.modules:
                self._whole_module(module)
            self._outside(meaning.outside)
        for meaning in normal.fields:
            self._field(part, meaning)
        self._import(self.project.loaded_by(normal.loads))
        self._stored |= normal.stores
        self._todo += self._own.called(normal.attributes) + self._others.called(normal.foreign)

    def _field(self, part: Part, meaning: Meaning) -> None:
        """Classes named in the annotation of a field. A task's own fields only ever hold enums and tasks."""
        is_own = (part.table.name, part.qual) in self._family
        for known in self.project.unaliased(meaning):
            for found in self.project.classes(known):
                is_value = self.project.is_task(found) or self.project.is_enum(found)
                if is_value or not (is_own or self.project.inherits(found, "typing.Protocol")):
                    self._reach((found[0], found[1].partition(".")[0]), known.rest)
            for key in known.keys:
                if self.project.is_enum_made_by_call(key):
                    self._reach(key)

    def _reach(self, key: Key, rest: tuple[str, ...] = (), *, used: bool = False) -> None:
        """`used`: by code, and not only as a decorator, a base, an annotation, or the default of an own field."""
        self._met.add(key)
        qual = ".".join((key[1], *rest))
        task = self.project.task_around(key[0], qual)
        if task:
            values = self.project.values((key[0], task))
            is_constant = any(part.header is not None and not part.is_field for part in values if part.qual == qual)
            self._name_task((key[0], task), used=used and not is_constant)
            return
        if key in self._seen:
            return
        self._seen.add(key)
        self._enter_module(key[0])
        for part in self.project.parts(key).values():
            inner = self.project.task_around(key[0], part.qual)
            if inner:
                self._name_task((key[0], inner), used=used)
            else:
                self._todo.append(part)

    def _name_task(self, found: Class, *, used: bool) -> None:
        """Another task type: its name counts, and those of its methods and constants whose names this code uses.

        Where code makes tasks of it, as values, so do the defaults of its fields and what Python calls by itself.
        """
        name = ".".join(found)
        if found in self._family:
            return
        if name not in self.tasks:
            self.tasks.add(name)
            for part in self.project.values(found):
                if not (part.is_field or _is_special(part) or part.qual.rpartition(".")[2] in _OWN_ROOTS):
                    self._todo += self._others.add(part)
        if used and found not in self._used_tasks:
            self._used_tasks.add(found)
            self._todo += [part for part in self.project.values(found) if _is_special(part) or part.is_field]

    def _enter_module(self, name: str) -> None:
        """What importing a module does counts as soon as anything of it does; so do its packages' imports."""
        while name and name not in self._modules:
            self._modules.add(name)
            if self.project.modules.places[name].owner is Owner.PROJECT:
                table = self.project.modules.table(name)
                if table.warning:
                    self.unsure[Unsure(f"{name}:{IMPORT}", table.place.shown, 1, table.warning)] = None
                if IMPORT in table.statements:
                    self._reach((name, IMPORT))
                self._import(self.project.loads(name))
            name = name.rpartition(".")[0]

    def _import(self, names: list[str]) -> None:
        """Modules that are imported, whether or not anything of them is used, and those that they import."""
        todo = list(names)
        while todo:
            name = todo.pop()
            while name and name not in self._imported:
                self._imported.add(name)
                if self.project.modules.places[name].owner is Owner.PROJECT:
                    if IMPORT in self.project.modules.table(name).statements:
                        self._idle[name] = self.project.changed_by_import(name)
                    todo += self.project.loads(name)
                name = name.rpartition(".")[0]

    def _wake(self) -> None:
        """Follow what the imports do, unless all they do is to change names of the project that nothing here uses."""
        for name, changed in list(self._idle.items()):
            if changed is None or not changed.isdisjoint(self._met):
                del self._idle[name]
                self._enter_module(name)

    def _whole_module(self, name: str) -> None:
        """A module used as a value: all it makes counts, and what it imports from others by name."""
        if name in self._whole or self.project.modules.places[name].owner is not Owner.PROJECT:
            return
        self._whole.add(name)
        table = self.project.modules.table(name)
        self._enter_module(name)
        for made in sorted(table.made | set(table.imports)):
            meaning = self.project.modules.meaning(name, (made,)) or Meaning("")
            for key in [(name, made)] if made in table.made else meaning.keys:
                self._reach(key, meaning.rest)
        for star in table.stars:
            self._whole_module(star)

    def _outside(self, names: list[str]) -> None:
        for dotted in names:
            top = dotted.partition(".")[0]
            if top in self._tops or top == "builtins":
                continue
            self._tops.add(top)
            place = self.project.modules.places[top]
            if place.owner is Owner.PACKAGE:
                name, version = distribution_of(place)
                self.packages[name] = version


def _is_special(part: Part) -> bool:
    """Whether Python or labtech calls a method of a task by itself, when it is made or used."""
    name = part.qual.rpartition(".")[2]
    return name == "post_init" or (name.startswith("__") and name.endswith("__"))
