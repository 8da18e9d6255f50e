"""What the peers' scripts share: the work of one task, and the clock around all of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import shapes

CONSUMERS = 16


def work(number: int, milliseconds: int, *values: int) -> int:
    """One task of a graph, given what its dependencies returned."""
    if milliseconds:
        time.sleep(milliseconds / 1000)
    return (number + sum(values)) % 1000


def produce(megabytes: int) -> Any:
    import numpy as np

    return np.ones(megabytes * 131_072)


def mean(number: int, array: Any) -> float:
    return float(array.mean())


def main(
    graph: Callable[[list[shapes.Node]], object] | None = None, array: Callable[[int], object] | None = None
) -> None:
    """Do the workload of the command line, and print as JSON the seconds it took once all was imported and started."""
    workload, size = sys.argv[1], int(sys.argv[2])
    more = [int(argument) for argument in sys.argv[3:] if argument.isdecimal()]
    began = time.perf_counter()
    if workload.startswith("array"):
        assert array is not None, "not for this peer"
        array(size)
    else:
        assert graph is not None, "not for this peer"
        graph(shapes.SHAPES[workload](size, *more))
    print(json.dumps({"seconds": time.perf_counter() - began}))
