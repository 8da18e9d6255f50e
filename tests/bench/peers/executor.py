"""ProcessPoolExecutor.submit: no cache, no graph, no log, no isolation."""

import sys
from concurrent.futures import ProcessPoolExecutor


def double(n: int) -> int:
    return n * 2


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as executor:
        futures = [executor.submit(double, number) for number in range(int(sys.argv[1]))]
        assert sum(future.result() for future in futures) > 0
