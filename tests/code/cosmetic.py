"""Edits that change how the project is written and nothing that it does."""

from __future__ import annotations

import ast
import copy
import io
import itertools
import re
import tokenize
from collections.abc import Callable, Iterator

from corpus import Edit

Spot = tuple[str, str]
"""Where in the file, and the file's new text."""


def replaced(text: str, node: ast.AST, new: Callable[[str], str]) -> str:
    """`text` with the source of `node` changed."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()) + 1)
    raw = text.encode()
    first = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
    last = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
    return (raw[:first] + new(raw[first:last].decode()).encode() + raw[last:]).decode()


def statements(text: str) -> list[ast.stmt]:
    """Statements that begin their line, decorators and all."""
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]


def inserted(text: str, node: ast.stmt, line: str) -> str:
    """`text` with a line before `node`, indented like it."""
    lines = text.split("\n")
    first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", ()))])
    lines.insert(first - 1, " " * node.col_offset + line if line else "")
    return "\n".join(lines)


def comments(text: str) -> Iterator[Spot]:
    for node in statements(text)[::5]:
        if "elif" not in text.split("\n")[node.lineno - 1] and "; " not in text.split("\n")[node.lineno - 1]:
            yield f"line {node.lineno}", inserted(text, node, "# a remark, 'quoted' and: odd (")


def blank_lines(text: str) -> Iterator[Spot]:
    for node in statements(text)[3::11]:
        if "elif" not in text.split("\n")[node.lineno - 1]:
            yield f"line {node.lineno}", inserted(inserted(text, node, ""), node, "")


def docstrings(text: str) -> Iterator[Spot]:
    tree = ast.parse(text)
    places = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    for number, node in enumerate(places):
        if number % 3 == 0:
            old = ast.get_docstring(node)
            edited = copy.deepcopy(tree)
            target = [item for item in ast.walk(edited) if isinstance(item, (ast.FunctionDef, ast.ClassDef))][number]
            if old is not None:
                del target.body[0]
            target.body.insert(0, ast.parse('"Says something else."').body[0])
            if number % 2:
                target.body.insert(1, ast.Pass())
            yield f"{node.name}", ast.unparse(ast.fix_missing_locations(edited))
    yield (
        "module",
        '"""Another docstring."""\n' + text if ast.get_docstring(tree) is None else text.replace(".", "!", 1),
    )


def unparsed(text: str) -> Iterator[Spot]:
    yield "whole", ast.unparse(ast.parse(text))
    yield (
        "indented by one",
        re.sub(r"(?m)^(?:    )+", lambda found: " " * (len(found[0]) // 4), ast.unparse(ast.parse(text))),
    )


def line_ends(text: str) -> Iterator[Spot]:
    yield "CRLF", text.replace("\n", "\r\n")
    yield "BOM", "\ufeff" + text
    yield "coding", "# -*- coding: latin-1 -*-\n" + text


def quotes(text: str) -> Iterator[Spot]:
    lines = text.split("\n")
    for number, token in enumerate(tokenize.generate_tokens(io.StringIO(text).readline)):
        plain = token.type == tokenize.STRING and token.string[0] in "'\"" and token.string[:3] != '"""'
        if plain and number % 2 == 0 and token.string.count(token.string[0]) == 2:
            mark = "'''" if number % 4 else "'" if token.string[0] == '"' else '"'
            row, column = token.start
            changed = list(lines)
            line = changed[row - 1]
            end = token.end[1]
            inside = line[:column].count('f"') and "{" in line[:column]
            if not inside:
                changed[row - 1] = line[:column] + mark + token.string[1:-1] + mark + line[end:]
                yield f"{row}:{column}", "\n".join(changed)


def numbers(text: str) -> Iterator[Spot]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            value = node.value
            new = hex(value) if isinstance(value, int) else f"{value * 10}e-1"
            if ast.literal_eval(new) == value and 'f"' not in text.split("\n")[node.lineno - 1]:
                yield f"{node.lineno}:{node.col_offset}", replaced(text, node, lambda _, new=new: f" {new}")


def parentheses(text: str) -> Iterator[Spot]:
    for number, node in enumerate(
        item for item in ast.walk(ast.parse(text)) if isinstance(item, (ast.Return, ast.Assign))
    ):
        if node.value is not None and number % 3 == 0 and not isinstance(node.value, ast.Starred):
            yield f"line {node.lineno}", replaced(text, node.value, lambda old: f"(\n    ({old})  # so\n)")


def line_breaks(text: str) -> Iterator[Spot]:
    for number, node in enumerate(item for item in ast.walk(ast.parse(text)) if isinstance(item, ast.Call)):
        inside = 'f"' in text.split("\n")[node.lineno - 1]
        if number % 4 == 0 and node.args and not inside and not isinstance(node.args[0], ast.GeneratorExp):
            yield f"line {node.lineno}", replaced(text, node.args[0], lambda old: f"\n        {old}")


def trailing_commas(text: str) -> Iterator[Spot]:
    for number, node in enumerate(item for item in ast.walk(ast.parse(text)) if isinstance(item, (ast.Call, ast.List))):
        inside = 'f"' in text.split("\n")[node.lineno - 1]
        whole = isinstance(node, ast.List) or (
            node.args and not isinstance(node.args[-1], (ast.GeneratorExp, ast.Starred))
        )
        empty = isinstance(node, ast.List) and not node.elts
        if number % 3 == 0 and whole and not inside and not empty:
            yield f"line {node.lineno}", replaced(text, node, lambda old: old[:-1] + "," + old[-1])


def annotations(text: str) -> Iterator[Spot]:
    """Annotations of parameters, results and locals added, removed and respelled."""
    tree = ast.parse(text)
    count = sum(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))
    for number in range(0, count, 2):
        edited = copy.deepcopy(tree)
        node = [item for item in ast.walk(edited) if isinstance(item, ast.FunctionDef)][number]
        for item in (*node.args.args, *node.args.kwonlyargs):
            item.annotation = None if item.annotation else ast.Constant("Unheard | None")
        node.returns = None if node.returns else ast.Constant("list[Unheard]")
        for index, inner in enumerate(node.body):
            if isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Name) and number % 4 == 0:
                new = ast.AnnAssign(inner.targets[0], ast.Name("int", ast.Load()), inner.value, 1)
                node.body[index] = new
        yield node.name, ast.unparse(ast.fix_missing_locations(edited))


def field_types(text: str) -> Iterator[Spot]:
    """Types of fields in quotes."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation):
            yield f"line {node.lineno}", replaced(text, node.annotation, lambda old: f'"{old}"')


def class_constants(text: str) -> Iterator[Spot]:
    """Annotations where nothing reads them: in classes whose bases are plain."""
    for node in ast.walk(ast.parse(text)):
        plain = isinstance(node, ast.ClassDef) and not node.decorator_list and not node.keywords
        if plain and {ast.unparse(base) for base in node.bases} <= {"Model", "Common", "abc.ABC"}:
            yield f"line {node.lineno}", inserted(text, node.body[0], 'unheard: "Unheard"')
            for item in node.body:
                if isinstance(item, ast.Assign):
                    target = item.targets[0]
                    yield f"line {item.lineno}", replaced(text, target, lambda old: f"{old}: int")


def imports_turned(text: str) -> Iterator[Spot]:
    tree = ast.parse(text)
    plain = [n for n, item in enumerate(tree.body) if isinstance(item, (ast.Import, ast.ImportFrom))]
    plain = [n for n in plain if getattr(tree.body[n], "module", "") != "__future__"]
    if len(plain) > 1:
        turned = [tree.body[n] for n in reversed(plain)]
        for index, item in zip(plain, turned, strict=True):
            tree.body[index] = item
        yield "all", ast.unparse(tree)


def importing(text: str, path: str) -> Iterator[Spot]:
    """`from m import x` as `import m as y` with `y.x`, and under another name, and in the functions."""
    tree = ast.parse(text)
    if path.endswith("__init__.py"):
        return
    package = path.split("/")[:-1]
    for index, node in enumerate(tree.body):
        if not isinstance(node, ast.ImportFrom) or node.module == "__future__" or node.names[0].name == "*":
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        for item in node.names:
            name = item.asname or item.name
            rest = [ast.alias(other.name, other.asname) for other in node.names if other is not item]
            for style in ("module", "alias", "inside"):
                edited = copy.deepcopy(tree)
                left: list[ast.stmt] = [ast.ImportFrom(node.module, rest, node.level)] if rest else []
                new, shown = {
                    "module": (f"import {module} as m_", f"m_.{item.name}"),
                    "alias": (f"from {module} import {item.name} as a_", "a_"),
                    "inside": (f"from {module} import {item.name} as {name}", name),
                }[style]
                if style == "inside":
                    uses = [n for n in ast.walk(edited) if isinstance(n, ast.Name) and n.id == name]
                    homes = [n for n in edited.body if isinstance(n, ast.FunctionDef) and not n.decorator_list]
                    inner = [n for home in homes for part in home.body for n in ast.walk(part) if n in uses]
                    if len(inner) != len(uses) or not uses:
                        continue
                    for home in homes:
                        if any(n in uses for n in ast.walk(home)):
                            home.body.insert(0, ast.parse(new).body[0])
                    edited.body[index : index + 1] = left
                else:
                    _Renamed(name, shown).visit(edited)
                    edited.body[index : index + 1] = [*left, *ast.parse(new).body]
                yield f"{name}: {style}", ast.unparse(ast.fix_missing_locations(edited))


class _Renamed(ast.NodeTransformer):
    def __init__(self, name: str, shown: str) -> None:
        self.name, self.shown = name, shown

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.parse(self.shown, mode="eval").body if node.id == self.name else node


def definitions_turned(text: str) -> Iterator[Spot]:
    """Neighbouring functions and methods in another order."""
    tree = ast.parse(text)
    bodies = [node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef))]
    for number, node in enumerate(bodies):
        for index, (one, two) in enumerate(itertools.pairwise(node.body)):
            plain = all(isinstance(item, ast.FunctionDef) and not item.decorator_list for item in (one, two))
            if plain and index % 2 == 0:
                edited = copy.deepcopy(tree)
                body = [item for item in ast.walk(edited) if isinstance(item, (ast.Module, ast.ClassDef))][number].body
                body[index], body[index + 1] = body[index + 1], body[index]
                yield f"line {one.lineno}", ast.unparse(edited)


def unrelated(text: str) -> Iterator[Spot]:
    yield "function", text + "\n\ndef never_called_(x=3):\n    return len(text_) + x\n"
    yield "class", text + "\n\nclass Never_:\n    size = 9\n\n    def total(self):\n        return self.size\n"
    yield "constant", text + "\nNEVER_ = [n for n in range(9)]\nNEVER_.append(4)\n"
    yield "import", "import json as json_\n" * ("__future__" not in text) + text
    yield (
        "logging",
        text + "\nimport logging\nlogging.getLogger('a').setLevel('ERROR')\nprint('loaded') if 0 else None\n",
    )
    yield "script", text + "\n\nif __name__ == '__main__':\n    import sys\n    sys.exit(never_())\n"


def semicolons(text: str) -> Iterator[Spot]:
    lines = text.split("\n")
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for one, two in itertools.pairwise(body) if isinstance(body, list) else ():
            simple = (ast.Assign, ast.AugAssign, ast.Return, ast.Expr)
            flat = isinstance(one, simple) and isinstance(two, simple) and two.lineno == one.lineno + 1
            if flat and "#" not in lines[one.lineno - 1] and two.end_lineno == two.lineno:
                joined = [*lines[: one.lineno - 1], lines[one.lineno - 1] + "; " + lines[two.lineno - 1].strip()]
                yield f"line {one.lineno}", "\n".join([*joined, *lines[two.lineno :]])


def future(text: str) -> Iterator[Spot]:
    if "__future__" not in text:
        yield (
            "added",
            ("from __future__ import annotations\n" + text)
            if ast.get_docstring(ast.parse(text)) is None
            else (text.replace('"""\n', '"""\nfrom __future__ import annotations\n', 1)),
        )


def strings_split(text: str) -> Iterator[Spot]:
    for node in ast.walk(ast.parse(text)):
        line = text.split("\n")[getattr(node, "lineno", 1) - 1]
        text_here = isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 2
        if text_here and '"""' not in line and 'f"' not in line and node.value.isalpha():
            new = f"({node.value[:2]!r}\n {node.value[2:]!r})"
            yield f"{node.lineno}:{node.col_offset}", replaced(text, node, lambda _, new=new: new)


COSMETIC = [
    comments, blank_lines, docstrings, unparsed, line_ends, quotes, numbers, parentheses, line_breaks, trailing_commas,
    annotations, field_types, class_constants, imports_turned, definitions_turned, unrelated, semicolons, future,
    strings_split,
]  # fmt: skip


def cosmetic(files: dict[str, str]) -> Iterator[Edit]:
    """Each kind of edit wherever it can be made."""
    for path, text in files.items():
        for kind in COSMETIC:
            for place, new in kind(text):
                yield Edit(kind.__name__, f"{path} {place}", path, new, frozenset())
        for place, new in importing(text, path):
            yield Edit("importing", f"{path} {place}", path, new, frozenset())
    yield Edit("module", "new.py", "new.py", "import steps\nX = steps.Train\n", frozenset())
    yield Edit("module", "pkg/new.py", "pkg/new.py", "from .maths import *\nX = 1\n", frozenset())
    yield Edit("module", "aside.py gone", "aside.py", "", frozenset())
    yield Edit("module", "aside.py broken", "aside.py", "def f(:\n", frozenset())
