"""A small project, and hundreds of edits of it: those that change what some task computes, and those that cannot.

`project.txt` says in `#: Task ...` comments which task types can reach each definition. Each edit is
made by meaning, at every place in the project where its kind of change is possible.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

TASKS = {"Train": "steps", "Score": "steps", "Report": "steps", "Solo": "other"}


@dataclass(frozen=True)
class Edit:
    """One edit: a whole file's new text, and the task types whose code it changes."""

    kind: str
    place: str
    path: str
    text: str
    tasks: frozenset[str]


def project() -> dict[str, str]:
    """The files of the project."""
    text = (Path(__file__).parent / "project.txt").read_text("utf-8")
    files = {}
    for chunk in text.split("=== ")[1:]:
        path, _, body = chunk.partition("\n")
        files[path] = body
    return files


def reach(files: dict[str, str], path: str) -> Callable[[int], frozenset[str]]:
    """Which task types reach a line of a file, by the marks of the innermost definition around it."""
    lines = files[path].split("\n")
    spans: list[tuple[int, int, str]] = []
    for node in ast.walk(ast.parse(files[path])):
        if isinstance(node, ast.stmt) and "#:" in lines[node.lineno - 1]:
            first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", ()))])
            spans.append((first, node.end_lineno or 0, lines[node.lineno - 1].partition("#:")[2].strip()))

    def at(line: int) -> frozenset[str]:
        around = [(last - first, mark) for first, last, mark in spans if first <= line <= last]
        return frozenset(min(around, default=(0, ""))[1].split()) - {"-"}

    return at


# Edits that change meaning: each takes a copy of a node and changes it, or says it cannot.


def number(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or type(node.value) not in (int, float, bool):
        return False
    node.value = not node.value if isinstance(node.value, bool) else node.value + 1
    return True


def string(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    node.value += "z"
    return True


def operator(node: ast.AST) -> bool:
    swaps = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}
    if not isinstance(node, (ast.BinOp, ast.AugAssign)) or type(node.op) not in swaps:
        return False
    node.op = swaps[type(node.op)]()
    return True


def comparison(node: ast.AST) -> bool:
    swaps = {ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn}
    if not isinstance(node, ast.Compare) or type(node.ops[0]) not in swaps:
        return False
    node.ops[0] = swaps[type(node.ops[0])]()
    return True


def connective(node: ast.AST) -> bool:
    if not isinstance(node, ast.BoolOp):
        return False
    node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    return True


def branch(node: ast.AST) -> bool:
    if not isinstance(node, (ast.If, ast.IfExp, ast.While)):
        return False
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return True


def return_value(node: ast.AST) -> bool:
    if not isinstance(node, ast.Return) or node.value is None:
        return False
    node.value = ast.Tuple([node.value], ast.Load())
    return True


def no_filter(node: ast.AST) -> bool:
    if not isinstance(node, ast.comprehension) or not node.ifs:
        return False
    node.ifs = []
    return True


def no_decorator(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    if not decorators or "task" in ast.unparse(decorators[0]):
        return False
    del decorators[0]
    return True


def other_decorator(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef) or node.name in ("run", "post_init") or "wrap" in node.name:
        return False
    wrap = "lambda function: lambda *given, **named: (function(*given, **named), 1)"
    node.decorator_list.append(ast.parse(wrap, mode="eval").body)
    return True


def other_base(node: ast.AST) -> bool:
    if not isinstance(node, ast.ClassDef) or node.bases:
        return False
    node.bases = [ast.parse("type('Extra', (), {'extra': 1})", mode="eval").body]
    return True


def statement_order(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    if not isinstance(node, (ast.FunctionDef, ast.For)) or not isinstance(body, list) or len(body) < 2:
        return False
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        return False
    if any(isinstance(item, (ast.Import, ast.ImportFrom, ast.Global)) for item in body[:2]):
        return False
    body[0], body[1] = body[1], body[0]
    return True


def no_keyword(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not node.keywords or node.keywords[0].arg in ("cache", None):
        return False
    del node.keywords[0]
    return True


def other_keyword(node: ast.AST) -> bool:
    if not isinstance(node, ast.keyword) or node.arg in ("cache", "max_parallel", "metaclass", None):
        return False
    node.arg += "_"
    return True


def exception(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler) or "ImportError" in ast.unparse(node.type or node):
        return False
    node.type = ast.Name("KeyError", ast.Load())
    return True


def entry_gone(node: ast.AST) -> bool:
    if not isinstance(node, ast.Dict) or not node.keys:
        return False
    del node.keys[0], node.values[0]
    return True


def items_turned(node: ast.AST) -> bool:
    elements = getattr(node, "elts", [])
    if not isinstance(node, (ast.List, ast.Tuple)) or len(elements) < 2 or not isinstance(node.ctx, ast.Load):
        return False
    if ast.dump(elements[0]) == ast.dump(elements[-1]) or "'clean'" in ast.unparse(node):
        return False
    elements.reverse()
    return True


def formatted(node: ast.AST) -> bool:
    if not isinstance(node, ast.FormattedValue):
        return False
    node.conversion = ord("r") if node.conversion == -1 else -1
    return True


def method_called(node: ast.AST) -> bool:
    swaps = {"append": "remove", "upper": "lower", "title": "lower", "rjust": "ljust", "get": "pop", "match": "search"}
    if not isinstance(node, ast.Attribute) or node.attr not in swaps:
        return False
    node.attr = swaps[node.attr]
    return True


def builtin_called(node: ast.AST) -> bool:
    swaps = {"sum": "max", "min": "max", "max": "min", "len": "bool", "sorted": "list", "set": "dict", "int": "str"}
    if not isinstance(node, ast.Name) or node.id not in swaps or not isinstance(node.ctx, ast.Load):
        return False
    node.id = swaps[node.id]
    return True


def body_gone(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef) or len(node.body) < 2 or "yield" in ast.unparse(node):
        return False
    del node.body[-1]
    return True


def member_added(node: ast.AST) -> bool:
    if not isinstance(node, ast.ClassDef):
        return False
    node.body.append(ast.parse("__extra__ = 5").body[0])
    return True


SEMANTIC = [
    number, string, operator, comparison, connective, branch, return_value, no_filter, no_decorator,
    other_decorator, other_base, statement_order, no_keyword, other_keyword, exception, entry_gone,
    items_turned, formatted, method_called, builtin_called, body_gone, member_added,
]  # fmt: skip


def skipped(tree: ast.Module) -> set[int]:
    """Nodes that say nothing: docstrings, annotations, imports, `__all__` and the options of `@task`."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node)
        if isinstance(node, (ast.arg, ast.AnnAssign)):
            parts.append(node.annotation)
        if isinstance(node, ast.FunctionDef):
            parts.append(node.returns)
        if isinstance(node, ast.ClassDef):
            parts += [item for item in node.decorator_list if "task" in ast.unparse(item)]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            parts.append(node)
        for part in parts:
            found.update(id(inner) for inner in ast.walk(part)) if part is not None else None
    return found


def semantic(files: dict[str, str]) -> Iterator[Edit]:
    """Each kind of change at each place where it can be made; those elsewhere must change nothing."""
    for path, text in files.items():
        at = reach(files, path)
        tree = ast.parse(text)
        silent = skipped(tree)
        nodes = list(ast.walk(tree))
        for index, node in enumerate(nodes):
            if id(node) in silent:
                continue
            for change in SEMANTIC:
                if not change(copy.deepcopy(node)):
                    continue
                edited = copy.deepcopy(tree)
                target = list(ast.walk(edited))[index]
                change(target)
                line = getattr(node, "lineno", 0) or getattr(getattr(node, "iter", None), "lineno", 0)
                tasks = at(line)
                yield Edit(
                    change.__name__, f"{path}:{line}", path, ast.unparse(ast.fix_missing_locations(edited)), tasks
                )
    yield from semantic_by_hand(files)


# ruff: noqa: E501
BY_HAND = [
    ("re-export", "pkg/__init__.py", "from .data import load, clean", "from .data import load, discard as clean", "Train"),
    ("re-export", "pkg/models/__init__.py", "from .factory import build", "from .base import Model as build", "Train"),
    ("import", "steps.py", "from pkg.slow import total", "from builtins import sum as total", "Score"),
    ("import", "pkg/deep/one.py", "two import second", "five import last", "Train"),
    ("import", "pkg/deep/two.py", "pkg.deep.three.go(x)", "pkg.deep.five.last(x)", "Train"),
    ("import", "pkg/deep/three.py", "from . import four as f", "from . import one as f", "Train"),
    ("import", "pkg/data.py", "import square as sq", "import clip as sq", "Train"),
    ("import", "steps.py", "DEFAULT_METRIC as CHOSEN", "metric as CHOSEN", "Score"),
    ("import", "steps.py", "from pkg.text import Page as P", "from pkg.text import Sheet as P", "Report"),
    ("import", "other.py", "from pkg.maths import tangent", "from pkg.maths import square as tangent", "Solo"),
    ("base", "steps.py", "class Score(Common):", "class Score(Mixed, Common):", "Score"),
    ("base", "pkg/text.py", "class Page(Sheet):", "class Page(dict):", "Report"),
    ("base", "pkg/models/linear.py", "class Linear(Model):", "class Linear(Flat := Model):", "Train"),
    ("metaclass", "pkg/text.py", "metaclass=Meta", "metaclass=type", "Report"),
    ("constant", "steps.py", "OFFSETS[0] += 7", "OFFSETS[1] += 7", "Train"),
    ("constant", "steps.py", "OFFSETS.append(5)", "OFFSETS.insert(0, 5)", "Train"),
    ("constant", "steps.py", "UNUSED = 12", "UNUSED = 12\nLOW += 1", "Score"),
    ("constant", "plain.py", "COUNT = 40  #: Report\n", "COUNT = 40\nCOUNT *= 2\n", "Report"),
    ("constant", "pkg/text.py", "STYLES = {", "STYLES = {'q': str, ", "Report"),
    ("constant", "pkg/registry.py", '@metric("range")', "METRICS['late'] = max\n@metric('range')", "Score"),
    ("registry", "pkg/plugins.py", "def idle(x):", "@register('idle')\ndef idle(x):", "Score"),
    ("registry", "pkg/plugins.py", '@register("last")', "@register('final')", "Score"),
    ("registry", "pkg/plugins.py", "def idle(x):", "register('again')(halve)\ndef idle(x):", "Score"),
    ("definition", "pkg/data.py", "else:\n    def jitter", "elif STEP:\n    def jitter", "Train"),
    ("definition", "pkg/maths.py", "def tangent(x)", "def square(x):\n    return x ** 2 + 0.0\n\ndef tangent(x)", "Train Score"),
    ("definition", "pkg/config.py", "def spare", "RATE = RATE / 2\ndef spare", "Train"),
    ("definition", "pkg/config.py", "def spare", "if ALIVE:\n    UNIT = 'm'\ndef spare", "Score Report"),
    ("enum", "pkg/enums.py", "FAST = QUICK", "FAST = auto()", "Train"),
    ("enum", "pkg/enums.py", "QUICK = auto()", "ZERO = auto()\n    QUICK = auto()", "Train"),
    ("enum", "pkg/enums.py", "class Mode(Enum)", "class Mode(str, Enum)", "Train"),
    ("field", "pkg/config.py", "    depth: int = 3\n    names", "    names2: int = 0\n    depth: int = 3\n    names", "Train"),
    ("field", "pkg/deep/four.py", "    x: int\n", "    x: int\n    y: int = 1\n", "Train"),
    ("field", "pkg/deep/four.py", "weight: int = 2", "weight = 2", "Train"),
    ("field", "pkg/config.py", "    rate: float = 0.5", "    rate: 'ClassVar[float]' = 0.5", "Train"),
    ("field", "steps.py", "    seed: int\n", "    seed: int\n    more: int = 0\n", "Train"),
    ("field", "pkg/models/base.py", "    rounds = 2", "    rounds = 2\n    rounds: int = 3", "Train"),
    ("override", "pkg/models/linear.py", "    def bias(self)", "    def fit(self, values):\n        return 0\n\n    def bias(self)", "Train"),
    ("override", "steps.py", "    def work(self):\n        values", "    def finish(self, v):\n        return v\n    def work(self):\n        values", "Score"),
    ("import effect", "pkg/deep/five.py", "import math\n", "import math\nimport random\nrandom.seed(3)\n", "Train"),
    ("import effect", "plain.py", "from functools import partial\n", "from functools import partial\nimport random\nrandom.seed(3)\n", "Train Score Report"),
    ("import effect", "pkg/data.py", "from . import maths\n", "from . import maths\nimport os\nos.environ['A'] = '1'\n", "Train Score Report Solo"),
    ("import effect", "steps.py", "import plain\n", "import plain\nplain.power = max\n", "Train Score Report"),
    ("import effect", "pkg/enums.py", "class Colour", "if __name__ == '__main__':\n    pass\nelse:\n    Mode.extra = 2\n\nclass Colour", "Train"),
    ("constant", "steps.py", "UNUSED = 12\n", "UNUSED = 12\ndef fill(values, more):\n    values.append(more)\n    return True\n_ok = fill(OFFSETS, 3)\n", "Train"),
    ("constant", "steps.py", "UNUSED = 12\n", "UNUSED = 12\ndef peek(values):\n    return values[0]\n_first = peek(OFFSETS)\n", ""),
    ("shadow", "pkg/maths.py", "def square(x):", "def sum(values):\n    return 0\n\ndef square(x):", "Score"),
    ("static", "steps.py", "    @staticmethod\n    def signed(value):", "    @classmethod\n    def signed(self, value):", "Train"),
    ("async", "steps.py", "values = clean(pkg.load(self.seed))", "values = pkg.load(self.seed)", "Train"),
    ("computed", "steps.py", "self.describe(self.train.seed)", "self.describe(seed=self.train.seed)", "Score"),
    ("loop", "pkg/slow.py", "    else:\n        result += 1\n", "    result += 2\n", "Score"),
    ("global", "plain.py", "    global COUNT\n    COUNT += 1\n", "    COUNT = 1\n", "Report"),
]  # fmt: skip


def semantic_by_hand(files: dict[str, str]) -> Iterator[Edit]:
    """Edits that no rule makes."""
    for kind, path, old, new, tasks in BY_HAND:
        assert files[path].count(old) == 1, (path, old)
        yield Edit(kind, f"{path}: {new[:40]!r}", path, files[path].replace(old, new), frozenset(tasks.split()))
