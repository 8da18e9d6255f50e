"""luigi with its local scheduler and two worker processes; a result is a file."""

from pathlib import Path

import luigi
from common import main, work
from shapes import Node

NODES: list[Node] = []


class Task(luigi.Task):
    number = luigi.IntParameter()

    def requires(self) -> list["Task"]:
        return [Task(dep) for dep in NODES[self.number].deps]

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"luigi_results/{self.number}")

    def run(self) -> None:
        values = [int(Path(target.path).read_text()) for target in self.input()]
        with self.output().open("w") as file:
            file.write(str(work(self.number, NODES[self.number].milliseconds, *values)))


def graph(nodes: list[Node]) -> None:
    NODES.extend(nodes)  # the workers are forked and find them here
    needed = {dep for node in nodes for dep in node.deps}
    wanted = [Task(node.number) for node in nodes if node.number not in needed]
    assert luigi.build(wanted, workers=2, local_scheduler=True, no_lock=True, log_level="ERROR"), "luigi failed"


if __name__ == "__main__":
    main(graph)
