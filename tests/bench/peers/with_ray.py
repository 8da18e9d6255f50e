"""ray on this machine: two CPUs, no dashboard, no cache."""

import os
from typing import Any

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_DEDUP_LOGS="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")

import common
import ray
from shapes import Node

work, produce, mean = ray.remote(common.work), ray.remote(common.produce), ray.remote(common.mean)


def graph(nodes: list[Node]) -> None:
    sent: list[Any] = []
    for number, milliseconds, deps in nodes:
        sent.append(work.remote(number, milliseconds, *[sent[dep] for dep in deps]))
    ray.get(sent)


def array(megabytes: int) -> None:
    produced = produce.remote(megabytes)
    ray.get([mean.remote(number, produced) for number in range(common.CONSUMERS)])


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _temp_dir=os.getcwd())
    common.main(graph, array)
    ray.shutdown()
