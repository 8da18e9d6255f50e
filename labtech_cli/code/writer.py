"""What statements say, once layout, comments, docstrings and annotations are forgotten.

One pass writes the syntax tree as text. Names are left open while their scope is, because only its
end tells which are local; those that remain are the module's, for `modules` to say what they mean.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from labtech_cli.code.fields import Reading
from labtech_cli.code.places import Place
from labtech_cli.code.scopes import Open, Scope, annotation_names, unquoted
from labtech_cli.code.words import Words


class Writer(Words):
    """Writes functions and classes, and what is in them."""

    def __init__(self, place: Place, *, within: frozenset[str] = frozenset()) -> None:
        super().__init__(place)
        self._within = within
        """Names of the class whose method this is: decorators and defaults see them."""

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.out.append(type(node).__name__ + "(")
        if len(self.scopes) > 1:
            self.out.append(node.name)
            self.bind(node.name)
        self._within_class(lambda: self._decorated(node.decorator_list, node.args))
        self.enter(Scope())
        self._parameters(node.args)
        for parameter in getattr(node, "type_params", ()):
            self.bind(parameter.name)
        self.statements(node.body)
        self.leave()
        self.out.append(")")

    def _within_class(self, write: Callable[[], None]) -> None:
        """Write what stands in the class body of a method that is written on its own."""
        if not self._within or len(self.scopes) > 1:
            write()
            return
        scope = Scope(is_class=True)
        scope.bound |= self._within
        self.enter(scope)
        write()
        self.leave()

    def _decorated(self, decorators: list[ast.expr], arguments: ast.arguments) -> None:
        quiet, self.quiet = self.quiet, True
        for item in decorators:
            self.out.append("@")
            self.write(item)
        self.quiet = quiet
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is None:
                self.out.append("-")
            else:
                self.write(default)

    def _parameters(self, arguments: ast.arguments) -> None:
        for kind in ("posonlyargs", "args", "kwonlyargs"):
            names = [item.arg for item in getattr(arguments, kind)]
            self.scopes[-1].bound.update(names)
            self.out.append(f"{kind}:{','.join(names)};")
        for star, item in (("*", arguments.vararg), ("**", arguments.kwarg)):
            if item is not None:
                self.bind(item.arg)
                self.out.append(star + item.arg)

    def _lambda(self, node: ast.Lambda) -> None:
        self.out.append("Lambda(")
        self._decorated([], node.args)
        self.enter(Scope())
        self._parameters(node.args)
        self.write(node.body)
        self.leave()
        self.out.append(")")

    def _class(self, node: ast.ClassDef) -> None:
        if len(self.scopes) > 1:
            self.out.append(node.name)
            self.bind(node.name)
        self.head(node)
        self.enter(Scope(is_class=True))
        plain = not (node.decorator_list or node.bases or node.keywords)  # of a class in a function, no more is known
        self.class_body(node.body, Reading.NOTHING if plain else Reading.FIELDS)
        self.leave()
        self.out.append(")")

    def head(self, node: ast.ClassDef) -> None:
        """Decorators, bases and keywords of a class. (Written before its scope is entered.)"""
        quiet, self.quiet = self.quiet, True
        self.out.append("class(")
        for item in node.decorator_list:
            self.out.append("@")
            self.write(item)
        for base in node.bases:
            if not (isinstance(base, ast.Name) and base.id == "object"):
                self.out.append(",")
                self.write(base)
        self.quiet = quiet
        for keyword in node.keywords:
            self.out.append(f"{keyword.arg}=")
            self.write(keyword.value)

    def header(self, node: ast.ClassDef, body: list[ast.stmt], reading: Reading) -> None:
        """A class without its methods: what it is made of, and its fields."""
        self.head(node)
        self.enter(Scope(is_class=True))
        self.scopes[-1].bound |= self._within
        self.class_body(body, reading)
        self.leave()
        self.out.append(")")

    def class_body(self, body: list[ast.stmt], reading: Reading) -> None:
        """Statements of a class; an annotation counts as far as something reads it."""
        for statement in body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                self._field(statement, statement.target, reading)
            else:
                self.write(statement)

    def _field(self, node: ast.AnnAssign, target: ast.Name, reading: Reading) -> None:
        plain = reading is Reading.NOTHING
        text = list(annotation_names(node.annotation))
        for chain in text:
            name = Open(chain, -1, node.lineno, quiet=True)
            name.soft = True
            self.fields.append(name)
        if plain and node.value is None:
            return
        self.out.append("assign(" if plain else "field(")
        if text and not plain:
            self.marks.append((len(self.out), text[0]))
            self.out.append("")
        if reading is Reading.TYPES:
            self.annotation(node.annotation)
        self.write(target)
        if node.value is not None:
            self.write(node.value)
        self.out.append(")")

    def annotation(self, node: ast.expr) -> None:
        """An annotation that something reads, with or without quotes."""
        self.out.append(":")
        self.write(unquoted(node))


Writer.handlers = {
    **Words.handlers,
    ast.FunctionDef: Writer._function,
    ast.AsyncFunctionDef: Writer._function,
    ast.Lambda: Writer._lambda,
    ast.ClassDef: Writer._class,
}
