"""loky's reusable executor: no cache, no graph."""

from common import main, work
from loky import get_reusable_executor
from shapes import Node


def graph(nodes: list[Node]) -> None:
    executor = get_reusable_executor(max_workers=2)
    futures = [executor.submit(work, node.number, node.milliseconds) for node in nodes]
    assert sum(future.result() for future in futures) > 0
    executor.shutdown()


if __name__ == "__main__":
    main(graph)
