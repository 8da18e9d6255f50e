"""A graph numbers tasks so that every dependency has a smaller number."""

from __future__ import annotations

from core_values import Leaf, Node, chain, graphs, ladder
from hypothesis import given

from labtech_cli.core.graph import Graph


@given(graphs())
def test_numbers_index_and_dependencies_agree(graph: Graph) -> None:
    assert len(graph) == len(graph.tasks) == len(graph.deps) == len(set(graph.tasks))
    for number, item in enumerate(graph.tasks):
        assert graph.index[item.cache_key] == number
        assert [graph.tasks[dep] for dep in graph.deps[number]] == list(item._labtech_deps)
        assert all(dep < number for dep in graph.deps[number])


@given(graphs())
def test_dependents_are_the_reverse_among_those_marked(graph: Graph) -> None:
    among = bytearray(number % 2 for number in range(len(graph)))
    edges = {(dep, number) for number, deps in enumerate(graph.deps) for dep in deps if among[number]}
    found = graph.dependents(among)
    assert {(dep, number) for dep, numbers in enumerate(found) for number in numbers} == edges
    assert sum(map(len, found)) == len(edges)


def test_targets_are_kept_in_the_order_asked_and_once() -> None:
    one, two = Leaf(1), Leaf(2)
    graph = Graph(iter([two, Node(one), Leaf(2), one]))
    assert [graph.tasks[number] for number in graph.targets] == [two, Node(one), one]


def test_an_empty_graph_is_a_graph() -> None:
    assert len(Graph([])) == 0


def test_large_graphs_are_built_without_recursion_or_blow_up() -> None:
    assert len(Graph([chain(10_000)])) == 10_000
    assert len(Graph([ladder(1_000)])) == 2_003
