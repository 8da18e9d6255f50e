"""Diagrams of task types."""

from enum import Enum
from typing import Any, Literal

import pytest

from labtech_cli.core.decorate import task
from labtech_cli.errors import ConfigError, TaskError
from labtech_cli.report.diagram import build_task_diagram, display_task_diagram


class E(Enum):
    A = 1


@task
class T:
    x: int
    e: E = E.A
    l: list[int] | None = None  # noqa: E741
    d: dict | None = None

    def run(self): ...


@task
class U:
    t: T
    s: str = "s"

    def run(self) -> dict[str, int]: ...


@task
class V:
    ts: dict[str, T]
    us: list[U]
    o: T | U | None = None
    p: tuple[T, U] | None = None

    def run(self): ...


@task
class Odd:
    text: 'Literal["a{b}", "c;\\n"]'

    def run(self): ...


class Outer:
    @task
    class Inner:
        def run(self): ...


@task
class note:
    def run(self): ...


@task
class Twin:
    x: int = 0

    def run(self): ...


@task
class OtherTwin:
    __module__, __qualname__ = "far.away", "Twin"
    twin: Twin

    def run(self): ...


@task
class Chain:
    before: Any = None
    again: Any = None

    def run(self): ...


def test_annotations_are_shown_as_written_and_a_missing_result_annotation_as_nothing():
    text = build_task_diagram([U(T(1))], direction="TB")
    assert (
        text
        == """classDiagram
    direction TB

    class U
    U : T t
    U : str s
    U : run() dict[str, int]

    class T
    T : int x
    T : E e
    T : list[int] | None l
    T : dict | None d
    T : run()


    U <-- T: t"""
    )


def test_tasks_through_a_collection_are_many_and_others_are_not():
    text = build_task_diagram([V(ts={"a": T(1)}, us=[U(T(2))], o=T(1), p=(T(1), U(T(1))))])
    assert "    V : dict[str, T] ts\n    V : list[U] us\n    V : T | U | None o\n    V : tuple[T, U] | None p" in text
    assert text.endswith(
        '    V <-- "many" T: ts\n    V <-- "many" U: us\n    V <-- T: o\n'
        '    V <-- "many" T: p\n    V <-- "many" U: p\n\n    U <-- T: t'
    )


def test_a_parameter_that_is_many_in_one_task_is_many_in_the_diagram():
    assert '<-- "many" T: before' in build_task_diagram([Chain(T(1)), Chain([T(1)])])


def test_types_come_breadth_first_and_targets_first():
    text = build_task_diagram([U(T(1)), Twin()])
    assert [line.split()[1] for line in text.splitlines() if line.startswith("    class ")] == [
        "U",
        "Twin",
        "T",
    ]


def test_a_diagram_without_relations_has_classes_only():
    assert build_task_diagram([Twin(1), Twin(2)]).endswith("    Twin : int x\n    Twin : run()")
    assert build_task_diagram([]) == "classDiagram\n    direction BT"


def test_one_task_or_a_generator_will_do():
    assert build_task_diagram(Twin()) == build_task_diagram(item for item in [Twin(1), Twin(2)])


def test_what_could_break_mermaid_is_written_as_entity_codes():
    line = next(line for line in build_task_diagram([Odd("a{b}")]).splitlines() if "text" in line)
    assert line == "    Odd : Literal[#39;a#123;b#125;#39;, #39;c#59;#92;n#39;] text"


def test_a_nested_class_and_a_keyword_get_an_identifier_and_a_label():
    text = build_task_diagram([Outer.Inner(), note()])
    assert '    class Outer_Inner["Outer.Inner"]\n    Outer_Inner : run()' in text
    assert '    class note_["note"]\n    note_ : run()' in text


def test_types_that_share_a_name_are_told_apart_by_module():
    text = build_task_diagram([OtherTwin(Twin())])
    here = Twin.__module__.replace(".", "_")
    assert f'    class far_away_Twin["far.away.Twin"]\n' in text  # noqa: F541
    assert f'    class {here}_Twin["{Twin.__module__}.Twin"]\n' in text
    assert text.endswith(f"\n    far_away_Twin <-- {here}_Twin: twin")


def test_a_wrong_direction_is_an_error_with_the_nearest_one():
    with pytest.raises(ConfigError, match=r"direction 'bt'; did you mean 'BT'\?"):
        build_task_diagram([Twin()], direction="bt")


def test_what_is_no_task_is_an_error():
    with pytest.raises(TaskError, match="made of tasks, not of int"):
        build_task_diagram([Twin(), 3])


def test_a_chain_of_ten_thousand_and_a_ladder_of_a_thousand_levels_are_no_trouble():
    chain = ladder = Chain()
    for _ in range(10_000):
        chain = Chain(chain)
    for _ in range(1_000):
        ladder = Chain(ladder, [ladder, ladder])
    text = build_task_diagram([chain, ladder])
    assert text.endswith('    Chain <-- Chain: before\n    Chain <-- "many" Chain: again')


def test_outside_a_notebook_the_text_is_printed(capsys):
    assert display_task_diagram([Twin()]) is None
    assert capsys.readouterr().out == build_task_diagram([Twin()]) + "\n"
