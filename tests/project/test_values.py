"""`-p` and `--grid` texts become values by the annotation of the parameter."""

# ruff: noqa: UP007, UP045 - annotations in all the ways users write them

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, NewType, Optional, Protocol, TypeVar, Union

import pytest
from frozendict import frozendict
from hypothesis import given
from hypothesis import strategies as st

from labtech_cli.core.decorate import task
from labtech_cli.core.task import Task
from labtech_cli.errors import TargetError
from labtech_cli.project.grids import expand_grid
from labtech_cli.project.usercode import UserCodeError
from labtech_cli.project.values import convert


class Dataset(Enum):
    DIGITS = "digits"
    IRIS = "iris"


class Classifier(Protocol):
    def run(self) -> Any: ...


@task
class Forest:
    n: int

    def run(self) -> int:
        return 1


@task
class Line:
    def run(self) -> int:
        return 1


Seed = NewType("Seed", int)
Bound = TypeVar("Bound", bound=int)
Chosen = TypeVar("Chosen", int, bool)
TARGETS: dict[str, Any] = {
    "e.py:rf": Forest(1),
    "e.py:rfs": [Forest(1), Forest(2)],
    "rf": Forest(1),
    "m:rf": Forest(1),
}


def resolve(text: str) -> Any:
    if text not in TARGETS:
        raise TargetError(f"no target '{text}'")
    return TARGETS[text]


def value(text: str, annotation: Any) -> Any:
    return convert(text, annotation, resolve, name="x")


def refusal(text: str, annotation: Any, how: Callable[..., Any] = convert) -> str:
    with pytest.raises(TargetError) as caught:
        how(text, annotation, resolve, name="x")
    assert caught.value.exit_status == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("5", int, 5),
        ("-1_000", int, -1000),
        ("0x10", int, 16),
        ("1", float, 1.0),
        ("1e-3", float, 0.001),
        ("inf", float, math.inf),
        ("true", bool, True),
        ("False", bool, False),
        ("None", None, None),
        ("DIGITS", Dataset, Dataset.DIGITS),
        ("Dataset.IRIS", Dataset, Dataset.IRIS),
        ('"IRIS"', Dataset, Dataset.IRIS),
        ("1", str, "1"),
        ('"quoted"', str, '"quoted"'),
        ("", str, ""),
        ("None", str, "None"),
        ("1", Seed, 1),
        ("1", Annotated[int, "seconds"], 1),
        ("1", Bound, 1),
        ("true", Chosen, True),
        ("None", Optional[int], None),
        ("7", int | None, 7),
        ("None", Optional[str], None),
        ("none", Optional[str], "none"),
        ("1", Union[str, float, int], 1),
        ("1.0", Union[str, float, int], 1.0),
        ("true", int | bool | str, True),
        ("1", bool | int, 1),
        ('"1"', int | str, "1"),
        ("yes", bool | str, "yes"),
        ("IRIS", Dataset | str, Dataset.IRIS),
        ("[1]", list[int] | int | str, [1]),
        ("1", Union[int, Union[None, str]], 1),
        ("adam", Literal["adam", "sgd"], "adam"),
        ("2", Literal[1, 2], 2),
        ("2", Literal["2", "3"], "2"),
        ("IRIS", Literal[Dataset.IRIS], Dataset.IRIS),
        ("None", Literal["a", None], None),
        ("[1, 2]", list[int], [1, 2]),
        ("[1, 2.5]", list[float], [1.0, 2.5]),
        ("[1, 2.5]", list[int | float], [1, 2.5]),
        ("[]", list[int], []),
        ('["1", 1]', list[int | str], ["1", 1]),
        ('["IRIS"]', Sequence[Dataset], [Dataset.IRIS]),
        ("(1, 2)", tuple[int, ...], (1, 2)),
        ('[1, "a"]', tuple[int, str], (1, "a")),
        ("[1, 1]", set[int], {1}),
        ("[null, 1]", list[int | None], [None, 1]),
        ("[None, True]", list[Any], [None, True]),
        ("[[1], [2, 3]]", list[list[int]], [[1], [2, 3]]),
        ('{"a": 1}', dict[str, int], {"a": 1}),
        ("{a = 1, b = 2}", Mapping[str, float], {"a": 1.0, "b": 2.0}),
        ("{a = [1]}", frozendict[str, list[int]], {"a": [1]}),
        ("[1]", list, [1]),
        ("{a = 1}", dict, {"a": 1}),
        ("e.py:rf", Forest, Forest(1)),
        ("rf", Classifier, Forest(1)),
        ("m:rf", Task[int], Forest(1)),
        ("rf", Forest | None, Forest(1)),
        ("None", Forest | None, None),
        ("rf", Forest | str, Forest(1)),
        ("hello", Forest | str, "hello"),
        ("e.py:rfs", list[Classifier], [Forest(1), Forest(2)]),
        ("e.py:rfs", Classifier | list[Classifier], [Forest(1), Forest(2)]),
        ('["rf", "e.py:rf"]', list[Classifier], [Forest(1), Forest(1)]),
        ('{"a": "rf"}', dict[str, Forest], {"a": Forest(1)}),
    ],
)
def test_a_text_is_converted_by_the_annotation(text: str, annotation: Any, expected: Any) -> None:
    got = value(text, annotation)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("true", True),
        ("False", False),
        ("None", None),
        ("digits", "digits"),
        ('"1"', "1"),
        ("'1'", "1"),
        ("[1, 'a']", [1, "a"]),
        ('{"a": null}', {"a": None}),
        ("2024-01-01", "2024-01-01"),
        ("[2024-01-01]", ["2024-01-01"]),
        ("1 # one", "1 # one"),
        ("1,", "1,"),
        ("1\nw = 2", "1\nw = 2"),
        ("localhost:80", "localhost:80"),
        ("[broken", "[broken"),
        ("e.py:rf", Forest(1)),
        ("['e.py:rf']", [Forest(1)]),
        ("", ""),
    ],
)
@pytest.mark.parametrize("annotation", [Any, object, Callable[[], int]])
def test_without_an_annotation_a_toml_value_counts_and_else_the_text(text: str, expected: Any, annotation: Any) -> None:
    got = value(text, annotation)
    assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "annotation", "words"),
    [
        ("1.5", int, "parameter 'x': expected int, not '1.5'; give a whole number"),
        ('"1"', int, "parameter 'x': expected int, not '1'; give a whole number"),
        ("a", float, "parameter 'x': expected float, not 'a'; give a number"),
        ("yes", bool, "parameter 'x': expected bool, not 'yes'; write true or false"),
        ("1", bool, "parameter 'x': expected bool, not '1'; write true or false"),
        ("0", None, "parameter 'x': expected None, not '0'; write None"),
        (
            "digits",
            Dataset,
            "parameter 'x': expected a member of Dataset, not 'digits'; did you mean 'DIGITS'?",
        ),
        (
            "wine",
            Dataset,
            "parameter 'x': expected a member of Dataset, not 'wine'; choose from 'DIGITS', 'IRIS'",
        ),
        (
            "[1]",
            list[Dataset],
            "parameter 'x': expected a member of Dataset at [0], not 1; choose from 'DIGITS', 'IRIS'",
        ),
        (
            "DIGIT",
            Dataset | None,
            "expected a member of Dataset or None, not 'DIGIT'; did you mean 'DIGITS'?",
        ),
        ("1.5", Optional[int], "parameter 'x': expected int or None, not '1.5'; give a whole number"),
        (
            "adm",
            Literal["adam", "sgd"],
            "parameter 'x': expected 'adam' or 'sgd', not 'adm'; did you mean 'adam'?",
        ),
        (
            "1,2",
            list[int],
            "parameter 'x': expected list[int], not '1,2'; write it as TOML or JSON, for example [1, 2]",
        ),
        ('[1, "a"]', list[int], "parameter 'x': expected int at [1], not 'a'; give a whole number"),
        ('[1, "a"]', list[int] | None, "parameter 'x': expected int at [1], not 'a'; give a whole number"),
        ("[1, 2]", list[str], "parameter 'x': expected str at [0], not 1; write it in quotes: \"1\""),
        ("[true]", list[float], "parameter 'x': expected float at [0], not True; give a number"),
        ('{"a": {"b": 0.5}}', dict[str, dict[str, int]], "expected int at ['a']['b'], not 0.5"),
        (
            "[1]",
            dict[str, int],
            "expected dict[str, int], not '[1]'; write it as TOML or JSON, for example {\"a\": 1}",
        ),
        ("[1]", tuple[int, str], "expected tuple[int, str], not '[1]'; give exactly 2 values"),
        ("1" + "0" * 400, list[float], "expected list[float]"),
        ("[1" + "0" * 400 + "]", list[float], "expected float at [0]"),
        ("e.py:no", Forest, "parameter 'x': no target 'e.py:no'"),
        ("e.py:no", Forest | str, "parameter 'x': no target 'e.py:no'"),
        ("no", Forest | None, "parameter 'x': no target 'no'"),
        ("e.py:rfs", Forest, "expected a Forest, not 'e.py:rfs'; it names several tasks: name one"),
        ("rf", Line, "parameter 'x': expected a Line, not 'rf'; it names a task of type Forest"),
        ("", Line, "parameter 'x': expected a Line, not ''; name a target, such as experiments.py:NAME"),
        ("[1]", list[Line], "expected a Line at [0], not 1; name a target"),
    ],
)
def test_a_wrong_value_says_what_was_expected(text: str, annotation: Any, words: str) -> None:
    assert words in refusal(text, annotation)


def test_a_value_nested_beyond_reason_is_refused_or_kept_as_text() -> None:
    deep = "[" * 5000 + "]" * 5000
    assert "expected list" in refusal(deep, list[Any])
    assert value(deep, Any) == deep
    assert "nested too deeply" in refusal("[" * 400 + "]" * 400, list[Any]) or value("[" * 400 + "]" * 400, Any)


def test_a_module_that_is_broken_is_never_taken_for_a_string() -> None:
    def broken(text: str) -> Any:
        raise UserCodeError("it failed", user_traceback="trace")

    with pytest.raises(UserCodeError) as caught:
        convert("m:rf", Forest | str, broken, name="x")
    assert caught.value.user_traceback == "trace"


@given(st.integers())
def test_every_int_comes_back(number: int) -> None:
    assert value(str(number), int) == value(str(number), Any) == number or number.bit_length() > 63


@given(st.floats(allow_nan=False))
def test_every_float_comes_back(number: float) -> None:
    assert value(repr(number), float) == number


@given(st.text())
def test_every_text_comes_back_and_never_crashes_without_annotation(text: str) -> None:
    assert value(text, str) == text
    with contextlib.suppress(TargetError):
        value(text, Any)


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("1,5,10", int, [1, 5, 10]),
        ("1, 5", float, [1.0, 5.0]),
        ("1..4", int, [1, 2, 3, 4]),
        ("1..10..4", int, [1, 5, 9]),
        ("3..1..-1", int, [3, 2, 1]),
        ("-1..1,7", Any, [-1, 0, 1, 7]),
        ("DIGITS,IRIS", Dataset, [Dataset.DIGITS, Dataset.IRIS]),
        ("digits,iris", str, ["digits", "iris"]),
        ('"a,b",c', str, ["a,b", "c"]),
        ("'a,b','c'", str, ["a,b", "c"]),
        ('"",don\'t', str, ["", "don't"]),
        ('"say \\"a,b\\"",c', str, ['say "a,b"', "c"]),
        ("[1,2],[3]", list[int], [[1, 2], [3]]),
        ("{a = 1, b = 2},{}", dict[str, int], [{"a": 1, "b": 2}, {}]),
        ("None,3", int | None, [None, 3]),
        ("rf", Forest, [Forest(1)]),
        ("e.py:rfs,rf", Classifier, [Forest(1), Forest(2), Forest(1)]),
    ],
)
def test_a_grid_gives_several_values(text: str, annotation: Any, expected: list[Any]) -> None:
    assert expand_grid(text, annotation, resolve, name="x") == expected


@pytest.mark.parametrize(
    ("text", "annotation", "words"),
    [
        ("1,,2", int, "--grid x: there is an empty value in '1,,2'; write the empty string as \"\""),
        ("", int, "there is an empty value"),
        ("[1,2", list[int], "a bracket in '[1,2' has no partner"),
        ("'a,b", str, "a quote in ''a,b' has no partner"),
        ("10..1", int, "--grid x: the range '10..1' is empty; write 10..1..-1 to count down"),
        ("1..5..0", int, "the range '1..5..0' is empty; the step must lead to the end"),
        ("1..9999999999", int, "has 9,999,999,999 values; at most 1,000,000 are allowed"),
        ("1,a", int, "parameter 'x': expected int, not 'a'"),
        ("e.py:rfs", Line, "it names a task of type Forest"),
    ],
)
def test_a_wrong_grid_says_what_is_wrong(text: str, annotation: Any, words: str) -> None:
    assert words in refusal(text, annotation, expand_grid)
