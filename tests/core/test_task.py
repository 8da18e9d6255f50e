"""A task is a frozen value: it compares, sorts, copies and pickles by what it is, at any depth."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from core_values import TASKS, Leaf, Loose, Node, Perm, chain, ladder
from hypothesis import given

from labtech_cli.core.decorate import task
from labtech_cli.core.order import dependencies_first
from labtech_cli.core.task import NATIVE_PICKLE_HEIGHT, ResultMeta, attach, is_task, is_task_type, restore, type_of
from labtech_cli.errors import TaskError

X = TypeVar("X")


@task
class Normal:
    """`post_init` brings `name` into a normal form that is not a fixed point, and sets what is no parameter."""

    name: str
    length: int = dataclasses.field(init=False)

    def post_init(self) -> None:
        object.__setattr__(self, "name", self.name + "!")
        object.__setattr__(self, "length", len(self.name))
        object.__setattr__(self, "extra", [self.name])

    def run(self) -> None: ...


@task
class Careful:
    sizes: Any = ()

    def post_init(self) -> None:
        if type(self.sizes) is not tuple:
            raise ValueError("post_init sees frozen parameters")
        object.__setattr__(self, "sizes", sorted(self.sizes))

    def run(self) -> None: ...


@task
class Unset:
    value: int = dataclasses.field(init=False)

    def run(self) -> None: ...


@task
class Fielded:
    items: list[int] = dataclasses.field(default_factory=list)
    secret: str = dataclasses.field(default="s", repr=False, compare=False)
    _: dataclasses.KW_ONLY
    flag: bool = False

    def run(self) -> None: ...


@task
class Boxed(Generic[X]):
    value: X

    def run(self) -> X:
        return self.value


class Undecorated(Leaf):
    pass


class Fixed:
    """A place where results are found."""

    meta = ResultMeta(datetime(2024, 1, 2), timedelta(seconds=3))

    def result(self, task: Any) -> Any:
        return "result", task

    def result_meta(self, task: Any) -> ResultMeta:
        return self.meta

    def context(self, task: Any) -> Any:
        return {"a": 1}


@contextmanager
def shallow(levels: int = 150) -> Iterator[None]:
    """Any walk that recurses over a hundred or so dependencies fails in here."""
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + levels)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def test_a_task_cannot_be_changed() -> None:
    made = Leaf(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.value = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.value


def test_a_task_is_equal_to_nothing_but_a_task() -> None:
    assert Leaf(1) != 1
    assert Leaf(1) != Leaf(1).cache_key
    assert (Leaf(1) == 1) is False
    assert Leaf(1).__eq__(1) is NotImplemented
    with pytest.raises(TypeError):
        _ = Leaf(1) < 1


def test_it_has_its_version_and_that_of_its_type() -> None:
    assert (Loose(1).code_version, Loose(1).current_code_version) == ("v1", "v1")
    old = restore(Loose, "v0", None, [1])
    assert (old.code_version, old.current_code_version) == ("v0", "v1")
    assert old != Loose(1) and old.cache_key != Loose(1).cache_key
    assert restore(Loose, None, None, [1]).code_version is None
    for again in (pickle.loads(pickle.dumps(old)), restore(Loose, "v0", old.cache_key, [1])):
        assert again == old and again.code_version == "v0"
    assert dataclasses.replace(old) == Loose(1), "a changed copy is made by the current code"


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("result", ["Leaf(value=1)", "not available here", "lab.run_task(task)"]),
        ("result_meta", ["Leaf(value=1)", "run the task"]),
        ("context", ["Leaf(value=1)", "while run() executes"]),
    ],
)
def test_what_is_not_available_says_how_to_get_it(attribute: str, words: list[str]) -> None:
    with pytest.raises(TaskError) as caught:
        getattr(Leaf(1), attribute)
    assert all(word in str(caught.value) for word in words)


def test_results_and_context_come_from_where_the_task_is_attached() -> None:
    made = Leaf(1)
    attach(made, Fixed())
    assert made.result == ("result", made)
    assert made.result_meta == Fixed.meta
    assert made.context == {"a": 1}
    attach(made, None)
    with pytest.raises(TaskError):
        _ = made.result


def test_a_message_about_a_large_task_is_cut_short() -> None:
    with pytest.raises(TaskError) as caught:
        _ = chain(5_000).result
    assert len(str(caught.value)) < 300


def test_tasks_and_task_types_are_told_from_other_things() -> None:
    assert is_task(Leaf(1)) and is_task(Boxed[int](1))
    assert not any(map(is_task, [1, Leaf, None, object()]))
    assert is_task_type(Leaf) and not is_task_type(Undecorated) and not is_task_type(Leaf(1))
    assert type_of(Leaf) is type_of(Leaf(1))
    with pytest.raises(TaskError, match="'int' is not a task type: decorate it with @task"):
        type_of(3)


def test_an_undecorated_subclass_is_a_clear_error_when_used() -> None:
    with pytest.raises(TaskError, match="'Undecorated' extends the task type 'Leaf' but is not decorated with @task"):
        Undecorated(1)


def test_post_init_sees_frozen_parameters_and_may_change_them() -> None:
    assert Careful([3, 1, 2]).sizes == (1, 2, 3)
    assert Careful([3, 1, 2]) == Careful((1, 2, 3))


def test_post_init_may_set_fields_and_other_attributes() -> None:
    made = Normal("a")
    assert (made.name, made.length, made.extra) == ("a!", 2, ["a!"])  # type: ignore[attr-defined]
    assert made == Normal("a") != Normal("a!")


def test_a_parameter_changed_by_post_init_is_changed_once_only() -> None:
    made = Normal("a")
    for again in (
        pickle.loads(pickle.dumps(made)),
        restore(Normal, None, made.cache_key, [made.name, made.length]),
        restore(Normal, None, None, [made.name, made.length]),
    ):
        assert (again.name, again.length, again.cache_key) == ("a!", 2, made.cache_key)
        assert hasattr(again, "extra")


def test_a_parameter_without_a_value_is_an_error() -> None:
    with pytest.raises(TaskError, match="Unset: parameter 'value' has no value; give the field a default"):
        Unset()


def test_fields_work_as_in_dataclasses() -> None:
    assert Fielded() == Fielded([]) and Fielded().items == ()
    assert Fielded(flag=True) != Fielded()
    assert repr(Fielded([1], flag=True)) == "Fielded(items=(1,), flag=True)"
    assert Fielded(secret="x") != Fielded(), "every parameter is part of the identity"
    with pytest.raises(TypeError):
        Fielded([], "s", True)  # type: ignore[misc]
    assert [item.name for item in dataclasses.fields(Fielded)] == ["items", "secret", "flag"]


def test_replace_makes_the_changed_task() -> None:
    assert dataclasses.replace(Node(1, 2), right=3) == Node(1, 3)


def test_a_task_matches_a_pattern() -> None:
    match Node(1, Leaf(2)):
        case Node(1, Leaf(found)):
            assert found == 2


def test_generic_task_types_are_one_type() -> None:
    assert Boxed[int](1) == Boxed(1)
    assert type(Boxed[str]("a")) is Boxed
    assert pickle.loads(pickle.dumps(Boxed[int](1))) == Boxed(1)


def test_copies_of_a_task_are_the_task() -> None:
    made = chain(5_000)
    assert copy.copy(made) is made and copy.deepcopy(made) is made
    assert copy.deepcopy([made])[0] is made


@given(TASKS)
def test_a_pickle_gives_the_same_task(made: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(made, protocol))
        assert again == made and hash(again) == hash(made) and repr(again) == repr(made)
        assert [item.cache_key for item in again._labtech_deps] == [item.cache_key for item in made._labtech_deps]


@pytest.mark.parametrize("height", [NATIVE_PICKLE_HEIGHT - 1, NATIVE_PICKLE_HEIGHT, NATIVE_PICKLE_HEIGHT + 1])
def test_pickles_are_right_on_both_sides_of_the_height_at_which_they_turn_flat(height: int) -> None:
    made = Node((Leaf(1), {"a": chain(height)}), Leaf(1), "n")
    again = pickle.loads(pickle.dumps(made))
    assert again == made and repr(again) == repr(made)
    assert again._labtech_height == made._labtech_height == height


def test_a_list_of_tasks_that_share_a_dependency_shares_it_again() -> None:
    shared = Leaf("x" * 10_000)
    data = pickle.dumps([Node(shared, name=str(number)) for number in range(50)])
    assert len(data) < 30_000
    again = pickle.loads(data)
    assert all(item.left is again[0].left for item in again)


def test_dependencies_are_the_distinct_tasks_held_at_any_depth_of_a_value() -> None:
    made = Node([Leaf(1), {"a": (Leaf(2), Leaf(1))}], Leaf(3))
    assert set(made._labtech_deps) == {Leaf(1), Leaf(2), Leaf(3)}
    assert len(made._labtech_deps) == 3
    assert Leaf(1)._labtech_deps == ()


@pytest.mark.parametrize("make", [lambda: chain(10_000), lambda: ladder(1_000)], ids=["chain", "ladder"])
def test_depth_and_sharing_need_no_recursion_and_cost_nothing_extra(make: Any) -> None:
    with shallow():
        made, other = make(), make()
        assert made == other and hash(made) == hash(other)
        assert not made < other and made <= other and sorted([other, made]) == [made, other]
        assert dataclasses.replace(made, name="a") < dataclasses.replace(made, name="b")
        text = repr(made)
        assert text == repr(other) and len(text) < 1_000_000
        again = pickle.loads(pickle.dumps(made))
        assert again == made
        assert len(list(dependencies_first([again]))) == len(list(dependencies_first([made]))) <= 10_000
        assert made != Node(made)
        del again, other


def test_two_chains_that_differ_at_the_very_bottom_are_ordered() -> None:
    left, right = Leaf(0), Leaf(1)
    for _ in range(10_000):
        left, right = Node(left), Node(right)
    with shallow():
        assert left < right and right > left and left != right


def test_the_size_of_a_pickle_grows_with_the_number_of_tasks() -> None:
    small, large = (len(pickle.dumps(ladder(levels))) for levels in (500, 1_000))
    assert 1.5 < large / small < 2.5


def test_a_pickled_task_keeps_odd_values() -> None:
    for value in (Perm(0), Perm.R | Perm.X, float("nan"), -0.0, 10**5_000, "\ud800", {"a": ()}):
        assert pickle.loads(pickle.dumps(Leaf(value))) == Leaf(value)


SCRIPT = """
from enum import Enum
import labtech_cli as labtech
from labtech_cli.core.task import type_of

class Colour(Enum):
    RED = 1

@labtech.task
class T:
    x: object
    def run(self): ...

if __name__ == "__main__":
    print(type_of(T).name, T(Colour.RED).cache_key)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A lone script, and packages with a module and a `__main__`."""
    for name in ("script.py", "pkg/mod.py", "pkg/inner/__init__.py", "pkg/inner/__main__.py", "pkg/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("" if name.endswith("__init__.py") else SCRIPT)
    return tmp_path


def _python(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (["script.py"], "script"),
        (["-m", "script"], "script"),
        (["pkg/mod.py"], "pkg.mod"),
        (["-m", "pkg.mod"], "pkg.mod"),
        (["-m", "pkg.inner"], "pkg.inner.__main__"),
        (["pkg/inner/__main__.py"], "pkg.inner.__main__"),
    ],
)
def test_a_module_gives_the_same_keys_run_as_main_and_imported(
    project: Path, arguments: list[str], module: str
) -> None:
    name, key = _python(project, *arguments)
    assert name == f"{module}.T"
    code = f"import {module} as m; print(m.T(m.Colour.RED).cache_key)"
    assert _python(project, "-c", code) == [key]
