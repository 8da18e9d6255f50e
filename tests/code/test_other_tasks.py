"""Other task types that a task's code uses as values."""

from __future__ import annotations

import pytest
from conftest import Write
from test_reach import TASK, names

VALUES = """
from typing import ClassVar
from labtech_cli import task
HIDDEN = 3
class Base:
    OTHER = HIDDEN
@task
class A(Base):
    '''Fits.'''
    x: int
    y: int = 1
    SCALE = 3
    KIND: ClassVar[int] = 4
    UNUSED = HIDDEN
    def run(self): return 1
    def __call__(self, value): return value + 1
    def post_init(self): helper()
def helper(): ...
"""
AS_VALUES = {
    "a class attribute": ("return A.SCALE", "A.SCALE"),
    "a class attribute of a dependency": ("return self.a.SCALE", "A.SCALE"),
    "one that is inherited": ("return self.a.OTHER", "Base.OTHER HIDDEN"),
    "an annotated class attribute": ("return self.a.KIND", "A.KIND"),
    "a field of a dependency": ("return self.a.y", ""),
    "a default, of the class": ("return A.y", "A.y A.__call__ A.post_init helper"),
    "a task that is made": ("return A(1)(2)", "A.y A.__call__ A.post_init helper"),
    "one made by a function": ("return lib.make()", "A.y A.__call__ A.post_init helper"),
}


@pytest.mark.parametrize("what", AS_VALUES)
def test_of_another_task_type_its_values_count_where_code_uses_them(fp: Write, what: str) -> None:
    body, expected = AS_VALUES[what]
    found = fp(
        f"{TASK}import lib\nfrom dep import A\n@task\nclass T:\n    a: A\n    def run(self): {body}\n",
        dep=VALUES,
        lib="import dep\ndef make(): return dep.A(1)\n",
    )
    dep = {name.removeprefix("dep:") for name in names(found) if name.startswith("dep:")}
    assert dep == set(expected.split())
    assert not found.unsure


def test_a_dependency_made_as_a_default_is_a_name_only(fp: Write) -> None:
    found = fp(
        f"{TASK}from dep import A\n@task\nclass T:\n    a: A = A(1)\n    def run(self): return self.a.result\n",
        dep=VALUES,
    )
    assert names(found) == set()


def test_a_value_of_another_task_type_has_its_own_lines(fp: Write) -> None:
    found = fp(f"{TASK}from dep import A\n@task\nclass T:\n    def run(self): return A.SCALE\n", dep=VALUES)
    assert found.symbols["dep:A.SCALE"].source == "    SCALE = 3"
