"""A top-level name taken apart: functions and constants whole, classes by method, each digested by meaning."""

from __future__ import annotations

import ast
import builtins
import io
import tokenize
from dataclasses import dataclass, field

from labtech_cli.code.fields import dispatched, reading_of
from labtech_cli.code.imports import Import
from labtech_cli.code.model import digest_of
from labtech_cli.code.modules import Key, Meaning, Modules
from labtech_cli.code.places import Owner
from labtech_cli.code.scopes import Open, annotation_names
from labtech_cli.code.table import IMPORT, Table, root_of
from labtech_cli.code.unsure import ANY_ATTRIBUTE, doubts, doubts_of_value, named_module
from labtech_cli.code.writer import Writer

_BUILTINS = frozenset(dir(builtins)) | {
    *("__file__", "__name__", "__path__", "__spec__", "__package__", "__loader__", "__class__", "__annotations__"),
    *("__qualname__", "__module__", "get_ipython", "display", "reveal_type"),
}
_TASK = ("labtech_cli.task", "labtech.task", "labtech_cli.core.decorate.task")
_MARKS = ("ClassVar", "InitVar", "KW_ONLY")
"""Annotations that make something else of a field."""
_METHODS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The smallest thing that is digested: a function, a constant, a method, a class without its methods."""

    table: Table
    qual: str
    nodes: list[ast.stmt]
    header: ast.ClassDef | None = None
    """The class, if this is a class without its methods; `body` is the rest of it."""
    body: list[ast.stmt] = field(default_factory=list)
    within: frozenset[str] = frozenset()
    """Names of the class this is, or is a method of."""

    @property
    def name(self) -> str:
        """As symbols are called."""
        return f"{self.table.name}:{self.qual}"

    @property
    def is_field(self) -> bool:
        """Whether it is the default of a field, on its own: see `values_of`."""
        node = self.body[0] if len(self.body) == 1 and self.header is not None else None
        if not isinstance(node, ast.AnnAssign):
            return False
        return all(name[-1] != "ClassVar" for name in annotation_names(node.annotation))

    @property
    def line(self) -> int:
        """Where it begins."""
        nodes = [self.header] if self.header is not None else self.nodes
        return min((_first_line(node) for node in nodes), default=1)

    @property
    def source(self) -> str:
        """As written; of a class, what is not a method."""
        lines = self.table.lines
        if self.header is None:
            return "\n".join("\n".join(lines[_first_line(node) - 1 : node.end_lineno]) for node in self.nodes)
        own = set(range(_first_line(self.header), (self.header.end_lineno or 0) + 1))
        for node in self.header.body:
            if isinstance(node, (*_METHODS, ast.ClassDef)):
                own -= set(range(_first_line(node), (node.end_lineno or 0) + 1))
        kept = sorted(own) + [line for node in self.nodes for line in range(node.lineno, (node.end_lineno or 0) + 1)]
        return "\n".join(lines[line - 1] for line in kept)


@dataclass(slots=True)
class Normal:
    """What a part says."""

    digest: str
    uses: list[tuple[Meaning, bool]] = field(default_factory=list)
    """What its names mean, and whether the name stands where it only makes something (a decorator, a base)."""
    fields: list[Meaning] = field(default_factory=list)
    """What the annotations of its fields mean."""
    stores: set[Key] = field(default_factory=set)
    """Top-level names it changes."""
    attributes: set[str] = field(default_factory=set)
    """Names of attributes it may use."""
    foreign: set[str] = field(default_factory=set)
    """Those of them that it takes from something else than `self`."""
    loads: list[Import] = field(default_factory=list)
    """What imports inside it import."""
    unsure: list[tuple[int, str]] = field(default_factory=list)


def parts_of(table: Table, name: str) -> dict[str, Part]:
    """The parts of a top-level name, by qualified name; the first is the name itself."""
    statements = [table.pruned(node, name) for node in table.statements.get(name, ()) if not _is_overload(node)]
    classes = [node for node in statements if isinstance(node, ast.ClassDef)]
    if len(classes) != 1 or name == IMPORT:
        return {name: Part(table, name, statements)}
    return _class_parts(table, name, classes[0], [node for node in statements if node is not classes[0]])


def _class_parts(table: Table, qual: str, node: ast.ClassDef, others: list[ast.stmt]) -> dict[str, Part]:
    members: dict[str, list[ast.stmt]] = {}
    rest: list[ast.stmt] = []
    for item in node.body:
        if isinstance(item, (*_METHODS, ast.ClassDef)):
            if not _is_overload(item):
                members.setdefault(item.name, []).append(item)
        else:
            rest.append(item)
    names = frozenset(members) | {
        target.id for item in rest for target in ast.walk(item) if isinstance(target, ast.Name) and _is_stored(target)
    }
    found = {qual: Part(table, qual, others, node, rest, names)}
    for name, nodes in members.items():
        inner = f"{qual}.{name}"
        if len(nodes) == 1 and isinstance(nodes[0], ast.ClassDef):
            found.update(_class_parts(table, inner, nodes[0], []))
        else:
            found[inner] = Part(table, inner, nodes, within=names)
    return found


def values_of(part: Part) -> list[Part]:
    """What the body of a class gives values to, each apart: constants, and fields that have a default."""
    found = []
    for node in part.body if part.header is not None else ():
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        alone = ast.ClassDef("", [], [], [node], [])
        names = {item.id for target in targets for item in ast.walk(target) if isinstance(item, ast.Name)}
        for name in sorted(names) if getattr(node, "value", None) is not None else ():
            header = ast.copy_location(alone, node)
            found.append(Part(part.table, f"{part.qual}.{name}", [], header, [node], part.within))
    return found


def normal_of(modules: Modules, part: Part) -> Normal:
    """What `part` says, with every name replaced by what it means."""
    writer = Writer(part.table.place, within=part.within)
    try:
        if part.header is not None:
            node = _without_task(modules, part.table.name, part.header)
            writer.header(node, part.body, reading_of(modules, part.table.name, node))
        writer.statements(part.nodes)
        for annotation in dispatched(modules, part.table.name, part.nodes, part.within):
            writer.annotation(annotation)
    except RecursionError:
        return _too_deep(modules, part)
    normal = Normal("", attributes=writer.attributes, foreign=writer.foreign, loads=writer.loads)
    meanings = {id(name): _explain(modules, part, writer, name, normal) for name in writer.names}
    for name in writer.fields:
        meaning = modules.meaning(part.table.name, name.chain)
        if meaning is not None:
            normal.fields.append(meaning)
    for place, chain in writer.marks:
        meaning = modules.meaning(part.table.name, chain)
        last = (meaning.text if meaning is not None else chain[-1]).rpartition(".")[2]
        writer.out[place] = last if last in _MARKS else ""
    _note_calls(modules, part, writer, meanings, normal)
    normal.digest = digest_of([item for item in writer.out if item])
    return normal


def _note_calls(
    modules: Modules, part: Part, writer: Writer, meanings: dict[int, Meaning | None], normal: Normal
) -> None:
    """Note which modules are imported by name, and after what the code cannot be followed."""
    normal.unsure += [(line, ANY_ATTRIBUTE) for line in writer.dynamic]
    called = {id(function) for function, _, _ in writer.calls}
    for name in writer.names:
        reason = doubts_of_value(meanings[id(name)]) if id(name) not in called else ""
        if reason:
            normal.unsure.append((name.line, reason))
    for function, call, first in writer.calls:
        meaning = meanings.get(id(function))
        line, reason = doubts(function, meaning, call, meanings.get(id(first)), part.table.place)
        if reason:
            normal.unsure.append((line, reason))
        named = named_module(meaning, call, part.table.place)
        if named and modules.places[named].owner is Owner.PROJECT:
            normal.uses.append((Meaning("", modules=[named]), False))


def is_task_decorator(modules: Modules, module: str, decorator: ast.expr) -> bool:
    """Whether a decorator is labtech's `task`, with or without options."""
    chain = root_of(decorator)
    meaning = modules.meaning(module, chain) if chain else None
    return meaning is not None and any(name in _TASK for name in meaning.outside)


def _without_task(modules: Modules, module: str, node: ast.ClassDef) -> ast.ClassDef:
    """A class without `@task`: what its options say does not change what `run()` computes."""
    kept = [item for item in node.decorator_list if not is_task_decorator(modules, module, item)]
    if len(kept) == len(node.decorator_list):
        return node
    return ast.ClassDef(node.name, node.bases, node.keywords, node.body, kept)


def _explain(modules: Modules, part: Part, writer: Writer, name: Open, normal: Normal) -> Meaning | None:
    """Put what `name` means in the text and note what follows from it."""
    table = part.table
    if name.imported:
        for found in name.imported:
            meaning = modules.imported(found, name.chain[1:])
            _note(part, name, meaning, normal)
        if not name.local and name.place >= 0:
            writer.out[name.place] = _shown(meaning.text, table)
        return meaning
    found_here = modules.meaning(table.name, name.chain)
    if found_here is None:
        return None if name.soft else _unexplained(modules, part, writer, name, normal)
    if not name.makes:
        _note(part, name, found_here, normal)
    if name.place >= 0:
        writer.out[name.place] = _shown(found_here.text, table) + _so_far(name, table)
    return found_here


def _so_far(name: Open, table: Table) -> str:
    """Which value a name has that is assigned several times, where that is read between the assignments."""
    statements = table.statements.get(name.chain[0], ())
    if not name.at_import or name.makes or len(statements) < 2 or table.definitions(name.chain[0]):
        return ""
    return f" after {sum(node.lineno < name.line for node in statements)}"


def _unexplained(modules: Modules, part: Part, writer: Writer, name: Open, normal: Normal) -> Meaning:
    dotted = ".".join(name.chain)
    writer.out[name.place] = dotted
    if name.chain[0] in _BUILTINS:
        return Meaning(dotted, outside=[f"builtins.{dotted}"])
    star = modules.outside_star(part.table)
    if star:
        meaning = Meaning(f"{star}.{dotted}", outside=[f"{star}.{dotted}"])
        normal.uses.append((meaning, name.quiet))
        return meaning
    if not name.stored:
        normal.unsure.append((name.line, f"'{name.chain[0]}' is defined nowhere in {part.table.place.shown}"))
    return Meaning(dotted)


def _note(part: Part, name: Open, meaning: Meaning, normal: Normal) -> None:
    normal.uses.append((meaning, name.quiet))
    if name.stored:
        normal.stores.update(meaning.keys)
        elsewhere = [key for key in meaning.keys if key[0] != part.table.name] or meaning.modules
        if part.qual == IMPORT and elsewhere and name.replaced:
            normal.unsure.append((name.line, f"'{'.'.join(name.chain)}' of another module is replaced on import"))
    if meaning.reason:
        normal.unsure.append((name.line, meaning.reason))
    elif "sys.modules" in [".".join(found.split(".")[:2]) for found in meaning.outside]:
        normal.unsure.append((name.line, "looks a module up in sys.modules"))
    elif "__dict__" in name.chain[1:] and meaning.modules:
        normal.unsure.append((name.line, f"uses names of '{name.chain[0]}' by text"))


def _shown(text: str, table: Table) -> str:
    """Names of the same module without it, so that moving a module changes nothing in it."""
    return text.removeprefix(table.name) if text.startswith(f"{table.name}:") else text


def _too_deep(modules: Modules, part: Part) -> Normal:
    """Statements nested deeper than Python's recursion goes: compared by their words."""
    normal = Normal(digest_of(_tokens(part.source)))
    for node in [*part.nodes, *([part.header] if part.header is not None else [])]:
        for item in ast.walk(node):
            if isinstance(item, ast.Name) and (meaning := modules.meaning(part.table.name, (item.id,))):
                normal.uses.append((meaning, False))
            elif isinstance(item, ast.Attribute):
                normal.attributes.add(item.attr)
                normal.foreign.add(item.attr)
    normal.unsure.append((part.line, "nested too deeply to compare by meaning"))
    return normal


def _tokens(source: str) -> list[str]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return [source]
    return [token.string for token in tokens if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE)]


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(item.lineno for item in decorators)])


def _is_overload(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any((root_of(item) or ("",))[-1] == "overload" for item in decorators)


def _is_stored(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
