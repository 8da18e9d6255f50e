"""The top level of one module: which statements make or change each of its names.

All definitions of a name count, whichever branch of an `if` or `try` they stand in, and so do the
statements that change what it holds (`X[...] = `, `X.append(...)`). What importing the module does
to others (`random.seed(0)`) stands under the name `<import>`.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Iterator
from typing import Any

from labtech_cli.code.imports import Import, imports_of, is_script, loads_of
from labtech_cli.code.places import Place

IMPORT = "<import>"
MUTATORS = frozenset(
    (
        *("append", "extend", "insert", "remove", "sort", "reverse", "appendleft", "extendleft"),
        *("add", "update", "setdefault", "pop", "popitem", "discard", "clear", "__setitem__"),
        *("register", "subscribe", "connect"),
    )
)
_HARMLESS = frozenset(
    (
        *("logging", "warnings", "sys", "faulthandler", "matplotlib", "seaborn", "IPython", "dotenv", "rich", "tqdm"),
        *("mlflow", "wandb", "labtech", "labtech_cli"),
    )
)
"""Modules whose calls at the top level speak, draw or track, and do not change what tasks compute."""
_SETTERS = (("setattr",), ("delattr",))
_STARTS = (("main",), ("cli",), ("app",))
"""Calls that start a program, which says nothing about what tasks compute."""
_SILENT = frozenset(dir(builtins)) - {"exec", "eval"}
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Table:
    """The names of one module."""

    def __init__(self, place: Place, tree: ast.Module, text: str, problem: str = "", *, warning: str = "") -> None:
        self.place = place
        self.name = place.name
        self.text = text
        self.problem = problem
        """Why there is nothing to read, if so."""
        self.warning = problem or warning
        self.imports: dict[str, list[Import]] = {}
        self.for_types: dict[str, list[Import]] = {}
        """Imports under `if TYPE_CHECKING`, which annotations use."""
        self.loads: dict[Import, None] = {}
        """What its import statements name, whatever they bind: importing it imports these."""
        self.stars: list[str] = []
        self.star_lines: list[int] = []
        self.statements: dict[str, list[ast.stmt]] = {}
        self.made: set[str] = set()
        """Names that something other than an import binds or changes."""
        self.script: set[str] = set()
        """Names bound or changed under `if __name__ == "__main__"`."""
        self._lines: list[str] | None = None
        self._definitions: dict[str, list[ast.AST]] = {}
        for statement in tree.body:
            self._enter(statement)

    @property
    def lines(self) -> list[str]:
        """The text, line by line."""
        if self._lines is None:
            self._lines = self.text.split("\n")
        return self._lines

    def is_alias(self, name: str) -> bool:
        """Whether `name` is only another name of what one import takes from elsewhere."""
        return name not in self.made and len(self.imports.get(name, ())) == 1

    def definitions(self, name: str) -> list[ast.AST]:
        """The functions and classes called `name`, in whichever branch."""
        found = self._definitions.get(name)
        if found is None:
            found = self._definitions[name] = []
            for statement in self.statements.get(name, ()):
                nodes = _flat([statement]) if isinstance(statement, _NESTING) else [statement]
                found += [node for node in nodes if isinstance(node, _DEFINES) and node.name == name]
        return found

    def exports(self, name: str) -> bool:
        """Whether `from module import *` takes `name`."""
        listed = [node for node in self.statements.get("__all__", ()) if isinstance(node, (ast.Assign, ast.AugAssign))]
        strings = [item.value for node in listed for item in ast.walk(node.value) if isinstance(item, ast.Constant)]
        whole = all(isinstance(node.value, (ast.List, ast.Tuple)) for node in listed)
        return name in strings if listed and whole else not name.startswith("_") or name in strings

    def changed_elsewhere(self) -> list[tuple[str, ...]] | None:
        """The names of other modules that importing this one changes; None where it does more than to change names."""
        found = []
        for node in self.statements.get(IMPORT, ()):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                *chain, last = root_of(node.value.func) or ("",)
                chain = chain if last in MUTATORS else []
            elif isinstance(node, ast.Assign) and len(node.targets) == 1:
                chain = list(root_of(node.targets[0]) or ())
            else:
                chain = []
            if not chain:
                return None
            found.append(tuple(name for name in chain if name != "[]"))
        return found

    def pruned(self, statement: ast.stmt, name: str) -> ast.stmt:
        """`statement` with only what concerns `name`."""
        if isinstance(statement, (ast.If, ast.Try)):
            return self._branches(statement, name)
        if isinstance(statement, ast.Assign):
            return _one_target(statement, name)
        return statement

    def _branches(self, statement: ast.stmt, name: str) -> ast.stmt:
        slim = copy.copy(statement)
        for part in ("body", "orelse", "finalbody"):
            kept = [item for item in getattr(statement, part, ()) if self._concerns(item, name, statement)]
            if hasattr(slim, part):
                setattr(slim, part, [self.pruned(item, name) for item in kept])
        if isinstance(slim, ast.Try):
            slim.handlers = [copy.copy(handler) for handler in slim.handlers]
            for handler in slim.handlers:
                kept = [item for item in handler.body if self._concerns(item, name, None)]
                handler.body = [self.pruned(item, name) for item in kept]
        return slim

    def _concerns(self, item: ast.stmt, name: str, within: ast.stmt | None) -> bool:
        """Whether `item` touches `name`, or is an import whose failure decides which branch does."""
        decides = isinstance(within, ast.Try) and isinstance(item, (ast.Import, ast.ImportFrom))
        return decides or name in self._touched(item)

    def _enter(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.If):
            if (root_of(statement.test) or ("",))[-1] == "TYPE_CHECKING":
                for inner in _flat(statement.body):
                    self._import(inner, self.for_types)
                for inner in statement.orelse:
                    self._enter(inner)
                return
            if (of_script := is_script(statement.test)) is not None:
                script, imported = statement.body, statement.orelse
                if not of_script:
                    script, imported = imported, script
                self.script.update(*(self._touched(inner) for inner in script))
                for inner in imported:
                    self._enter(inner)
                return
        for inner in [statement] if not isinstance(statement, _NESTING) else _flat([statement]):
            self._import(inner, self.imports)
            self.loads.update(dict.fromkeys(loads_of(inner, self.place)))
        touched = self._touched(statement)
        for name in touched:
            self.statements.setdefault(name, []).append(statement)
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            nesting = isinstance(statement, _NESTING)
            self.made.update(self._touched(statement, imports=False) if nesting else touched)

    def _import(self, node: ast.AST, into: dict[str, list[Import]]) -> None:
        for name, found in imports_of(node, self.place):
            if name == "*":
                self.stars.append(found.module)
                self.star_lines.append(getattr(node, "lineno", 0))
            elif found not in into.setdefault(name, []):
                into[name].append(found)

    def _touched(self, statement: ast.stmt, *, imports: bool = True) -> set[str]:
        """The names that `statement` binds or changes, and `<import>` if it changes something elsewhere."""
        if isinstance(statement, _DEFINES):
            return {statement.name}
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            return {name for name, _ in imports_of(statement, self.place)} - {"*"} if imports else set()
        found: set[str] = set()
        alone: list[ast.expr] = []  # calls that stand for their effect, not for their value
        for node in _flat([statement]):
            if isinstance(node, _DEFINES):
                found.add(node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                found |= self._touched(node, imports=imports)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                found.add(node.name)
            elif isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
                found |= self._stored(node)
            elif isinstance(node, ast.Call):
                found |= self._called(node, alone=node in alone)
            elif isinstance(node, ast.Expr):
                alone.append(node.value)
        return found - {""}

    def _stored(self, node: ast.Name | ast.Attribute | ast.Subscript) -> set[str]:
        if isinstance(node.ctx, ast.Load):
            return set()
        chain = root_of(node)
        if chain is None:
            return {IMPORT}
        if isinstance(node, ast.Name):
            return {chain[0]}
        return {self._elsewhere(chain[0])}

    def _called(self, node: ast.Call, *, alone: bool) -> set[str]:
        """What a call at the top level changes: what it is a method of, and what it is given."""
        chain = root_of(node.func)
        if chain in _SETTERS and node.args:
            chain = (*(root_of(node.args[0]) or ("",)), "setattr")
        if (
            chain is None
            or self._starts_program(chain)
            or (len(chain) == 1 and chain[0] in _SILENT - set(self.statements))
        ):
            return set()
        if chain[-1] not in MUTATORS and not alone:
            return self._filled(chain[0], node) if len(chain) == 1 else set()
        owner = self._elsewhere(chain[0]) if len(chain) > 1 or chain[0] in self.imports else IMPORT
        given = {item.id for item in node.args if isinstance(item, ast.Name)} if alone else set()
        data = {name for name in given & self.made if not self.definitions(name)}
        return data or {owner}

    def _filled(self, name: str, call: ast.Call) -> set[str]:
        """What a function of this module, called for its value, visibly changes of what it is given."""
        functions = [node for node in self.statements.get(name, ()) if isinstance(node, ast.FunctionDef)]
        given = [(place, item.id) for place, item in enumerate(call.args) if isinstance(item, ast.Name)]
        return {
            data
            for function in functions
            for place, data in given
            if data in self.made
            and place < len(function.args.args)
            and _changes(function, function.args.args[place].arg)
        }

    def _starts_program(self, chain: tuple[str, ...]) -> bool:
        """Whether a call is that of a script's `main()`, by its name or because it runs tasks."""
        if chain in _STARTS or len(chain) > 1:
            return chain in _STARTS
        nodes = [node for node in self.statements.get(chain[0], ()) if isinstance(node, _DEFINES)]
        texts = ["\n".join(self.lines[node.lineno - 1 : node.end_lineno]) for node in nodes]
        return any(sign in text for text in texts for sign in (".run_task", "Lab("))

    def _elsewhere(self, root: str) -> str:
        """`root`, or `<import>` if that is something imported."""
        if root not in self.imports:
            return root
        harmless = self.imports[root][0].module.partition(".")[0] in _HARMLESS
        return IMPORT if not harmless else ""


_NESTING = (ast.If, ast.Try, ast.With, ast.AsyncWith, ast.For, ast.AsyncFor, ast.While, ast.Match)
_LEAVES = (ast.expr_context, ast.operator, ast.Constant)
_CLOSED = (*_DEFINES, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def root_of(node: ast.AST) -> tuple[str, ...] | None:
    """The dotted names of `a.b[...].c` up to its first subscript or call, or None without a name to begin with."""
    chain: list[str] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            chain.append(node.attr)
            node = node.value
        elif isinstance(node, (ast.Subscript, ast.Starred)):
            chain.append("[]")
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return None
    return (node.id, *reversed(chain))


def _flat(nodes: list[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes that run when `nodes` do: functions and classes are given, but not entered."""
    todo: list[Any] = list(reversed(nodes))
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, _CLOSED):
            continue
        for field in reversed(node._fields):
            value = getattr(node, field, None)
            if isinstance(value, list):
                todo.extend([item for item in reversed(value) if isinstance(item, ast.AST)])
            elif isinstance(value, ast.AST) and not isinstance(value, _LEAVES):
                todo.append(value)


def _changes(function: ast.FunctionDef, name: str) -> bool:
    """Whether a function visibly changes what its parameter `name` holds."""
    for node in ast.walk(function):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, (ast.Store, ast.Del)):
            chain = root_of(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            chain = root_of(node.func)
        else:
            continue
        if chain is not None and chain[0] == name:
            return True
    return False


def _one_target(statement: ast.Assign, name: str) -> ast.stmt:
    """`a = b = 1` and `a, b = 1, 2` with only what `name` gets."""
    slim = ast.copy_location(ast.Assign(targets=statement.targets, value=statement.value), statement)
    names = [item for item in statement.targets if isinstance(item, ast.Name)]
    if len(names) == len(statement.targets):
        slim.targets = [item for item in statement.targets if isinstance(item, ast.Name) and item.id == name]
        return slim if slim.targets else statement
    target, value = statement.targets[0], statement.value
    if len(statement.targets) > 1 or not isinstance(target, (ast.Tuple, ast.List)):
        return statement
    if not isinstance(value, (ast.Tuple, ast.List)) or len(value.elts) != len(target.elts):
        return statement
    pairs = list(zip(target.elts, value.elts, strict=True))
    if any(isinstance(item, ast.Starred) for pair in pairs for item in pair):
        return statement
    kept = [pair for pair in pairs if isinstance(pair[0], ast.Name) and pair[0].id == name]
    if len(kept) != 1:
        return statement
    slim.targets, slim.value = [kept[0][0]], kept[0][1]
    return slim
