"""ProcessPoolExecutor.submit: no cache, no graph, no log, no isolation."""

from concurrent.futures import ProcessPoolExecutor

from common import main, work
from shapes import Node


def graph(nodes: list[Node]) -> None:
    with ProcessPoolExecutor(2) as executor:
        futures = [executor.submit(work, node.number, node.milliseconds) for node in nodes]
        assert sum(future.result() for future in futures) > 0


if __name__ == "__main__":
    main(graph)
