"""Annotations that something reads when the code runs count; others do not."""

from __future__ import annotations

import pytest
from conftest import Write
from test_reach import TASK, names, run

LIB = """
import abc, enum, pydantic, torch
from dataclasses import dataclass
class Plain: pass
class Hooked:
    def __init_subclass__(cls): cls.names = list(cls.__annotations__)
@dataclass
class Data:
    a: int = 1
class Model(pydantic.BaseModel): pass
"""
BASES = {
    "lib.Plain": "plain",
    "abc.ABC": "plain",
    "lib.Plain, object, Exception": "plain",
    "enum.Enum": "plain",
    "lib.Hooked": "fields",
    "torch.nn.Module": "fields",
    "lib.Data": "fields",
    "lib.unknown": "fields",
    "pydantic.BaseModel": "types",
    "lib.Model": "types",
}


@pytest.mark.parametrize("base", BASES)
def test_annotations_in_a_class_count_as_far_as_its_bases_read_them(fp: Write, base: str) -> None:
    def digest(body: str) -> str:
        before = f"import abc, enum, lib, pydantic, torch\nclass C({base}):\n    {body}\n"
        return fp(run("return C", before), lib=LIB).digest

    kind = BASES[base]
    assert (digest("n = 3") == digest("n: int = 3")) is (kind == "plain")
    assert (digest("n = 3") == digest("n = 3; other: 'object'")) is (kind == "plain")
    assert (digest("n: int = 3") == digest("n: float = 3")) is (kind != "types")
    assert digest("n: int = 3") == digest("n: 'int' = 3")


def test_types_of_fields_count_under_a_decorator_of_an_unknown_library_only(fp: Write) -> None:
    def digest(decorator: str, kind: str) -> str:
        before = f"import dataclasses, pydantic.dataclasses\n@{decorator}\nclass C:\n    n: {kind}\n"
        return fp(run("return C", before)).digest

    assert digest("dataclasses.dataclass(frozen=True)", "int") == digest("dataclasses.dataclass(frozen=True)", "str")
    assert digest("pydantic.dataclasses.dataclass", "int") != digest("pydantic.dataclasses.dataclass", "str")


def test_fields_of_a_task_type_may_be_annotated_in_any_way(fp: Write) -> None:
    def digest(kind: str) -> str:
        return fp(f"{TASK}from typing import Optional\nclass B: pass\n@task\nclass T(B):\n    n: {kind}\n").digest

    assert digest("int") == digest("Optional[str]") == digest("'list[int]'")


DISPATCH = """
import functools
@functools.singledispatch
def show(x): return 1
@show.register
def _(x: {kind}, y: {other} = 1): return 2
class C:
    @functools.singledispatchmethod
    def go(self, x): return 1
    @go.register
    def _(self, x: {kind}): return 2
def plain(x: {kind}): return show(x)
class Keeper:
    def register(self, f): return f
keeper = Keeper()
@keeper.register
def kept(x: {kind}): return 1
"""


def test_annotations_count_by_which_a_function_is_chosen(fp: Write) -> None:
    def digest(body: str, kind: str) -> str:
        return fp(run(body, DISPATCH.format(kind=kind, other="int"))).digest

    for body in ("return show(1)", "return C().go(1)"):
        assert digest(body, "int") != digest(body, "str") and digest(body, "int") == digest(body, "'int'")
    assert digest("return kept(1)", "int") == digest("return kept(1)", "str")


def test_names_in_dotted_texts_are_attributes(fp: Write) -> None:
    body = "    @property\n    def one(self): return f()\n    def two(self): return 1\n"
    for call in ("operator.attrgetter('one.real')(self)", "getattr(self, 'one')", "self.__getattribute__('one')"):
        text = f"{TASK}import operator\ndef f(): ...\n@task\nclass T:\n    def run(self): return {call}\n{body}"
        found = fp(text)
        assert names(found) == {"exp:f"} and "exp:T.two" not in found.symbols and not found.unsure
