"""What happens when modules are imported, whether or not anything of them is used."""

from __future__ import annotations

import pytest
from conftest import Write
from test_reach import TASK, names, run

BRANCHES = {
    "!=": "if __name__ != '__main__':\n    V[0] = f()",
    "not ==": "if not __name__ == '__main__':\n    V[0] = f()",
    "else": "if __name__ == '__main__':\n    V[0] = g()\nelse:\n    V[0] = f()",
    "elif": "if __name__ == '__main__' and V:\n    V[0] = g()\nelif V:\n    V[0] = f()",
    "else of !=": "if __name__ != '__main__':\n    V[0] = f()\nelse:\n    V[0] = g()",
    "else of in": "if __name__ in ('__main__', '__mp_main__'):\n    V[0] = g()\nelse:\n    V[0] = f()",
}


@pytest.mark.parametrize("how", BRANCHES)
def test_what_runs_only_when_a_module_is_imported_counts_and_a_scripts_own_block_does_not(fp: Write, how: str) -> None:
    found = fp(
        run("return lib.V", "import lib\n"), lib=f"V = [1]\ndef f(): return 1\ndef g(): return 2\n{BRANCHES[how]}\n"
    )
    assert names(found) == {"lib:V", "lib:f"} and not found.unsure


def test_a_module_of_the_project_wins_over_one_of_python_where_its_folder_comes_first(fp: Write) -> None:
    files = {"profile": "def f(): return 1\n", "sys": "path = 1\n", "abc": "x = 1\n"}
    found = fp(run("import profile, sys, abc, cProfile\nreturn profile.f(), sys.path, abc.x, cProfile.run"), **files)
    assert names(found) == {"profile:f"} and not found.unsure


SEEDING = "import random\nrandom.seed(1)\n"
LOADED = {
    "import a": ("import seeding\n", "return 1"),
    "from a package": ("from pkg import seeded\n", "return 1"),
    "from a package that has the name": ("from pkg import x, sub\n", "return 1"),
    "a package of a module": ("import bare.mod\n", "return 1"),
    "two modules further": ("import far\n", "return 1"),
    "under try": ("try:\n    import seeding\nexcept ImportError:\n    pass\n", "return 1"),
    "in the function": ("", "import seeding\nreturn 1"),
    "in a method of a class that is made": (
        "class C:\n    def f(self):\n        from pkg import seeded as s\n",
        "return C()",
    ),
    "by a module that the function imports": ("", "import far as f\nreturn f"),
}


@pytest.mark.parametrize("how", LOADED)
def test_what_imported_modules_do_to_others_counts_though_nothing_of_them_is_used(fp: Write, how: str) -> None:
    before, body = LOADED[how]
    files = {
        "pkg__INIT": "x = 1\nfrom .parts import sub\n",
        "pkg__parts": SEEDING + "sub = 1\n",
        "pkg__sub": "open('x')\n",
    }
    found = fp(
        run(body, before),
        **files,
        seeding=SEEDING,
        pkg__seeded=SEEDING,
        bare__INIT=SEEDING,
        bare__mod="",
        far="import near as n\n",
        near="import far\nif n:\n    from seeding import *\n",
    )
    assert any(name.endswith(":<import>") for name in found.symbols) and "pkg.sub:<import>" not in found.symbols


def test_what_is_imported_for_types_or_by_a_script_alone_does_nothing(fp: Write) -> None:
    before = (
        "import typing\nif typing.TYPE_CHECKING:\n    import seeding\nif __name__ == '__main__':\n    import seeding\n"
    )
    assert not names(fp(run("return 1", before), seeding=SEEDING))


def test_a_function_that_an_imported_module_replaces_is_followed(fp: Write) -> None:
    lib = {"lib": "def f(): return 1\ndef h(): return 1\n"}
    for patches in ("import lib\nlib.f = lambda: g()\n", "from lib import f\nf.text = g()\n"):
        found = fp(run("return lib.f()", "import lib, patches\n"), patches=f"{patches}def g(): return 2\n", **lib)
        assert {"lib:f", "patches:<import>", "patches:g"} <= names(found)
        other = fp(run("return lib.h()", "import lib, patches\n"), patches=f"{patches}def g(): return 2\n", **lib)
        assert names(other) == {"lib:h"}  # what it replaces is not used


def test_what_an_imported_module_adds_to_the_task_type_counts(fp: Write) -> None:
    found = fp(
        f"{TASK}@task\nclass T:\n    def run(self): return self.x\nimport patches\n",
        patches="import exp\nexp.T.x = 1\n",
    )
    assert names(found) == {"patches:<import>"}
