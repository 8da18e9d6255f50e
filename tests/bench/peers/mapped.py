"""The ideal for large results: one process writes an array, two map it and take means."""

import os
import sys
from multiprocessing import Process

import numpy as np


def means(times: int) -> None:
    for _ in range(times):
        np.load("array.npy", mmap_mode="r").mean()


if __name__ == "__main__":
    np.save("array.npy", np.ones(int(sys.argv[1]) * 131_072))
    processes = [Process(target=means, args=(8,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    os.unlink("array.npy")
