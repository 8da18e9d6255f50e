"""The labtech library, two workers; a third word names its runner, a pool of forks by default."""

import sys
from typing import Any

import labtech
from common import CONSUMERS, main, mean, produce, work
from shapes import Node


@labtech.task
class Task:
    number: int
    milliseconds: int
    deps: Any
    """A list, or one task: in lists it recurses twice as deep."""

    def run(self) -> int:
        deps = self.deps if isinstance(self.deps, (list, tuple)) else [self.deps]
        return work(self.number, self.milliseconds, *[dep.result for dep in deps])


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
        before = [tasks[dep] for dep in deps]
        tasks.append(Task(number, milliseconds, before[0] if len(before) == 1 else before))
    run(tasks)


def array(megabytes: int) -> None:
    produced = Array(megabytes)
    run([Mean(number, produced) for number in range(CONSUMERS)])


if __name__ == "__main__":
    main(graph, array)
