"""Errors say what is wrong and what to do, and survive the way between processes."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labtech_cli import errors
from labtech_cli.errors import LabtechError, RunInterrupted, TaskError, TaskFailed, did_you_mean, nearest

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LabtechError)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_of_ours_is_of_one_tree_and_survives_a_pickle(kind: type[LabtechError]) -> None:
    error = kind("what is wrong", hint="what to do")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert (again.message, again.hint, again.exit_status) == ("what is wrong", "what to do", error.exit_status)
        assert str(again) == "what is wrong; what to do"
    assert kind.__doc__


def test_an_error_without_a_hint_is_its_message() -> None:
    assert str(TaskError("wrong")) == "wrong"


def test_exit_statuses_are_those_of_the_command_line() -> None:
    assert TaskError("").exit_status == 2
    assert TaskFailed("").exit_status == 1
    assert RunInterrupted("").exit_status == 130
    assert pickle.loads(pickle.dumps(RunInterrupted("", exit_status=143))).exit_status == 143


@pytest.mark.parametrize(
    ("name", "found"),
    [("max_paralel", "max_parallel"), ("CACHE", "cache"), ("zzz", None), ("", None)],
)
def test_the_nearest_name_is_found_whatever_its_case(name: str, found: str | None) -> None:
    assert nearest(name, ["cache", "max_parallel"]) == found


def test_the_hint_names_the_nearest_choice_or_some_of_them() -> None:
    assert did_you_mean("cach", ["cache", "other"]) == "did you mean 'cache'?"
    assert did_you_mean("zzz", ["b", "a", "b"]) == "choose from 'a', 'b'"
    assert did_you_mean("zzz", []) == "there are none to choose from"
    assert did_you_mean("zzz", map(str, range(10)), most=2) == "choose from '0', '1' and 8 more"


@settings(deadline=None)
@given(st.text(), st.lists(st.text()))
def test_any_name_has_a_hint(name: str, choices: list[str]) -> None:
    assert did_you_mean(name, choices)
    assert nearest(name, choices) in {None, *choices}
