"""Expressions and plain statements as text, once layout, comments, docstrings and annotations are forgotten."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, ClassVar

from labtech_cli.code.imports import Import, imports_of, loads_of
from labtech_cli.code.places import Place
from labtech_cli.code.scopes import Open, Scope, Scopes
from labtech_cli.code.table import MUTATORS

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_TAKERS = frozenset(("getattr", "hasattr", "attrgetter", "methodcaller", "__getattribute__"))
_MOST_BITS = 2_000  # of integers that are written in decimal: fewer digits than any limit that can be set
_FORGOTTEN = frozenset(("ctx", "kind", "type_comment", "annotation", "returns", "type_params", "type_ignores"))


class Words(Scopes):
    """Writes nodes of the module at `place`; `attributes` and `calls` are what it met on the way."""

    handlers: ClassVar[dict[type, Callable[[Any, Any], Any]]] = {}

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.attributes: set[str] = set()
        self.foreign: set[str] = set()
        """Those of them that are not taken from `self` itself."""
        self.calls: list[tuple[Open, ast.Call, Open | None]] = []
        self.loads: list[Import] = []
        self.dynamic: list[int] = []
        """Lines that take what a class has by a computed name: `type(self).__dict__[name]`."""
        self.fields: list[Open] = []
        """Names in the annotations of a class's fields."""
        self.marks: list[tuple[int, tuple[str, ...]]] = []
        """Where in the text it matters whether the annotation of a field is `ClassVar` or the like."""

    def statements(self, nodes: list[ast.stmt]) -> None:
        """Write `nodes`, between brackets."""
        self.out.append("[")
        for node in nodes:
            self.write(node)
        self.out.append("]")

    def write(self, node: ast.AST) -> Open | None:
        """Write one node; the open name, if it is one."""
        handler = self.handlers.get(type(node))
        if handler is not None:
            written: Open | None = handler(self, node)
            return written
        self._any(node)
        return None

    def _any(self, node: ast.AST) -> None:
        out = self.out
        out.append(type(node).__name__ + "(")
        for field in node._fields:
            if field in _FORGOTTEN:
                continue
            value = getattr(node, field, None)
            if isinstance(value, list):
                out.append("[")
                for item in value:
                    if isinstance(item, ast.AST):
                        self.write(item)
                    else:
                        out.append(repr(item))
                out.append("]")
            elif isinstance(value, ast.AST):
                self.write(value)
            else:  # a part that is left out is something else than `None` written there
                out.append("-" if value is None else repr(value) + ",")
        out.append(")")

    def _name(self, node: ast.Name) -> Open:
        if not isinstance(node.ctx, ast.Load):
            self.bind(node.id)
            self.out.append("=")
        name = self.open((node.id,), node.lineno)
        name.stored = not isinstance(node.ctx, ast.Load)
        name.makes = name.stored and len(self.scopes) == 1
        return name

    def _attribute(self, node: ast.Attribute) -> Open | None:
        chain: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        self.attributes.update(chain)
        self.foreign.update(chain[:-1] if _is_self(inner) else chain)
        if "__dict__" in chain and is_class_of(chain[chain.index("__dict__") + 1 :], inner):
            self.dynamic.append(node.lineno)
        stored = not isinstance(node.ctx, ast.Load)
        if stored:
            self.out.append("=")
        if isinstance(inner, ast.Name):
            name = self.open((inner.id, *reversed(chain)), node.lineno)
            name.stored = name.replaced = stored
            return name
        self.out.append("." + ".".join(reversed(chain)) + "(")
        self.write(inner)
        self.out.append(")")
        return None

    def _subscript(self, node: ast.Subscript) -> None:
        stored = not isinstance(node.ctx, ast.Load)
        self.out.append("=[" if stored else "[]")
        known = len(self.dynamic)
        owner = self.write(node.value)
        if isinstance(node.slice, ast.Constant):
            del self.dynamic[known:]
        if owner is not None:
            owner.stored |= stored
        self.write(node.slice)

    def _call(self, node: ast.Call) -> None:
        self.out.append("Call(")
        known = len(self.dynamic)
        function = self.write(node.func)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get" and _is_constant(node.args):
            del self.dynamic[known:]
        if function is not None and function.chain[-1] in MUTATORS and len(function.chain) > 1:
            function.stored = True
        if function is not None and function.chain[-1] in _TAKERS:
            texts = [item.value for item in node.args if isinstance(item, ast.Constant) and isinstance(item.value, str)]
            taken = {name for text in texts for name in text.split(".")}  # `attrgetter("one.two")`
            self.attributes |= taken
            self.foreign |= taken
        first: Open | None = None
        for number, item in enumerate(node.args):
            written = self.write(item)
            first = written if number == 0 else first
        for keyword in node.keywords:
            self.out.append(f"{keyword.arg}=")
            self.write(keyword.value)
        if function is not None:
            self.calls.append((function, node, first))
        self.out.append(")")

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.out.append(type(node).__name__ + "(")
        self.write(node.generators[0].iter)  # evaluated outside
        self.enter(Scope(is_comprehension=True))
        for number, generator in enumerate(node.generators):
            self.out.append("async for" if generator.is_async else "for")
            self.write(generator.target)
            if number:
                self.write(generator.iter)
            for test in generator.ifs:
                self.out.append("if")
                self.write(test)
        for part in ("elt", "key", "value"):
            if hasattr(node, part):
                self.write(getattr(node, part))
        self.leave()
        self.out.append(")")

    # Statements that bind, or say nothing

    def _walrus(self, node: ast.NamedExpr) -> None:
        scope = next(item for item in reversed(self.scopes) if not item.is_comprehension)
        scope.bound.add(node.target.id)
        self.out.append(f":={node.target.id}(")
        self.write(node.value)
        self.out.append(")")

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if len(self.scopes) > 1:
            self.loads += loads_of(node, self.place)
        for name, found in imports_of(node, self.place):
            if len(self.scopes) > 1 and name != "*":
                self.scopes[-1].imports.setdefault(name, []).append(found)
                self.scopes[-1].slots.append((name, len(self.out), found))
                self.out.append("")
                if self.scopes[-1].is_class:  # used as `self.name`, which says nothing here
                    self.found.append(Open((name,), -1, node.lineno, quiet=False))
                    self.found[-1].imported.append(found)
            else:  # at the top level, only where several imports or an assignment compete for a name
                self.out.append(f"import({found.module},{found.attribute})")

    def _outer(self, node: ast.Global | ast.Nonlocal) -> None:
        scope = self.scopes[-1]
        (scope.globals if isinstance(node, ast.Global) else scope.outer).update(node.names)
        self.out.append(f"{type(node).__name__} {','.join(sorted(node.names))};")

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is None:
            if isinstance(node.target, ast.Name) and len(self.scopes) > 1:
                self.bind(node.target.id)
            return
        self._assignment([node.target], node.value)

    def _assign(self, node: ast.Assign) -> None:
        self._assignment(node.targets, node.value)

    def _assignment(self, targets: list[ast.expr], value: ast.expr) -> None:
        self.out.append("assign(")
        for target in targets:
            self.write(target)
        self.write(value)
        self.out.append(")")

    def _expression(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring or `...` does nothing
            self.out.append("do(")
            self.write(node.value)
            self.out.append(")")

    def _nothing(self, node: ast.AST) -> None:
        pass

    def _return(self, node: ast.Return) -> None:
        self.out.append("return(")
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.write(node.value)
        self.out.append(")")

    def _constant(self, node: ast.Constant) -> None:
        self.out.append(constant_text(node.value) + ",")
        if isinstance(node.value, str) and node.value.isidentifier():
            self.attributes.add(node.value)

    def _formatted(self, node: ast.JoinedStr) -> None:
        if all(isinstance(item, ast.Constant) for item in node.values):
            text = "".join(str(item.value) for item in node.values if isinstance(item, ast.Constant))
            self.out.append(repr(text) + ",")
        else:
            self._any(node)

    def _named(self, node: Any) -> None:
        """Nodes that bind by a plain string: `except E as name`, captures of `match`."""
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name is not None:
            self.bind(name)
        self._any(node)


def constant_text(value: object) -> str:
    """A constant as text. Python refuses to write an integer of more than some thousands of decimal digits."""
    return hex(value) if type(value) is int and value.bit_length() > _MOST_BITS else repr(value)


def _is_constant(arguments: list[ast.expr]) -> bool:
    return bool(arguments) and isinstance(arguments[0], ast.Constant)


def is_class_of(chain: list[str], inner: ast.AST) -> bool:
    """Whether an expression is the class of something: `x.__class__`, `type(x)`, `cls`."""
    if chain:
        return chain[0] == "__class__"
    if isinstance(inner, ast.Call):
        return isinstance(inner.func, ast.Name) and inner.func.id == "type" and len(inner.args) == 1
    return isinstance(inner, ast.Name) and inner.id == "cls"


def _is_self(node: ast.AST) -> bool:
    """Whether a node is the object whose method this is: `self`, `cls`, `super()`."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


Words.handlers = {
    ast.Name: Words._name,
    ast.Attribute: Words._attribute,
    ast.Subscript: Words._subscript,
    ast.Call: Words._call,
    **dict.fromkeys(_COMPREHENSIONS, Words._comprehension),
    ast.NamedExpr: Words._walrus,
    ast.Import: Words._import,
    ast.ImportFrom: Words._import,
    ast.Global: Words._outer,
    ast.Nonlocal: Words._outer,
    ast.AnnAssign: Words._annotated,
    ast.Assign: Words._assign,
    ast.Expr: Words._expression,
    ast.Pass: Words._nothing,
    ast.Return: Words._return,
    ast.Constant: Words._constant,
    ast.JoinedStr: Words._formatted,
    **dict.fromkeys((ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping), Words._named),
}
