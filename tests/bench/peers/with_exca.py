"""exca's MapInfra with a pool of two processes: a cache on disk, no graph."""

from collections.abc import Iterable, Iterator

import exca
import pydantic
from common import main, work
from shapes import Node


class Work(pydantic.BaseModel):
    infra: exca.MapInfra = exca.MapInfra()

    @infra.apply(item_uid=lambda node: str(node[0]))
    def results(self, nodes: Iterable[tuple[int, int]]) -> Iterator[int]:
        for number, milliseconds in nodes:
            yield work(number, milliseconds)


def graph(nodes: list[Node]) -> None:
    infra = {"folder": "exca_cache", "cluster": "processpool", "max_jobs": 2}
    assert sum(Work(infra=infra).results([(node.number, node.milliseconds) for node in nodes])) > 0


if __name__ == "__main__":
    import with_exca  # what is pickled must be found by this name

    main(with_exca.graph)
