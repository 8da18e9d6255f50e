"""Tasks that are parallel inside, each in its own way, for `test_nested.py`. The right answer is in `expected`."""

from __future__ import annotations

import math
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np

from labtech_cli import task

MANY = 12
RIGHT = [math.factorial(value) for value in range(MANY)]


def work(value: int) -> int:
    return math.factorial(value)


def total(array: Any, value: int) -> float:
    return float(array.sum()) + value


def by_joblib(turn: int) -> Any:
    from joblib import Parallel, delayed

    return Parallel(n_jobs=2 + turn % 2)(delayed(work)(value) for value in range(MANY))


def by_joblib_with_arrays(turn: int) -> Any:
    """Joblib puts the array into a file in shared memory."""
    from joblib import Parallel, delayed

    data = np.ones(300_000)
    sums = Parallel(n_jobs=2, max_nbytes="1M")(delayed(total)(data, value) for value in range(MANY))
    return RIGHT if sums == [300_000.0 + value for value in range(MANY)] else sums


def by_joblib_left_unread(turn: int) -> Any:
    """A generator of results of which only some are read."""
    from joblib import Parallel, delayed

    made = Parallel(n_jobs=2, return_as="generator")(delayed(work)(value) for value in range(MANY))
    return [next(made), next(made), *RIGHT[2:]]


def by_joblib_after_a_failure(turn: int) -> Any:
    """A job that raises makes joblib kill its pool."""
    from joblib import Parallel, delayed

    try:
        Parallel(n_jobs=2)(delayed(work)(value) for value in (1, 2, -1))
    except ValueError:
        return by_joblib(turn)
    return "it did not raise"


def by_scikit_learn(turn: int) -> Any:
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score

    data, target = load_iris(return_X_y=True)
    forest = RandomForestClassifier(n_estimators=5, n_jobs=2, random_state=turn)
    scores = cross_val_score(forest, data, target, cv=3, n_jobs=2)
    return RIGHT if min(scores) > 0.85 else list(scores)


def by_forked_pool(turn: int) -> Any:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(work, range(MANY))


def by_spawned_pool(turn: int) -> Any:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        return pool.map(work, range(MANY))


def by_pool_left_open(turn: int) -> Any:
    return multiprocessing.get_context("fork").Pool(2).map(work, range(MANY))


def by_process_executor(turn: int) -> Any:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(work, range(MANY)))


def by_thread_executor(turn: int) -> Any:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, range(MANY)))


def by_threads(turn: int) -> Any:
    found: dict[int, int] = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: work(n)})) for n in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[value] for value in range(MANY)]


def by_subprocess(turn: int) -> Any:
    code = f"import math; print([math.factorial(value) for value in range({MANY})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.strip("[]\n").split(", ")]


def leaving_a_child(turn: int) -> Any:
    subprocess.Popen(["sleep", "600"])
    return RIGHT


def leaving_a_session(turn: int) -> Any:
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    return RIGHT


def leaving_a_daemon(turn: int) -> Any:
    """A child that makes itself a session, forks again and ends, as daemons do."""
    subprocess.run(["setsid", "sh", "-c", "sleep 600 &"], check=True)
    return RIGHT


def terminating_a_child(turn: int) -> Any:
    """A forked child that gets SIGTERM dies of it, as it would anywhere else."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()
    child.terminate()
    child.join(20)
    ended = os.waitstatus_to_exitcode(15) == child.exitcode
    child.kill()
    return RIGHT if ended else f"exit code {child.exitcode}"


KINDS = {name: made for name, made in list(globals().items()) if name.startswith(("by_", "leaving_", "terminating_"))}


@task
class Nested:
    kind: str
    turn: int

    def run(self) -> Any:
        return KINDS[self.kind](self.turn)


def everything() -> list[Nested]:
    """Two of each kind, one after the other: on two workers they run at the same time."""
    return [Nested(kind, turn) for kind in KINDS for turn in range(2)]


def quick() -> list[Nested]:
    """The same without those that import much in new processes, but for one."""
    slow = ("by_spawned_pool", "by_process_executor", "by_scikit_learn")
    return [*[item for item in everything() if item.kind not in slow], Nested("by_scikit_learn", 0)]


@task
class Waits:
    """Leaves processes in groups and sessions of their own, and shared memory, and then says so and waits, or dies."""

    then: str
    folder: str

    def run(self) -> None:
        from joblib import Parallel, delayed

        for leave in (leaving_a_child, leaving_a_session, leaving_a_daemon):
            leave(0)
        data = np.ones(300_000)
        made = Parallel(n_jobs=2, return_as="generator")(delayed(total)(data, value) for value in range(MANY))
        next(made)
        os.close(os.open(os.path.join(self.folder, f"waits.{os.getpid()}"), os.O_CREAT))
        if self.then == "die":
            os.kill(os.getpid(), 9)
        time.sleep(600)


def waits(folder: str, then: str = "wait") -> list[Waits]:
    return [Waits(then, folder)]
