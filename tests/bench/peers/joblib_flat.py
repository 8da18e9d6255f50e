"""joblib: Parallel with a Memory on disk, no graph."""

import sys

from joblib import Memory, Parallel, delayed

memory = Memory("joblib_cache", verbose=0)


@memory.cache
def double(n: int) -> int:
    return n * 2


if __name__ == "__main__":
    assert sum(Parallel(n_jobs=2)(delayed(double)(number) for number in range(int(sys.argv[1])))) > 0
