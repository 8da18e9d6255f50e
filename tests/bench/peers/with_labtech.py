"""The labtech library, two workers; a third word names its runner, a pool of forks by default."""

import sys
import time
from typing import Any

import labtech
from common import CONSUMERS, main, mean, produce
from shapes import Node


@labtech.task
class Task:
    number: int
    milliseconds: int
    deps: list[Any]

    def run(self) -> int:
        if self.milliseconds:
            time.sleep(self.milliseconds / 1000)
        return (self.number + sum([dep.result for dep in self.deps])) % 1000


@labtech.task
class Array:
    megabytes: int

    def run(self) -> Any:
        return produce(self.megabytes)


@labtech.task
class Mean:
    number: int
    array: Array

    def run(self) -> float:
        return mean(self.number, self.array.result)


def run(tasks: list[Any]) -> None:
    runner = next((argument for argument in sys.argv[3:] if not argument.isdecimal()), "fork")
    lab = labtech.Lab(storage="labtech_cache", max_workers=2, runner_backend=runner, continue_on_failure=False)
    lab.run_tasks(tasks, disable_progress=True, disable_top=True)


def graph(nodes: list[Node]) -> None:
    tasks: list[Any] = []
    for number, milliseconds, deps in nodes:
        tasks.append(Task(number, milliseconds, [tasks[dep] for dep in deps]))
    run(tasks)


def array(megabytes: int) -> None:
    produced = Array(megabytes)
    run([Mean(number, produced) for number in range(CONSUMERS)])


if __name__ == "__main__":
    main(graph, array)
