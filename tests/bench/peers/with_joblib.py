"""joblib: Parallel with a Memory on disk that maps large arrays; no graph."""

from common import CONSUMERS, main, mean, produce, work
from joblib import Memory, Parallel, delayed
from shapes import Node

memory = Memory("joblib_cache", verbose=0, mmap_mode="r")
work, produce, mean = memory.cache(work), memory.cache(produce), memory.cache(mean, ignore=["array"])


def graph(nodes: list[Node]) -> None:
    assert sum(Parallel(n_jobs=2)(delayed(work)(node.number, node.milliseconds) for node in nodes)) > 0


def array(megabytes: int) -> None:
    produce(megabytes)
    mapped = produce(megabytes)  # the first call returns the array itself
    Parallel(n_jobs=2)(delayed(mean)(number, mapped) for number in range(CONSUMERS))


if __name__ == "__main__":
    main(graph, array)
