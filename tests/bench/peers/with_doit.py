"""doit with two processes: the returned values are kept in its database; dependencies are an order only."""

from collections.abc import Iterator
from typing import Any

from common import main, work
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain
from doit.tools import run_once
from shapes import Node


def act(number: int, milliseconds: int) -> dict[str, int]:
    return {"value": work(number, milliseconds)}


def graph(nodes: list[Node]) -> None:
    def task_node() -> Iterator[dict[str, Any]]:
        for number, milliseconds, deps in nodes:
            yield {
                "name": str(number),
                "actions": [(act, [number, milliseconds])],
                "task_dep": [f"node:{dep}" for dep in deps],
                "uptodate": [run_once],
            }

    code = DoitMain(ModuleTaskLoader({"task_node": task_node})).run(["run", "-n", "2", "-v", "0", "-r", "zero"])
    assert code == 0, f"doit ended with {code}"


if __name__ == "__main__":
    main(graph)
