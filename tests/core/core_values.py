"""Task types and hypothesis strategies that the tests of the core share."""

from __future__ import annotations

from enum import Enum, Flag, IntEnum, StrEnum, auto
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from labtech_cli.core.decorate import task
from labtech_cli.core.graph import Graph

settings.register_profile("labtech", deadline=None)  # a busy machine is no failure
settings.load_profile("labtech")


class Colour(Enum):
    RED = 1
    GREEN = 2
    CRIMSON = RED


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Word(StrEnum):
    A = "a"
    B = "b"


class Perm(Flag):
    R = auto()
    W = auto()
    X = auto()
    RW = R | W


@task
class Leaf:
    value: Any = None

    def run(self) -> Any:
        return self.value


@task
class Node:
    left: Any = None
    right: Any = None
    name: str = ""

    def run(self) -> None: ...


@task(code_version="v1", cache=None)
class Loose:
    value: Any = None

    def run(self) -> None: ...


FLAGS = [Perm(bits) for bits in range(8)]
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 2),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan")]),
    st.text(max_size=6),
    st.sampled_from(["", "a", "$task", "1", "\ud800"]),
    st.sampled_from([*Colour, *Level, *Word, *FLAGS]),
)
NAMES = st.one_of(st.sampled_from(["a", "b", "$task", "$dict", ""]), st.text(max_size=3))


def _nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3),
        st.dictionaries(NAMES, inner, max_size=3),
        st.builds(Leaf, inner),
        st.builds(Loose, inner),
        st.builds(Node, inner, inner),
    )


VALUES = st.recursive(ATOMS, _nest, max_leaves=8)
TASKS = st.one_of(st.builds(Leaf, VALUES), st.builds(Loose, VALUES), st.builds(Node, VALUES, VALUES))


def chain(length: int) -> Any:
    """A task that depends on one that depends on one, and so on, `length` tasks in all."""
    item = Leaf(0)
    for number in range(1, length):
        item = Node(item, name=str(number))
    return item


def ladder(levels: int) -> Any:
    """A task with two dependencies that both depend on the same two, and so on: 2**levels paths."""
    left, right = Leaf(0), Leaf(1)
    for _ in range(levels):
        left, right = Node(left, right, "l"), Node(left, right, "r")
    return Node(left, right, "top")


@st.composite
def graphs(draw: st.DrawFn, most: int = 12) -> Graph:
    """A random graph of distinct tasks, some of them targets."""
    made: list[Any] = []
    for number in range(draw(st.integers(1, most))):
        held = draw(st.lists(st.sampled_from(made), max_size=3)) if made else []
        made.append(draw(st.sampled_from([Leaf, Loose]))((number, *held)))
    targets = draw(st.lists(st.sampled_from(made), min_size=1, max_size=4))
    return Graph(targets)
