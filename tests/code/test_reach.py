"""What a fingerprint follows, and where it stops."""

# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Write

from labtech_cli.code.fingerprint import Fingerprint

TASK = "from labtech_cli import task\n"


def names(found: Fingerprint) -> set[str]:
    """The symbols that are not the task type's own."""
    return {name for name in found.symbols if not name.startswith("exp:T")}


def run(body: str, before: str = "") -> str:
    """`exp.py` with a task type whose `run()` has this body."""
    indented = "\n".join("        " + line for line in body.split("\n"))
    return f"{TASK}{before}\n@task\nclass T:\n    def run(self):\n{indented}\n"


IMPORTS = {
    "import a": "import lib\n|return lib.f()",
    "import a as b": "import lib as l\n|return l.f()",
    "from a import b": "from lib import f\n|return f()",
    "from a import b as c": "from lib import f as g\n|return g()",
    "from a import *": "from lib import *\n|return f()",
    "inside the function": "|import lib\nreturn lib.f()",
    "from, inside the function": "|from lib import f as g\nreturn g()",
    "through a module that re-exports": "from pkg import f\n|return f()",
    "through a package's attribute": "import pkg\n|return pkg.f()",
    "through a module of a module": "import pkg.deep\n|return pkg.deep.lib.f()",
    "through a star of a star": "from pkg.stars import *\n|return f()",
    "by a name written out": "import importlib\n|return importlib.import_module('lib').f()",
    "by a relative name written out": "import pkg.late\n|return pkg.late.load()",
    "getattr of a name written out": "import lib\n|return getattr(lib, 'f')()",
}


@pytest.mark.parametrize("style", IMPORTS)
def test_every_style_of_import_leads_to_the_same_function(fp: Write, style: str) -> None:
    before, _, body = IMPORTS[style].partition("|")
    found = fp(
        run(body, before),
        lib="def f(): return g()\ndef g(): return 1\ndef h(): return 2\n",
        pkg__INIT="from .inner import f\n",
        pkg__inner="from lib import f\n",
        pkg__deep="import lib\n",
        pkg__late="import importlib\ndef load(): return importlib.import_module('.inner', __package__).f()\n",
        pkg__stars="from .inner import *\n",
    )
    assert {"lib:f", "lib:g"} <= names(found)
    assert not found.unsure


FOLLOWED = {
    "a default value": ("X = 1\ndef f(a=X): return a\n", "return f()", "f X"),
    "a decorator with arguments": ("def d(n): return lambda g: g\nN = 2\n@d(N)\ndef f(): return 1\n", "return f()", "f d N"),
    "a partial": ("import functools\ndef f(a): return a\ng = functools.partial(f, 1)\n", "return g()", "f g"),
    "a dispatch table": ("def f(): return 1\nD = {'f': f, 'g': [lambda: h()]}\ndef h(): pass\n", "return D['f']()", "f D h"),
    "a comprehension": ("def f(x): return x\nXS = [1]\n", "return [f(x) for x in XS if x]", "f XS"),
    "a comprehension over a name of its own variable": ("x = [1]\n", "return [x for x in x]", "x"),
    "an f-string": ("W = 3\ndef f(): return 1\n", "return f'{f():{W}}'", "f W"),
    "a closure": ("K = 1\ndef f():\n    def g(): return K\n    return g\n", "return f()()", "f K"),
    "a match statement": ("class P: pass\nclass Q: v = 1\n", "match self:\n    case P(): return 1\n    case Q.v: return 2", "P Q"),
    "a context manager": ("import contextlib\n@contextlib.contextmanager\ndef c(): yield V\nV = 1\n", "with c() as x: return x", "c V"),
    "a generator": ("def g():\n    yield from h()\ndef h(): yield 1\n", "return list(g())", "g h"),
    "an exception": ("class E(Exception): code = 1\n", "try: pass\nexcept E: raise E() from None", "E"),
    "a metaclass": ("class M(type): pass\nclass C(metaclass=M): pass\n", "return C()", "C M"),
    "methods of a class it makes": ("class C:\n    def f(self): return g()\ndef g(): pass\n", "return C()", "C C.f g"),
    "a nested class": ("class C:\n    class D:\n        x = Y\nY = 1\n", "return C.D.x", "C C.D Y"),
    "a base class": ("class A:\n    def f(self): pass\nclass B(A): pass\n", "return B()", "A A.f B"),
    "a class attribute of a global's name": ("x = 1\nclass C:\n    x = x\n", "return C.x", "C x"),
    "a dataclass factory": ("from dataclasses import *\ndef f(): return 1\n@dataclass\nclass C:\n    a: int = field(default_factory=f)\n", "return C()", "C f"),
    "a field's class": ("class D:\n    def go(self): pass\nclass C:\n    d: 'D'\n    def f(self): self.d.go()\n", "return C()", "C C.f D D.go"),
    "a named tuple": ("from typing import NamedTuple\nZ = 1\nclass P(NamedTuple):\n    a: int = Z\n", "return P()", "P Z"),
    "a typed dict": ("from typing import TypedDict\nclass P(TypedDict, total=False):\n    a: int\n", "return P(a=1)", "P"),
    "a global statement": ("X = 0\ndef f():\n    global X\n    X = 1\n", "f()", "f X"),
    "a global that no statement of the module makes": ("def f():\n    global Y\n    Y = 1\n", "f(); return Y", "f Y"),
    "a walrus": ("def f(): return 1\n", "if (n := f()): return n", "f"),
    "an assignment through a for loop": ("DD = {}\ndef f(): pass\nfor k in 'ab':\n    DD[k] = f\n", "return DD", "DD f k"),
    "an assignment under with": ("import io\nV = 1\nwith io.StringIO() as h:\n    C = V\n", "return C", "C V"),
    "a constant under try": ("import sys\ntry:\n    C = int('x')\nexcept ValueError:\n    C = D\nD = 3\n", "return C", "C D"),
    "a definition under if": ("F = 1\nif F:\n    def f(): return 1\nelse:\n    def f(): return G\nG = 2\n", "return f()", "f F G"),
    "an assignment to a class afterwards": ("class C: pass\ndef m(self): return 1\nC.m = m\n", "return C().m()", "C m"),
    "setattr of a class afterwards": ("class C: pass\ndef m(self): return 1\nsetattr(C, 'm', m)\n", "return C().m()", "C m"),
    "a cached function": ("import functools\n@functools.cache\ndef f(): return X\nX = 2\n", "return f()", "f X"),
    "a singledispatch": ("import functools\n@functools.singledispatch\ndef f(x): return 1\n@f.register\ndef _(x: int): return 2\n@f.register(str)\ndef g(x): return h()\ndef h(): pass\n", "return f(1)", "f _ g h"),
    "subclasses that a hook hears of": ("class B:\n    all = []\n    def __init_subclass__(cls): B.all.append(cls)\nclass C(B): pass\n", "return B.all", "B B.__init_subclass__ C"),
    "a lambda's default": ("N = 4\nf = lambda x=N: x\n", "return f()", "f N"),
    "a star assignment": ("L = [1, 2]\na, *b = L\n", "return b", "b L"),
    "a chained comparison in a class body": ("LOW = 1\nclass C:\n    ok = 0 < LOW < 2\n", "return C.ok", "C LOW"),
    "a property with a setter": ("class C:\n    @property\n    def p(self): return A\n    @p.setter\n    def p(self, v): B\nA = B = 1\n", "return C().p", "C C.p A B"),
    "a value changed by a function": ("import random\nX = [1, 2]\nS = 3\nrandom.Random(S).shuffle(X)\n", "return X", "X S"),
    "a value changed by a function of the module that is called for its value": ("X = [1]\nY = [2]\ndef f(a, b, c): a[0] = b[0]; return 1\nok = f(X, Y, 1)\n", "return X", "X f Y"),
    "a value that a function of the module is given": ("X = [1]\ndef f(a): return a[0]\nok = f(X)\n", "return X", "X"),
    "a name given by an import in the function and elsewhere": ("def f(): return 1\n", "try:\n    from math import tau as f2\nexcept ImportError:\n    f2 = f\nreturn f2", "f"),
}  # fmt: skip


@pytest.mark.parametrize("what", FOLLOWED)
def test_code_is_followed_through(fp: Write, what: str) -> None:
    before, body, expected = FOLLOWED[what]
    found = fp(run(body, before))
    assert names(found) == {f"exp:{name}" for name in expected.split()}
    assert not found.unsure


def test_a_method_of_the_task_type_counts_only_when_something_calls_it(fp: Write) -> None:
    found = fp(
        f"{TASK}\n@task\nclass T:\n"
        "    def run(self): return self.used() + self.prop\n"
        "    def used(self): return self.deeper()\n"
        "    def deeper(self): return 1\n"
        "    @property\n    def prop(self): return 2\n"
        "    def post_init(self): pass\n"
        "    def filter_context(self, context): return context\n"
        "    def runner_options(self): return {}\n"
        "    def __len__(self): return 3\n"
        "    def picture(self): return 4\n"
    )
    methods = "run used deeper prop post_init filter_context runner_options __len__"
    assert set(found.symbols) == {"exp:T", *(f"exp:T.{name}" for name in methods.split())}


def test_a_base_outside_the_project_may_call_any_method(fp: Write) -> None:
    found = fp(
        f"{TASK}from argparse import Action\n@task\nclass T(Action):\n    def run(self): ...\n    def hook(self): ...\n"
    )
    assert "exp:T.hook" in found.symbols


DEPENDENCY = """
from labtech_cli import task
def secret(): return 1
@task
class A:
    x: int
    def run(self): return secret()
    def shown(self): return label()
    def other(self): return secret()
def label(): return 'a'
"""


@pytest.mark.parametrize(
    "body",
    ["a: A\n    def run(self): return self.a.result", "def run(self): return A(1).x", "a: 'list[A] | None' = None\n    def run(self): return 1"],
    ids=["parameter", "made", "annotation"],
)  # fmt: skip
def test_another_task_type_is_a_name_only(fp: Write, body: str) -> None:
    found = fp(f"{TASK}from dep import A\n@task\nclass T:\n    {body}\n", dep=DEPENDENCY)
    assert found.tasks == ("dep.A",)
    assert names(found) == set()


def test_methods_of_another_task_type_count_where_this_code_calls_them(fp: Write) -> None:
    found = fp(
        f"{TASK}from dep import A\n@task\nclass T:\n    a: A\n    def run(self): return self.a.shown()\n",
        dep=DEPENDENCY,
    )
    assert names(found) == {"dep:A.shown", "dep:label"}


def test_a_base_that_is_a_task_type_is_own_code(fp: Write) -> None:
    found = fp(f"{TASK}from dep import A\n@task\nclass T(A):\n    y: int\n", dep=DEPENDENCY)
    assert names(found) == {"dep:A", "dep:A.run", "dep:secret"}
    assert found.tasks == ()


def test_a_task_type_made_by_a_decorator_of_the_project_is_one_too(fp: Write) -> None:
    dep = "import labtech_cli as labtech\ndef mine(cls): return labtech.task(cls)\n@mine\nclass A:\n    def run(self): return f()\ndef f(): pass\n"
    found = fp(
        f"{TASK}from dep import A\n@task\nclass T:\n    a: A\n    def run(self): return self.a.result\n", dep=dep
    )
    assert found.tasks == ("dep.A",) and names(found) == set()


def test_enums_of_parameters_count_and_protocols_do_not(fp: Write) -> None:
    found = fp(
        f"{TASK}import enum\nfrom typing import Protocol, TYPE_CHECKING, Optional\n"
        "if TYPE_CHECKING:\n    from kinds import Kind\n"
        "class Shape(Protocol):\n    def run(self): ...\n"
        "@task\nclass T:\n    kind: 'Optional[Kind]'\n    shape: Shape\n    def run(self): return self.kind\n",
        kinds="import enum\nclass Kind(str, enum.Enum):\n    A = 'a'\n    def up(self): return self.upper()\n",
    )
    assert names(found) == {"kinds:Kind", "kinds:Kind.up"}


def test_an_enum_made_by_a_call_counts(fp: Write) -> None:
    found = fp(
        f"{TASK}from enum import Enum\nKind = Enum('Kind', 'A B')\n@task\nclass T:\n    kind: Kind\n    def run(self): return self.kind\n"
    )
    assert names(found) == {"exp:Kind"}


ALIASES = {
    "a union": "Mode = Fast | Slow",
    "a union of typing": "from typing import Union\nMode = Union[Fast, 'Slow']",
    "an alias of an alias": "Both = Fast | None\nMode: object = list[Both] | Slow",
    "quoted": "Mode = 'Fast | Slow'",
}


@pytest.mark.parametrize("how", ALIASES)
def test_enums_that_an_alias_in_an_annotation_stands_for_count_and_the_alias_does_not(fp: Write, how: str) -> None:
    kinds = "import enum\nclass Fast(enum.Enum):\n    A = 1\n    def up(self): ...\nclass Slow(enum.Enum):\n    B = 2\n"
    found = fp(
        f"{TASK}from kinds import Mode\n@task\nclass T:\n    mode: Mode\n    def run(self): ...\n",
        kinds=f"{kinds}{ALIASES[how]}\n",
    )
    assert names(found) == {"kinds:Fast", "kinds:Fast.up", "kinds:Slow"} and not found.unsure


def test_any_method_of_the_task_type_may_be_taken_by_a_computed_name(fp: Write) -> None:
    found = fp(
        f"{TASK}@task\nclass T:\n    def run(self): return getattr(self, self.how)()\n    def one(self): return f()\ndef f(): pass\n"
    )
    assert names(found) == {"exp:f"} and "exp:T.one" in found.symbols


def test_a_task_type_defined_under_a_condition_counts_whole(fp: Write) -> None:
    found = fp(f"{TASK}if task:\n    @task\n    class T:\n        def run(self): return f()\ndef f(): pass\n")
    assert set(found.symbols) == {"exp:T", "exp:f"} and not found.unsure


def test_a_task_type_that_no_class_statement_makes_is_followed_and_unsure(fp: Write) -> None:
    found = fp(f"{TASK}class B:\n    def run(self): return 1\nT = task(type('T', (B,), {{}}))\n")
    assert {"exp:B", "exp:B.run"} <= set(found.symbols) and "not found" in found.unsure[0].reason


def test_an_import_in_a_class_reaches_what_it_names(fp: Write) -> None:
    found = fp(
        f"{TASK}@task\nclass T:\n    from lib import f\n    import lib2 as l\n    def run(self): return self.f() + self.l.g()\n",
        lib="def f(): pass\n",
        lib2="def g(): pass\n",
    )
    assert names(found) == {"lib:f", "lib2:g"}


def test_a_registry_holds_what_other_modules_put_into_it(fp: Write) -> None:
    import importlib

    fp.write(
        run("return MODELS['a']()", "from reg import MODELS\nimport plug\n"),
        reg="MODELS = {}\ndef register(name):\n    def keep(f):\n        MODELS[name] = f\n        return f\n    return keep\n",
        plug="import reg\n@reg.register('a')\ndef a(): return 1\ndef b(): return 2\nreg.MODELS['c'] = b\n",
    )
    from labtech_cli.code import fingerprint as code

    importlib.import_module("exp")
    found = code.fingerprint_of("exp", "T")
    assert names(found) == {"reg:MODELS", "reg:register", "plug:a", "plug:b", "plug:<import>"}


def test_registries_may_be_objects_classes_and_hooks_in_other_modules(fp: Write) -> None:
    import importlib

    from labtech_cli.code import fingerprint as code

    fp.write(
        run("return REG.get(1), Base.kinds, Model.kinds", "from reg import REG, Base, Model\nimport plug\n"),
        reg="""
        class Registry:
            items = []
            def register(self, name): return lambda f: self.items.append(f)
            def get(self, name): return self.items
        REG = Registry()
        class Base:
            kinds = []
            def __init_subclass__(cls): Base.kinds.append(cls)
        class Model:
            kinds = []
            @classmethod
            def register(cls, k): cls.kinds.append(k)
        """,
        plug="""
        from reg import *
        @REG.register("a")
        def a(): return 1
        class A(Base): pass
        class B(A): pass
        @Model.register
        class K: pass
        class Unrelated: pass
        """,
    )
    importlib.import_module("exp")
    found = code.fingerprint_of("exp", "T")
    assert {name for name in names(found) if "plug" in name} == {"plug:a", "plug:A", "plug:B", "plug:K"}
    assert not found.unsure


def test_a_decorator_that_stores_nothing_reaches_nothing_else(fp: Write) -> None:
    before = "def timed(f): return f\n@timed\ndef used(): return 1\n@timed\ndef unused(): return 2\n"
    assert names(fp(run("return used()", before))) == {"exp:used", "exp:timed"}


def test_an_object_whose_method_decorates_reaches_only_what_is_used(fp: Write) -> None:
    before = "from joblib import Memory\nmemory = Memory('x')\n@memory.cache\ndef used(): return 1\n@memory.cache\ndef unused(): return 2\n"
    assert names(fp(run("return used()", before))) == {"exp:used", "exp:memory"}


def test_packages_are_recorded_by_distribution_and_do_not_decide(fp: Write) -> None:
    found = fp(run("import numpy as np\nreturn [np.sum(1), yaml.dump(1), os.sep]", "import yaml, os\n"))
    import numpy

    assert found.packages["numpy"] == numpy.__version__
    assert set(found.packages) == {"numpy", "pyyaml"}


def test_what_an_import_does_to_others_counts_and_logging_does_not(fp: Write) -> None:
    quiet = run("return 1", "import numpy as np, logging\nlogging.basicConfig(level=1)\n")
    assert "exp:<import>" not in fp(quiet).symbols
    assert "exp:<import>" in fp(run("return 1", "import numpy as np\nnp.random.seed(0)\n")).symbols
    assert "exp:<import>" in fp(run("return 1", "import os\nos.environ['OMP_NUM_THREADS'] = '1'\n")).symbols
    found = fp(
        run("return m.x", "import pkg.mod as m\n"), pkg__INIT="import random\nrandom.seed(1)\n", pkg__mod="x = 1\n"
    )
    assert names(found) == {"pkg:<import>", "pkg.mod:x"}


def test_a_script_that_calls_main_reaches_nothing_of_it(fp: Write) -> None:
    text = run("return 1", "def main(): return 3\n") + "\nmain()\nif __name__ == '__main__':\n    main()\n"
    assert names(fp(text)) == set()
    text = run("return 1", "import labtech\ndef go(): labtech.Lab(storage=None).run_tasks([T()])\n") + "\ngo()\n"
    assert names(fp(text)) == set()


def test_files_are_relative_to_where_their_modules_are_imported_from(fp: Write) -> None:
    found = fp(
        run("return f()", "from pkg import f\n"),
        pkg__INIT="from .sub.mod import f\n",
        pkg__sub__mod="\n\ndef f():\n    return 1\n",
    )
    symbol = found.symbols["pkg.sub.mod:f"]
    assert (symbol.file, symbol.line, symbol.source) == ("pkg/sub/mod.py", 3, "def f():\n    return 1")


def test_installed_editable_projects_are_the_projects_own(fp: Write, tmp_path: Path) -> None:
    found = fp(run("return f()", "from lib import f\n"), lib="def f(): return 1")
    assert found.symbols["lib:f"].file == "lib.py"
