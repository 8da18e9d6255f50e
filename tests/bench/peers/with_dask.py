"""dask.distributed on this machine: two worker processes, no cache."""

import logging
from typing import Any

from common import CONSUMERS, main, mean, produce, work
from distributed import Client, LocalCluster
from shapes import Node


def graph(nodes: list[Node]) -> None:
    if any(node.deps or node.milliseconds for node in nodes):
        client.gather(submitted(nodes))
    else:  # the fast way
        client.gather(client.map(work, [node.number for node in nodes], [0] * len(nodes), pure=False))


def submitted(nodes: list[Node]) -> list[Any]:
    futures: list[Any] = []
    for number, milliseconds, deps in nodes:
        futures.append(client.submit(work, number, milliseconds, *[futures[dep] for dep in deps], pure=False))
    return futures


def array(megabytes: int) -> None:
    produced = client.submit(produce, megabytes)
    client.gather([client.submit(mean, number, produced) for number in range(CONSUMERS)])


if __name__ == "__main__":
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL, local_directory="."
    )
    with cluster, Client(cluster) as client:
        main(graph, array)
