"""dask.distributed on this machine, two worker processes, no cache."""

import sys

from distributed import Client, LocalCluster


def double(n: int) -> int:
    return n * 2


if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        futures = client.map(double, range(int(sys.argv[1])), pure=False)
        assert sum(client.gather(futures)) > 0
