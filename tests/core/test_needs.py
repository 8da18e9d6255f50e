"""What a task needs is said by its type or by the task itself, and checked where it is said."""

from __future__ import annotations

from typing import Any

import pytest

from labtech_cli.core.decorate import task
from labtech_cli.core.needs import Needs, needs_of
from labtech_cli.errors import TaskError


@task(cpus=2, memory="4GB", gpus=1, retries=3, timeout="1h30m")
class Heavy:
    size: int = 1

    def run(self) -> None: ...


@task(cpus=1, retries=2)
class Sized:
    size: Any

    def resources(self) -> Any:
        return {"cpus": self.size, "memory": "1GiB"} if self.size else None

    def run(self) -> None: ...


@task
class Named:
    """A parameter may have the name of the method."""

    resources: int = 3

    def run(self) -> None: ...


def test_a_type_says_what_each_of_its_tasks_needs() -> None:
    assert needs_of(Heavy()) == Needs(2, 4_000_000_000, 1, 3, 5400.0)
    assert needs_of(Named()) == Needs()


def test_a_task_says_what_it_needs_and_its_type_the_rest() -> None:
    assert needs_of(Sized(4)) == Needs(4, 2**30, None, 2)
    assert needs_of(Sized(0)) == Needs(1, None, None, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cpus": 0}, "cpus must be a number above 0, not 0"),
        ({"cpus": True}, "cpus must be a number above 0, not True"),
        ({"cpus": float("nan")}, "cpus must be"),
        ({"cpus": 1e308}, "cpus must be at most 1,000,000, not 1e+308"),
        ({"cpus": 10**5000}, "cpus must be at most 1,000,000, not a very large int"),
        ({"memory": "9" * 400 + "GB"}, f"memory '{'9' * 79}… is not a size"),
        ({"memory": 2**63}, "memory must be less than 8 EiB, not 9223372036854775808"),
        ({"timeout": 1e300}, "timeout must be at most 68 years, not 1e+300"),
        ({"timeout": float("nan")}, "timeout must be a duration"),
        ({"timeout": "9" * 400 + "d"}, "timeout must be at most 68 years"),
        ({"memory": "lots"}, "memory 'lots' is not a size"),
        ({"memory": -1}, "memory must be a size such as '4GB'"),
        ({"gpus": 0.5}, "gpus must be a whole number"),
        ({"retries": -1}, "retries must be a whole number of at least 0"),
        ({"timeout": "soon"}, "timeout 'soon' is not a duration"),
        ({"timeout": 0}, "timeout must be a duration"),
        ({"timeouts": 1}, "@task has no option 'timeouts'"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_at_the_type(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TaskError, match="task type 'Wrong'") as caught:
        task(**options)(type("Wrong", (), {"__module__": __name__, "run": lambda self: None}))
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("said", "words"),
    [(-1, "cpus must be a number above 0"), ("2", "cpus must be a number above 0")],
)
def test_what_a_task_says_is_checked_and_the_task_is_named(said: Any, words: str) -> None:
    with pytest.raises(TaskError, match=r"Sized\(.*\)\.resources\(\)") as caught:
        needs_of(Sized(said))
    assert words in caught.value.message


def test_a_method_that_raises_or_returns_something_else_is_named() -> None:
    wrong = task(type("Wrong", (), {"__module__": __name__, "run": print, "resources": lambda self: [1]}))
    with pytest.raises(TaskError, match="returned list"):
        needs_of(wrong())
    raising = task(type("Raising", (), {"__module__": __name__, "run": print, "resources": lambda self: 1 / 0}))
    with pytest.raises(TaskError, match="raised ZeroDivisionError"):
        needs_of(raising())


def test_needs_are_no_part_of_the_identity() -> None:
    other = task(cpus=1)(type("Heavy", (), {"__module__": __name__, "__annotations__": {"size": int}, "run": print}))
    assert other(1).cache_key == Heavy(1).cache_key
