"""`python -m tests.bench [NAME...] [--peers PYTHON] [--repeat N] [--scale X] [--json FILE]`.

Contenders are interleaved (A B A B), each run in a fresh scratch folder that is deleted at the end;
a row is the median. `--peers` is the Python of an environment with tests/bench/requirements.txt:

    python3 -m venv peers && peers/bin/pip install -r tests/bench/requirements.txt
    python -m tests.bench --peers peers/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.measure import Measured, measure

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Contender:
    """One command of a workload. `setup` runs first in the same folder and is not measured."""

    name: str
    command: list[str]
    setup: list[str] | None = None
    peer: bool = False


@dataclass
class Workload:
    """What is measured, and against which contender the ratios are."""

    name: str
    about: str
    contenders: list[Contender]
    reference: str
    target: float | None
    """The ratio to the reference that labtech is to reach."""
    memory: bool = False
    rows: dict[str, list[Measured]] = field(default_factory=dict)


def labtech(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "labtech_cli", *arguments]


def run(target: str, *more: str) -> list[str]:
    return labtech("run", f"tasks.py:{target}", "-j", "2", "--show", "none", "--progress", "none", *more)


def peer(script: str, *arguments: str, python: str = sys.executable) -> list[str]:
    return [python, str(HERE / "peers" / f"{script}.py"), *arguments]


def workloads(scale: float, peers: str | None) -> list[Workload]:
    """P1 to P9 of the targets, their sizes multiplied by `scale`."""

    def size(n: int) -> str:
        return str(max(2, int(n * scale)))

    n = size(10_000)
    executor = Contender("executor", peer("executor", n), peer=True)
    others = []
    if peers:
        others = [
            Contender(name, peer(script, n, python=peers), peer=True)
            for name, script in (("dask", "dask_flat"), ("joblib", "joblib_flat"), ("labtech library", "labtech_flat"))
        ]
    cold = run("flat", "-p", f"n={n}")
    graph = {
        "chain": ["-p", f"n={n}"],
        "ladder": ["-p", f"levels={size(1_000)}"],
        "layered": ["-p", f"width={size(200)}"],
    }
    found = [
        Workload(
            "flat", "P1: independent tasks, cold", [Contender("labtech", cold), executor, *others], "executor", 0.7
        ),
        Workload(
            "warm", "P2: the same, all cached", [Contender("labtech", cold, setup=cold), executor], "executor", 0.35
        ),
    ]
    for name, options in graph.items():
        about = {"chain": "P4: a chain", "ladder": "P4: a ladder", "layered": "P9: 10 layers, 5 dependencies each"}[
            name
        ]
        contenders = [Contender("labtech", run(name, *options)), executor]
        found.append(Workload(name, about, contenders, "executor", None))
    for name, target in (("plan", "flat"), ("plan-layered", "layered")):
        options = ["-p", f"n={size(100_000)}"] if target == "flat" else ["-p", f"width={size(10_000)}"]
        command = labtech("plan", f"tasks.py:{target}", *options)
        found.append(
            Workload(name, "P3: plan 100,000 tasks", [Contender("labtech", command), executor], "executor", None)
        )
    megabytes = size(400)
    arrays = [
        Contender("labtech", run("consumers", "-p", f"megabytes={megabytes}")),
        Contender("ideal", peer("mapped", megabytes)),
    ]
    found.append(Workload("array", "P5: one array, 16 consumers", arrays, "ideal", 1.5, memory=True))
    fill = run("flat", "-p", f"n={size(100_000)}")
    for name, command in (
        ("ls", labtech("cache", "ls", "--json")),
        ("stats", labtech("cache", "stats")),
        ("plan-cached", labtech("plan", "tasks.py:flat", "-p", f"n={size(100_000)}")),
    ):
        found.append(
            Workload(
                name, "P6: 100,000 entries", [Contender("labtech", command, setup=fill), executor], "executor", None
            )
        )
    typer = Contender("import typer", [sys.executable, "-c", "import typer"], peer=True)
    for name, command, limit in (
        ("help", labtech("--help"), 1.5),
        ("version", labtech("--version"), 1.5),
        ("three", run("three"), None),
    ):
        found.append(Workload(name, "P7: start-up", [Contender("labtech", command), typer], "import typer", limit))
    tail = run("heavy_tailed", "-p", f"n={size(200)}")
    makespan = [Contender("labtech", tail), Contender("with history", [*tail, "-B"], setup=tail)]
    found.append(Workload("makespan", "P8: heavy-tailed sleeps and a chain of 20", makespan, "labtech", None))
    return found


def once(contender: Contender, memory: bool) -> Measured:
    folder = Path(tempfile.mkdtemp(prefix="labtech-bench-"))
    try:
        shutil.copy(HERE / "tasks.py", folder)
        if contender.setup is not None:
            prepared = measure(contender.setup, folder)
            if prepared.exit_code:
                return prepared
        return measure(contender.command, folder, memory=memory)
    finally:
        shutil.rmtree(folder)


def show(workload: Workload, write: Callable[[str], object]) -> dict[str, object]:
    """Print the medians of one workload; the same as data."""
    write(f"\n{workload.name}: {workload.about}")
    medians = {name: statistics.median([row.wall_seconds for row in rows]) for name, rows in workload.rows.items()}
    reference = medians.get(workload.reference)
    found: list[dict[str, object]] = []
    for name, rows in workload.rows.items():
        failed = next((row for row in rows if row.exit_code), None)
        ratio = medians[name] / reference if reference else None
        cpu = statistics.median([row.cpu_seconds for row in rows])
        peak = max([row.peak_bytes or 0 for row in rows])
        parent = max([row.parent_bytes or 0 for row in rows])
        text = f"  {name:<16} {medians[name]:8.3f} s  {cpu:8.3f} s CPU"
        text += f"  x {ratio:.2f} of {workload.reference}" if ratio is not None and name != workload.reference else ""
        text += f"  peak {peak / 1e6:.0f} MB, parent {parent / 1e6:.0f} MB" if peak else ""
        if name == "labtech" and workload.target is not None and ratio is not None:
            text += f"  (target {workload.target}: {'met' if ratio <= workload.target else 'MISSED'})"
        write(text + (f"  FAILED with {failed.exit_code}: {failed.error}" if failed else ""))
        found.append(
            {
                "name": name,
                "wall_seconds": [row.wall_seconds for row in rows],
                "cpu_seconds": [row.cpu_seconds for row in rows],
                "median_seconds": medians[name],
                "ratio": ratio,
                "peak_bytes": peak or None,
                "failed": failed.error if failed else None,
            }
        )
    return {"workload": workload.name, "about": workload.about, "target": workload.target, "contenders": found}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="workloads; all by default")
    parser.add_argument("--peers", metavar="PYTHON", help="the Python of an environment with the peers")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="multiply all sizes")
    parser.add_argument("--json", metavar="FILE", help="write the measurements, too")
    options = parser.parse_args()
    chosen = workloads(options.scale, options.peers)
    known = [workload.name for workload in chosen]
    for name in options.names:
        if name not in known:
            parser.error(f"there is no workload '{name}': choose from {', '.join(known)}")
    print(
        f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs, {time.strftime('%Y-%m-%d')}"
    )
    documents = []
    for workload in chosen:
        if options.names and workload.name not in options.names:
            continue
        for _ in range(options.repeat):
            for contender in workload.contenders:
                workload.rows.setdefault(contender.name, []).append(once(contender, workload.memory))
        documents.append(show(workload, print))
    if options.json:
        machine = {"platform": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count()}
        Path(options.json).write_text(json.dumps({"machine": machine, "workloads": documents}, indent=1))


if __name__ == "__main__":
    main()
