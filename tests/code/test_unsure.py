"""What cannot be followed is said to be unsure; what can is not."""

# ruff: noqa: E501
from __future__ import annotations

import importlib

import pytest
from conftest import Write
from test_reach import TASK, names, run

from labtech_cli.code import fingerprint as code

UNSURE = {
    "getattr by a computed name": ("class C: pass\n", "return getattr(C, self.name)()", "computed"),
    "getattr on itself": ("", "return getattr(self, 'fit_' + self.kind)()", "computed"),
    "exec": ("", "exec('x = 1')", "text as code"),
    "eval": ("", "return eval(self.text)", "text as code"),
    "globals": ("", "return globals()[self.name]()", "by text"),
    "a computed import": ("import importlib\n", "return importlib.import_module(self.name)", "computed"),
    "a computed import, renamed": ("from importlib import import_module as load\n", "return load('a' + self.name)", "computed"),
    "__import__": ("", "return __import__(self.name)", "computed"),
    "entry points": ("from importlib.metadata import entry_points\n", "return entry_points(group='x')", "plug-in"),
    "subclasses": ("class B: pass\n", "return B.__subclasses__()", "subclasses"),
    "a name that nothing defines": ("", "return nowhere(1)", "defined nowhere"),
    "a registry that nothing fills": ("R = {}\n", "return R[self.name]", "fills it"),
    "a file run by its path": ("import runpy\n", "return runpy.run_path(self.path)", "path"),
    "a module that is not there": ("import lib\n", "return lib.missing()", "not found"),
    "a module's __getattr__": ("import lazy\n", "return lazy.anything()", "__getattr__"),
    "a module with a syntax error": ("import broken\n", "return broken.f()", "syntax error"),
    "another module's function replaced": ("import lib\nlib.f = lambda: 2\n", "return lib.f()", "replaced on import"),
    "a name for getattr": ("g = getattr\n", "return g(self, self.name)", "computed"),
    "getattr given away": ("", "return list(map(getattr, self.items, self.names))", "computed"),
    "eval given away": ("", "return map(eval, self.texts)", "text as code"),
    "what the class has": ("", "return vars(type(self))", "computed"),
    "what a class has": ("class C: pass\n", "return vars(C)[self.name]", "computed"),
    "a class's __dict__": ("", "return type(self).__dict__[self.name](self)", "computed"),
    "the __dict__ of __class__": ("", "return self.__class__.__dict__.items()", "computed"),
    "__getattribute__": ("", "return self.__getattribute__('a' + 'b')", "computed"),
    "members": ("import inspect\n", "return inspect.getmembers(self)", "computed"),
    "a relative import from a computed package": ("import importlib\n", "return importlib.import_module('.a', self.name)", "computed"),
    "a name of the script's own block": ("", "return args.lr", "runs as a script"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNSURE)
def test_this_is_reported(fp: Write, what: str) -> None:
    before, body, reason = UNSURE[what]
    text = run(body, before) + "\nif __name__ == '__main__':\n    args = 1\n"
    found = fp(text, lib="def f(): return 1\n", lazy="def __getattr__(name): return 1\n", broken="def f(:\n")
    assert any(reason in item.reason for item in found.unsure), found.unsure
    for item in found.unsure:
        assert item.file and item.line >= 1 and item.symbol


SURE = {
    "methods of unknown objects": ("", "return self.model.fit(1).predict(2)"),
    "getattr by a name written out": ("class C: pass\n", "return getattr(C, 'name', None)"),
    "an attribute of an installed module by a computed name": ("import numpy as np\n", "return getattr(np, self.name)()"),
    "what every module has": ("import lib\n", "return lib.__file__, lib.__name__"),
    "a method of another module's object called on import": ("import lib\nlib.REG.register(1)\n", "return lib.REG"),
    "what a class has under a name written out": ("", "return type(self).__dict__['a'], self.__class__.__dict__.get('a')"),
    "the values of an object": ("", "return self.__dict__, vars(self)"),
    "attributes by names written out": ("import operator\n", "return operator.attrgetter('a.b')(self), self.__getattribute__('a')"),
    "a builtin": ("", "return vars(self), len(__name__), __file__, NotImplemented"),
    "a memory that the code itself fills": ("MEMO = {}\n", "MEMO[self.x] = 1\nreturn MEMO"),
    "a name from a star of an installed package": ("from numpy import *\n", "return linspace(0, 1)"),
    "an import that may be missing": ("try:\n    import not_installed\nexcept ImportError:\n    not_installed = None\n", "return not_installed"),
    "a parameter called like a dynamic function": ("", "eval = self.x\nreturn eval(1)"),
    "a class variable used by its method": ("class C:\n    n = 1\n    m = n + 1\n    def f(self, k=n): return self.m\n", "return C"),
}  # fmt: skip


@pytest.mark.parametrize("what", SURE)
def test_this_is_not(fp: Write, what: str) -> None:
    before, body = SURE[what]
    assert fp(run(body, before), lib="class R:\n    def register(self, x): self.x = x\nREG = R()\n").unsure == ()


def test_a_module_used_as_a_value_has_all_its_symbols_reached(fp: Write) -> None:
    found = fp(
        run("return getattr(models, self.name)()", "import models\n"),
        models="import other\nfrom other import d\nfrom stars import *\ndef a(): pass\ndef b(): return C\nC = 1\n",
        other="def d(): pass\ndef unused(): pass\n",
        stars="import models\nfrom models import *\ndef e(): pass\n",
    )
    assert names(found) == {"models:a", "models:b", "models:C", "other:d", "stars:e"}
    assert "computed" in found.unsure[0].reason


def test_a_task_type_whose_source_is_gone_is_unsure(fp: Write) -> None:
    fp.write(run("return 1"))
    module = importlib.import_module("exp")
    (fp.folder / "exp.py").unlink()
    found = code.fingerprint(module.T)
    assert not found.symbols and "not available" in found.unsure[0].reason


def test_an_extension_module_of_the_project_is_unsure(fp: Write) -> None:
    fp.write(run("return native.f()", "import native\n"))
    import sysconfig

    (fp.folder / f"native{sysconfig.get_config_var('EXT_SUFFIX')}").write_bytes(b"\x7fELF")
    found = code.fingerprint_of("exp", "T")
    assert "not available" in found.unsure[0].reason


def test_unsure_places_are_lines_of_the_file(fp: Write) -> None:
    found = fp(f"{TASK}\n@task\nclass T:\n    def run(self):\n        x = 1\n        return eval('x')\n")
    item = found.unsure[0]
    assert (item.symbol, item.file, item.line) == ("exp:T.run", "exp.py", 7)
