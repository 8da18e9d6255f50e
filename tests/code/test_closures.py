"""The code behind the tasks of a graph."""

from __future__ import annotations

import enum
import http
from typing import Any

import pytest

import labtech_cli as labtech
from labtech_cli.code.closures import Closure, Codes, closure_document, read_closure
from labtech_cli.core.graph import Graph


@labtech.task
class Low:
    n: int

    def run(self) -> int:
        return self.n


@labtech.task
class High:
    parts: list[Any]

    def run(self) -> int:
        return 1


class Mode(enum.Enum):
    FAST = 1

    def factor(self) -> int:
        return int(self.value)


class Named(enum.Enum):
    ONE = 1


@labtech.task
class Loose:
    value: Any
    named: Named = Named.ONE

    class Inner(enum.Enum):
        ONE = 1

    def run(self) -> int:
        return 1


def chain(length: int) -> Any:
    task: Any = Low(0)
    for _ in range(length):
        task = High([task])
    return task


def names(closure: Closure) -> set[str]:
    return {name.rpartition(".")[2] for name, _ in closure}


def test_the_closure_of_a_task_names_its_type_and_every_type_below() -> None:
    graph = Graph([High([Low(1), Low(2)]), High([])])
    codes = Codes(graph)
    found = {repr(task): names(codes.closure(codes.current[number])) for number, task in enumerate(graph.tasks)}
    assert found["Low(n=1)"] == {"Low"} and found["High(parts=())"] == {"High"}
    assert found["High(parts=(Low(n=1), Low(n=2)))"] == {"High", "Low"}


def test_there_are_as_many_closures_as_shapes_however_long_a_chain_is() -> None:
    codes = Codes(Graph([chain(3_000)]))
    assert len(set(codes.current)) == 2 and len(codes.types) == 2


def test_what_is_made_from_a_result_of_older_code_is_recorded_with_that_code() -> None:
    graph = Graph([High([Low(1)]), High([Low(2)])])
    codes = Codes(graph)
    old: Closure = frozenset({("m.Low", "older")})
    number = graph.tasks.index(Low(1))
    actual = codes.actual(lambda place: old if place == number else None)
    first, second = (graph.index[task.cache_key] for task in (High([Low(1)]), High([Low(2)])))
    assert ("m.Low", "older") in codes.closure(actual[first])
    assert actual[second] == codes.current[second] != actual[first]


def test_documents_hold_the_closures_and_the_code_of_their_types() -> None:
    codes = Codes(Graph([High([Low(1)])]))
    documents = codes.documents(codes.current)
    assert len(documents) == 4
    for closure in codes.current:
        assert read_closure(documents[codes.digest(closure)]) == codes.closure(closure)
        assert all(digest in documents for _, digest in codes.closure(closure))


def closures(*tasks: Any) -> list[set[str]]:
    graph = Graph(tasks)
    codes = Codes(graph)
    return [names(codes.closure(codes.current[graph.index[task.cache_key]])) for task in tasks]


@pytest.mark.parametrize("value", [Mode.FAST, [1, {"a": ["x", Mode.FAST]}]], ids=["itself", "deep inside"])
def test_an_enum_that_no_annotation_names_counts_where_a_parameter_holds_a_member(value: Any) -> None:
    assert closures(Loose(value), Loose(1), High([Loose(value)])) == [
        {"Loose", "Mode"},
        {"Loose"},
        {"High", "Loose", "Mode"},
    ]


def test_enums_that_the_task_types_code_has_already_and_those_of_libraries_are_not_named_again() -> None:
    assert closures(Loose(Named.ONE), Loose(http.HTTPStatus.OK)) == [{"Loose"}, {"Loose"}]


def test_all_methods_of_such_an_enum_count_and_an_enum_inside_a_task_type_is_one_too() -> None:
    graph = Graph([Loose(Mode.FAST), Loose(Loose.Inner.ONE)])
    codes = Codes(graph)
    symbols = {name.partition(":")[2] for known in codes.types.values() for name in known.symbols}
    assert {"Mode", "Mode.factor", "Loose.Inner"} <= symbols
    assert not any("not found" in item.reason for known in codes.types.values() for item in known.unsure)
    documents = codes.documents(codes.current)
    assert all(known.digest in documents for known in codes.types.values())


@pytest.mark.parametrize("text", ["", "1", "[]", "{}", '{"schema":"labtech.codes/1"}', "[" * 100_000])
def test_what_is_no_closure_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r""):
        read_closure(text)


def test_a_closure_comes_back_from_its_document() -> None:
    closure: Closure = frozenset({("a.B", "1"), ("a.B", "2"), ("c.D", "3")})
    digest, text = closure_document(closure)
    assert read_closure(text) == closure and len(digest) == 32
