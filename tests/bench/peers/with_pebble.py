"""pebble's process pool: no cache, no graph."""

from common import main, work
from pebble import ProcessPool
from shapes import Node


def graph(nodes: list[Node]) -> None:
    with ProcessPool(max_workers=2) as pool:
        futures = [pool.submit(work, None, node.number, node.milliseconds) for node in nodes]
        assert sum(future.result() for future in futures) > 0


if __name__ == "__main__":
    main(graph)
