"""The ideal for large results: one process writes an array, two map it and take means; `array-frame` imports pandas."""

import os
import sys
from multiprocessing import Process

import numpy as np
from common import CONSUMERS, main


def means(times: int) -> None:
    if sys.argv[1] == "array-frame":
        import pandas  # noqa: F401
    for _ in range(times):
        np.load("array.npy", mmap_mode="r").mean()


def array(megabytes: int) -> None:
    if sys.argv[1] == "array-frame":
        import pandas  # noqa: F401
    np.save("array.npy", np.ones(megabytes * 131_072))
    processes = [Process(target=means, args=(CONSUMERS // 2,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    os.unlink("array.npy")


if __name__ == "__main__":
    main(array=array)
