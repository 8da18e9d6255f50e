# ruff: noqa: E501
"""What counts as a change of a symbol, and what does not."""

from __future__ import annotations

import ast
import importlib
import sys

import pytest
from conftest import Write
from test_reach import TASK, run

from labtech_cli import alias
from labtech_cli.code.places import Owner, Place
from labtech_cli.code.writer import Writer

WRITTEN = "[FunctionDef(posonlyargs:;args:a;kwonlyargs:;[return('x',)])class(assign(=local xList([1,])))]"
SAME = {
    "a comment": ("x = 1", "x = 1  # one"),
    "quotes": ("x = 'a'", 'x = """a"""'),
    "a prefix that says nothing": ("x = 'a'", "x = u'a'"),
    "numbers": ("x = 1000, 0.5, 255", "x = 1_000, .5, 0xff"),
    "strings in pieces": ("x = 'ab'", "x = ('a'\n     'b')"),
    "an f-string without fields": ("x = 'ab'", "x = f'ab'"),
    "parentheses and commas": ("x = [1, 2]", "x = [\n    (1),\n    2,\n]"),
    "a local annotation": ("x = 1", "x: 'int' = 1"),
    "a bare local annotation": ("x = 1", "x: int\nx = 1"),
    "return None": ("return None", "return"),
    "pass": ("x = 1", "pass\nx = 1\n..."),
    "a string as a statement": ("x = 1", "'note'\nx = 1"),
    "an alias of an import": ("import os\nx = os.path.join('a')", "from os.path import join as j\nx = j('a')"),
    "elif": ("if self: x = 1\nelif 2: x = 2", "if self: x = 1\nelse:\n    if 2: x = 2"),
    "unicode in other forms": ("x = 'é'", "x = '\\xe9'"),
}


@pytest.mark.parametrize("what", SAME)
def test_this_does_not_count(fp: Write, what: str) -> None:
    one, two = SAME[what]
    assert fp(run(one)).digest == fp(run(two)).digest


OTHER = {
    "a type of constant": ("x = 1", "x = 1.0"),
    "True and 1": ("x = 1", "x = True"),
    "a sign of zero": ("x = 0.0", "x = -0.0"),
    "str and bytes": ("x = 'a'", "x = b'a'"),
    "a format": ("x = f'{self:.2f}'", "x = f'{self:.3f}'"),
    "a conversion": ("x = f'{self}'", "x = f'{self!r}'"),
    "await": ("x = (i for i in self)", "x = [i for i in self]"),
    "a module with the same attribute": ("import os\nx = os.sep", "import posixpath\nx = posixpath.sep"),
    "a method": ("self.x.add(1)", "self.x.append(1)"),
    "positional and keyword": ("f = dict(a=1)", "f = dict(b=1)"),
    "star arguments": ("x = max(*self)", "x = max(**self)"),
    "order of statements": ("a = self.x()\nb = self.y()", "b = self.y()\na = self.x()"),
    "which except": ("try: x = 1\nexcept KeyError: pass", "try: x = 1\nexcept ValueError: pass"),
    "a slice": ("x = self[1:]", "x = self[1::2]"),
    "a default of an inner function": ("def f(a=1): return a\nreturn f", "def f(a=2): return a\nreturn f"),
    "keyword-only": ("def f(a, b=1): return a\nreturn f", "def f(a, *, b=1): return a\nreturn f"),
    "a local instead of a builtin": ("x = sum", "sum = 1\nx = sum"),
    "del": ("x = 1\nx", "x = 1\ndel x"),
    "nonlocal": ("x = 1\ndef f():\n    x = 2\nf()\nreturn x", "x = 1\ndef f():\n    nonlocal x\n    x = 2\nf()\nreturn x"),
    "a starred assignment": ("a, b = self", "a, *b = self"),
    "async for": ("async def f():\n    for x in self: pass", "async def f():\n    async for x in self: pass"),
    "match patterns": ("match self:\n    case [a, *b]: return a", "match self:\n    case [*b, a]: return a"),
}  # fmt: skip


@pytest.mark.parametrize("what", OTHER)
def test_this_counts(fp: Write, what: str) -> None:
    one, two = OTHER[what]
    assert fp(run(one)).digest != fp(run(two)).digest


TOP = {
    "a constant read before it is assigned again": ("A = 1\nB = A\nA = 2\ndef f(): return B", "A = 1\nA = 2\nB = A\ndef f(): return B"),
    "the order of changes": ("X = []\nX.append(1)\nX.append(2)\ndef f(): return X", "X = []\nX.append(2)\nX.append(1)\ndef f(): return X"),
    "a definition that a star import replaces": ("def f(): return 3\nfrom a import *", "from a import *\ndef f(): return 3"),
    "which star import comes last": ("from a import *\nfrom b import *", "from b import *\nfrom a import *"),
    "which import comes last": ("from a import f\nfrom b import f", "from b import f\nfrom a import f"),
    "an import that a local variable competes with": ("def f(g=None):\n    from math import floor as g\n    return g", "def f(g=None):\n    from math import ceil as g\n    return g"),
    "two imports in branches": ("def f():\n    if 1: from math import floor as g\n    else: from math import ceil as g\n    return g", "def f():\n    if 0: from math import floor as g\n    else: from math import ceil as g\n    return g"),
    "raise from None": ("def f(): raise ValueError from None", "def f(): raise ValueError"),
    "the order of bases": ("class A: 1\nclass B: 1\nclass C(A, B): 1\nf = C", "class A: 1\nclass B: 1\nclass C(B, A): 1\nf = C"),
    "the order of decorators": ("def d(g): return g\ndef e(g): return g\n@d\n@e\ndef f(): 1", "def d(g): return g\ndef e(g): return g\n@e\n@d\ndef f(): 1"),
    "a method moved to the base": ("class B: pass\nclass C(B):\n    def g(self): 1\nf = C", "class B:\n    def g(self): 1\nclass C(B): pass\nf = C"),
    "except*": ("def f():\n    try: 1\n    except* ValueError: 2", "def f():\n    try: 1\n    except ValueError: 2"),
}  # fmt: skip


@pytest.mark.parametrize("what", TOP)
def test_at_the_top_level_this_counts(fp: Write, what: str) -> None:
    one, two = (run("return f()", text + "\n") for text in TOP[what])
    files = {"a": "def f(): return 1\n", "b": "def f(): return 2\n"}
    assert fp(one, **files).digest != fp(two, **files).digest


def test_at_the_top_level_this_does_not_count(fp: Write) -> None:
    one = fp(run("return f()", "A = 1\nB = A\nA = 2\ndef f():\n    import os\n    return B\n"))
    two = fp(run("return f()", "A = 1\nimport os\nQ = 3\nB = A\nA = 2\n\n\ndef f():\n    return B\n"))
    assert one.digest == two.digest


def test_options_of_the_task_decorator_do_not_count(fp: Write) -> None:
    plain = "\nclass T:\n    def run(self): return 1\n"
    assert (
        fp(f"{TASK}@task{plain}").digest
        == fp(f"import labtech\n@labtech.task(cache=None, code_version='2'){plain}").digest
    )


@pytest.mark.parametrize("state", ["not there", "not imported yet", "imported"])
def test_the_alias_means_the_same_whether_it_was_imported_or_not(
    fp: Write, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    finders = [item for item in sys.meta_path if not isinstance(item, alias.AliasFinder)]
    monkeypatch.setattr(sys, "meta_path", finders)
    for name in [name for name in sys.modules if name.startswith("labtech.")] + ["labtech"]:
        monkeypatch.setitem(sys.modules, name, sys)  # so that it is put back
        del sys.modules[name]
    if state != "not there":
        alias.install()
    if state == "imported":
        importlib.import_module("labtech")
    body = "\nclass T:\n    def run(self): return {0}.diagram, {0}.Lab\n"
    found = fp("import labtech\n@labtech.task" + body.format("labtech"))
    assert found.digest == fp("import labtech_cli\n@labtech_cli.task" + body.format("labtech_cli")).digest
    assert not found.unsure and list(found.symbols) == ["exp:T", "exp:T.run"]


def test_names_of_two_modules_that_are_swapped_count(fp: Write) -> None:
    files = {"a": "def f(): return 1\n", "b": "def f(): return 2\n"}
    both = "import a, b\nfrom {} import f\ndef g(): return a.f, b.f\n"
    assert (
        fp(run("return f(), g()", both.format("a")), **files).digest
        != fp(run("return f(), g()", both.format("b")), **files).digest
    )


def test_unpacked_constants_are_apart(fp: Write) -> None:
    one = fp(run("return A", "A, B = 1, 2\n"))
    assert one.digest == fp(run("return A", "A, B = 1, 3\n")).digest
    assert one.digest != fp(run("return A", "A, B = 2, 2\n")).digest


def test_a_module_that_is_moved_keeps_the_digests_of_its_symbols(fp: Write) -> None:
    lib = "def f(): return g(X)\ndef g(x): return x\nX = 3\n"
    one = fp(run("return f()", "from one import f\n"), one=lib)
    two = fp(run("return f()", "from two import f\n"), two=lib)
    for name in ("f", "g", "X"):
        assert one.symbols[f"one:{name}"].digest == two.symbols[f"two:{name}"].digest


def test_fields_count_by_name_default_and_kind(fp: Write) -> None:
    def digest(fields: str) -> str:
        before = f"from dataclasses import *\nfrom typing import *\n@dataclass\nclass C:\n    {fields}\n"
        return fp(run("return C", before)).digest

    assert digest("a: int; b: int = 1") == digest("a: 'str'; b: Optional[int] = 1")
    different = [
        "a: int; b: int = 1",
        "a: int; b: int = 2",
        "a: int; c: int = 1",
        "a: ClassVar[int]; b: int = 1",
        "a: InitVar[int]; b: int = 1",
        "b: int = 1",
        "a: int; b = 1",
    ]
    assert len({digest(item) for item in different}) == len(different)


def test_annotations_of_a_plain_class_do_not_count(fp: Write) -> None:
    one = fp(run("return C", "class C:\n    a: int\n    b: int = 1\n"))
    assert one.digest == fp(run("return C", "class C:\n    b = 1\n")).digest


def test_nothing_that_differs_between_versions_of_python_is_written() -> None:
    """Positions, kinds, type parameters and the fields that newer versions add are left out."""
    writer = Writer(Place("m", Owner.PROJECT))
    writer.statements(ast.parse("def f(a: int) -> int: return u'x'\nclass C(): x = [1]").body)
    assert "".join(writer.out) == WRITTEN


def test_overloads_do_not_count(fp: Write) -> None:
    before = "from typing import overload\n@overload\ndef f(x: int) -> int: ...\n@overload\ndef f(x: str) -> str: ...\ndef f(x): return x\n"
    assert fp(run("return f(1)", before)).digest == fp(run("return f(1)", "def f(x): return x\n")).digest
