"""The workloads P1 to P10, who runs them, and what labtech is to reach."""

from __future__ import annotations

import sys

from tests.bench.model import Contender, Target, Workload, labtech, run, script
from tests.bench.peers import shapes

PEER_SECONDS = 60.0
"""How long a peer may take. Sizes are those it can reach in it, and now and then one that it can't."""


class Workloads:
    """All workloads, their sizes multiplied by `scale`, with the peers if there is a Python that has them."""

    def __init__(self, scale: float = 1.0, peers: str | None = None) -> None:
        self._scale = scale
        self._peers = peers

    def all(self) -> list[Workload]:
        return [
            self.flat(),
            self.warm(),
            *self.plans(),
            self.chain(),
            self.ladder(),
            *self.arrays(),
            self.cached("cached-10k", 10_000, ls=0.5, stats=None, plan=None),
            self.cached("cached-100k", 100_000, ls=2.0, stats=0.4, plan=1.0),
            self.start(),
            self.makespan(),
            self.layered("layered", 200),
            self.layered("layered-wide", 1_000),
            self.memory(),
        ]

    def flat(self) -> Workload:
        n = self._size(10_000)
        contenders = [self._executor(n), Contender("labtech", run("flat", "-p", f"n={n}"), n, (Target("ratio", 0.7),))]
        peers = self._others(
            "flat", dask=10_000, ray=10_000, joblib=10_000, pebble=10_000, loky=10_000, exca=10_000, doit=2_000
        )
        peers += self._others("flat", labtech=1_000, luigi=500, redun=100)
        return Workload("flat", "P1: independent tasks, cold", contenders + peers, "executor")

    def warm(self) -> Workload:
        n = self._size(10_000)
        fill = run("flat", "-p", f"n={n}")
        contenders = [self._executor(n), Contender("labtech", fill, n, (Target("ratio", 0.35),), setup=fill)]
        peers = self._others("warm", setup=True, joblib=10_000, exca=10_000, doit=2_000, labtech=1_000)
        peers += self._others("warm", setup=True, luigi=500, redun=100)
        return Workload("warm", "P2: the same again, all cached, results loaded", contenders + peers, "executor")

    def plans(self) -> list[Workload]:
        n, million = self._size(100_000), self._size(1_000_000)
        width = self._size(10_000)
        return [
            self._plan("plan", f"n={n}", "flat", n, Target("cpu", 3)),
            self._plan("plan-layered", f"width={width}", "layered", 10 * width, Target("cpu", 3)),
            self._plan(
                "plan-million", f"n={million}", "flat", million, Target("wall", 30), Target("task bytes", 2_048)
            ),
        ]

    def _plan(self, name: str, option: str, target: str, n: int, *targets: Target) -> Workload:
        make = f"import gc, tasks; gc.disable(); tasks.{target}({option})"  # as plan does while it makes them
        contenders = [
            Contender("making the tasks", [sys.executable, "-c", make], n),
            Contender("labtech", labtech("plan", f"tasks.py:{target}", "-p", option), n, targets),
            Contender("labtech --version", labtech("--version")),
        ]
        about = f"P3: plan {n:,} tasks" + (", 5 dependencies each" if target == "layered" else ", flat")
        return Workload(name, about, contenders, "making the tasks", "labtech --version", once=n >= 1_000_000)

    def chain(self) -> Workload:
        n = self._size(10_000)
        contenders = [
            self._executor(n),
            Contender("labtech", run("chain", "-p", f"n={n}"), n, (Target("rate", 4_000),)),
        ]
        peers = self._others("chain", dask=2_000, ray=5_000, doit=2_000, labtech=300, luigi=500, redun=100)
        peers += self._others("chain", labtech=1_000, redun=1_000)
        return Workload("chain", "P4: a chain", contenders + peers, "executor")

    def ladder(self) -> Workload:
        levels = self._size(1_000)
        command = run("ladder", "-p", f"levels={levels}")
        contenders = [self._executor(2 * levels), Contender("labtech", command, 2 * levels, (Target("rate", 4_000),))]
        peers = self._others("ladder", tasks=2, dask=1_000, ray=1_000, labtech=15, luigi=100)
        peers += self._others("ladder", tasks=2, labtech=25)
        return Workload("ladder", "P4: a ladder, both depend on both below", contenders + peers, "executor")

    def arrays(self) -> list[Workload]:
        size = self._size(400)
        found = []
        for kind in ("array", "array-dict", "array-dataclass", "array-frame", "array-spawn"):
            form = kind.partition("-")[2] if kind not in ("array", "array-spawn") else "array"
            runner = "spawn" if kind == "array-spawn" else "process"
            command = run("consumers", "-p", f"form={form}", runner=runner)
            targets = (Target("ratio", 1.5), Target("copies", 1.3))
            contenders = [
                Contender("ideal", script("maps", kind, size), size),
                Contender("labtech", [*command, "-p", f"megabytes={size}"], size, targets),
                Contender("labtech, no array", [*command, "-p", "megabytes=0"]),
            ]
            about = "P5: one array, 16 consumers" + (f" ({kind.partition('-')[2]})" if kind != "array" else "")
            found.append(Workload(kind, about, contenders, "ideal", "labtech, no array", unit="MB", tree=True))
        found[0].contenders += self._others("array", dask=400, ray=400, joblib=400, labtech=100)
        for runner in ("thread", "fork-per-task"):
            found[0].contenders += self._others("array", more=runner, labtech=400)
        return found

    def cached(self, name: str, entries: int, ls: float, stats: float | None, plan: float | None) -> Workload:
        n = self._size(entries)
        fill = run("flat", "-p", f"n={n}")
        commands: list[tuple[str, list[str], float | None]] = [
            ("cache ls --json", labtech("cache", "ls", "--json"), ls),
            ("cache stats", labtech("cache", "stats"), stats),
            ("plan", labtech("plan", "tasks.py:flat", "-p", f"n={n}"), plan),
        ]
        contenders = [
            Contender(label, command, n, (Target("wall", limit),) if limit else (), setup=fill)
            for label, command, limit in commands
        ]
        return Workload(name, f"P6: {n:,} entries", contenders, unit="entries")

    def start(self) -> Workload:
        contenders = [
            Contender("import typer", [sys.executable, "-c", "import typer"]),
            Contender("labtech --help", labtech("--help"), targets=(Target("ratio", 1.5),)),
            Contender("labtech --version", labtech("--version"), targets=(Target("ratio", 1.5),)),
            Contender("run of 3 tasks", run("three"), targets=(Target("wall", 0.5),)),
        ]
        return Workload("start", "P7: start-up", contenders, "import typer", warm_up=True)

    def makespan(self) -> Workload:
        n, length = self._size(200), self._size(20)
        tail = [*run("heavy_tailed", "-p", f"n={n}", "-p", f"length={length}"), "--json"]
        ideal = shapes.ideal_makespan(shapes.heavy_tailed(n, length))
        contenders = [
            Contender("ideal", given_seconds=ideal),
            Contender("labtech", tail, targets=(Target("ratio", 1.15),)),
            Contender("with history", [*tail, "-B"], targets=(Target("ratio", 1.05),), setup=tail),
        ]
        peers = self._others("makespan", tasks=0, more=str(length), dask=200, ray=200, labtech=200, luigi=200)
        about = f"P8: {n} heavy-tailed sleeps and a chain of {length}; ideal is max(critical path, half of all)"
        return Workload("makespan", about, contenders + peers, "ideal")

    def layered(self, name: str, wide: int) -> Workload:
        width = self._size(wide)
        n = 10 * width
        contenders = [
            Contender("labtech flat", run("flat", "-p", f"n={n}"), n),
            Contender("labtech", run("layered", "-p", f"width={width}"), n, (Target("ratio", 1 / 0.7),)),
        ]
        peers = self._others("layered", tasks=10, dask=200, ray=200, doit=200) if name == "layered" else []
        if name == "layered":
            peers += self._others("layered", tasks=10, luigi=10, labtech=2)
            peers += self._others("layered", tasks=10, luigi=200, labtech=200)
        return Workload(name, f"P9: 10 layers of {width}, 5 dependencies each", contenders + peers, "labtech flat")

    def memory(self) -> Workload:
        n = self._size(100_000)
        contenders = [
            Contender("labtech --version", labtech("--version")),
            Contender("plan", labtech("plan", "tasks.py:flat", "-p", f"n={n}"), n, (Target("task bytes", 2_048),)),
            Contender("run", run("flat", "-p", f"n={n}"), n, (Target("task bytes", 2_048),)),
        ]
        about = f"P10: memory of the parent, {n:,} tasks"
        return Workload("memory", about, contenders, idle="labtech --version", once=True)

    def _size(self, n: int) -> int:
        return max(2, int(n * self._scale))

    def _executor(self, n: int) -> Contender:
        return Contender("executor", script("executor", "flat", n), n)

    def _others(
        self, workload: str, tasks: int = 1, more: str = "", setup: bool = False, **sizes: int
    ) -> list[Contender]:
        """A contender for each peer with its size, which is as large as it can do in a minute."""
        found = []
        for name, full in sizes.items() if self._peers else ():
            size = self._size(full)
            command = script(name, workload, size, *([more] if more else []), python=str(self._peers))
            label = "labtech library" if name == "labtech" else name
            label += f" ({more})" if more and not more.isdecimal() else ""
            before = command if setup else None
            found.append(
                Contender(f"{label} {size:,}", command, size * tasks, setup=before, peer=True, timeout=PEER_SECONDS)
            )
        return found
