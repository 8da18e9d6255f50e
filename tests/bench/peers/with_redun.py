"""redun with its default executor (threads) and a SQLite database; results are kept by the hash of their arguments."""

import logging
from typing import Any

import common
from redun import Scheduler, task
from redun.config import Config
from shapes import Node

redun_namespace = "bench"
logging.getLogger("redun").setLevel(logging.ERROR)


@task()
def node(number: int, milliseconds: int, values: list[int]) -> int:
    return common.work(number, milliseconds, *values)


def graph(nodes: list[Node]) -> None:
    scheduler = Scheduler(config=Config({"backend": {"db_uri": "sqlite:///redun.db"}}))
    scheduler.load()
    calls: list[Any] = []
    for number, milliseconds, deps in nodes:
        calls.append(node(number, milliseconds, [calls[dep] for dep in deps]))
    scheduler.run(calls)


if __name__ == "__main__":
    common.main(graph)
