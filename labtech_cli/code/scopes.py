"""Names, and the scopes that decide which of them are local."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeVar

from labtech_cli.code.imports import Import

Node = TypeVar("Node", bound=ast.AST)


class Open:
    """A dotted name whose meaning is not known yet."""

    __slots__ = (
        "at_import",
        "chain",
        "imported",
        "line",
        "local",
        "makes",
        "place",
        "quiet",
        "replaced",
        "soft",
        "stored",
    )

    def __init__(self, chain: tuple[str, ...], place: int, line: int, *, quiet: bool) -> None:
        self.chain = chain
        self.place = place
        """Where in the text it belongs; -1 for names that are only followed."""
        self.line = line
        self.quiet = quiet
        """Stands where it makes something (a decorator, a base class), not where it is used."""
        self.soft = False
        """May mean nothing at all: an annotation, or a class attribute of the same name."""
        self.stored = False
        """What it holds is changed."""
        self.replaced = False
        """An attribute that is given another value."""
        self.makes = False
        """Is given its value by this statement of the module."""
        self.at_import = False
        """Read when the module is imported, so that it matters what was assigned before."""
        self.local = False
        self.imported: list[Import] = []
        """What an import inside a function says it is."""


class Scope:
    """A function, class, comprehension, or (the outermost) a module."""

    __slots__ = ("bound", "globals", "imports", "is_class", "is_comprehension", "names", "outer", "slots")

    def __init__(self, *, is_class: bool = False, is_comprehension: bool = False) -> None:
        self.bound: set[str] = set()
        self.outer: set[str] = set()
        self.globals: set[str] = set()
        self.imports: dict[str, list[Import]] = {}
        self.slots: list[tuple[str, int, Import]] = []
        """Where in the text each import stands, should it matter."""
        self.names: list[Open] = []
        self.is_class = is_class
        self.is_comprehension = is_comprehension


class Scopes:
    """Text with gaps for names, filled when the scope that explains them is left."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.found: list[Open] = []
        """Names that imports inside functions explain."""
        self.top = Scope()
        self.scopes = [self.top]
        self.quiet = False
        """Whether what is written only makes something: see `Open.quiet`."""

    @property
    def names(self) -> list[Open]:
        """The names left for the module to explain, and those explained by imports in functions."""
        return self.top.names + self.found

    def open(self, chain: tuple[str, ...], line: int) -> Open:
        name = Open(chain, len(self.out), line, quiet=self.quiet)
        name.at_import = len(self.scopes) == 1
        self.out.append("")
        self.scopes[-1].names.append(name)
        return name

    def bind(self, name: str) -> None:
        self.scopes[-1].bound.add(name)

    def enter(self, scope: Scope) -> None:
        self.scopes.append(scope)

    def leave(self) -> None:
        """Close a scope: its local names are written, the others are handed outwards."""
        scope = self.scopes.pop()
        for root, place, found in scope.slots:
            if root in scope.bound or len(scope.imports[root]) > 1:  # one of several values of the name
                self.out[place] = f"import({root},{found.module},{found.attribute})"
        outer = next(item for item in reversed(self.scopes) if not item.is_class)
        for name in scope.names:
            root = name.chain[0]
            if root in scope.globals:
                self.top.names.append(name)
            elif root in scope.imports and root not in scope.outer:
                name.imported = scope.imports[root]
                name.local = root in scope.bound
                self.out[name.place] = ".".join(name.chain)
                self.found.append(name)
            elif root in scope.bound and root not in scope.outer:
                self.out[name.place] = "local " + ".".join(name.chain)
                if scope.is_class:  # `x = x` in a class takes the module's
                    self._soft(name, outer)
            else:
                outer.names.append(name)

    def _soft(self, name: Open, scope: Scope) -> None:
        again = Open(name.chain, -1, name.line, quiet=name.quiet)
        again.soft = True
        scope.names.append(again)


def annotation_names(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """The dotted names in an annotation, those in quotes included."""
    todo: list[ast.AST] = [node]
    while todo:
        item = todo.pop(0)
        inner = unquoted(item)
        if inner is not item:
            todo.append(inner)
        elif isinstance(item, (ast.Name, ast.Attribute)):
            chain = _dotted(item)
            if chain:
                yield chain
        else:
            todo[:0] = ast.iter_child_nodes(item)


def unquoted(node: Node) -> Node | ast.expr:
    """An annotation without its quotes; as it is where there are none, or no expression in them."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return node
    try:
        return ast.parse(node.value.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return node


def _dotted(node: ast.AST) -> tuple[str, ...]:
    chain: list[str] = []
    while isinstance(node, ast.Attribute):
        chain.append(node.attr)
        node = node.value
    return (node.id, *reversed(chain)) if isinstance(node, ast.Name) else ()
