"""Annotations as they are shown to people."""

from collections.abc import Callable
from enum import Enum
from typing import Any, List, Literal, Optional, Union  # noqa: UP035

import pytest

from labtech_cli.core.decorate import task
from labtech_cli.core.task import type_of
from labtech_cli.report.annotations import parameter_text, result_text, type_text


class np:
    """Stands in for numpy: annotations need its name only."""

    ndarray = type("ndarray", (), {"__module__": "numpy"})


class E(Enum):
    A = 1


@task
class Written:
    later: "Later | None"
    missing: "np.nothing | list[np.Missing]"
    inner: "Inner"

    class Inner: ...

    def run(self) -> "np.ndarray": ...


@task
class Inherited(Written):
    own: "List[int] | None" = None  # noqa: UP006

    def run(self) -> None: ...


@task
class Silent:
    def run(self): ...


class Later: ...


def test_textual_annotations_resolve_where_they_were_written():
    assert parameter_text(type_of(Written), "later") == "Later | None"
    assert parameter_text(type_of(Written), "inner") == "Written.Inner"
    assert parameter_text(type_of(Inherited), "later") == "Later | None"
    assert parameter_text(type_of(Inherited), "own") == "list[int] | None"


def test_text_that_does_not_resolve_stays_as_written_without_modules():
    assert parameter_text(type_of(Inherited), "missing") == "nothing | list[Missing]"


def test_what_run_returns_is_its_annotation_or_nothing():
    assert [result_text(type_of(kind)) for kind in (Written, Inherited, Silent)] == ["ndarray", "None", ""]


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        (Optional[int], "int | None"),  # noqa: UP045
        (Union[int, "Later"], "int | Later"),
        (List[int], "list[int]"),  # noqa: UP006
        (Callable[[int, Silent], None], "Callable[[int, Silent], None]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Literal["a", 1, E.A], "Literal['a', 1, E.A]"),
        (list["np.Later"], "list[Later]"),
        (Any, "Any"),
        (dict[str, list[E | None]], "dict[str, list[E | None]]"),
        ("a.b['c.d']", "a.b['c.d']"),
    ],
)
def test_annotations_have_no_module_names(hint, shown):
    assert type_text(hint) == shown
