"""A Lab puts storage, runner, context and policies together: the only place where a run is assembled."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from labtech_cli.core.codec import Undecodable, decode_params
from labtech_cli.core.events import Event, Failure, Outcome, RunFinished, RunStarted, TaskFinished, Warned
from labtech_cli.core.graph import Graph
from labtech_cli.core.plan import Action, Plan, Policy, longest_paths, make_plan
from labtech_cli.core.present import render
from labtech_cli.core.schedule import Schedule
from labtech_cli.core.task import ResultMeta, attach, is_task, is_task_type, restore, type_of
from labtech_cli.errors import DamagedResult, LabError, RunInterrupted, TaskFailed, TaskNotFound
from labtech_cli.report.base import FanOut, Reporter
from labtech_cli.run import worker
from labtech_cli.run.backends import make_runner
from labtech_cli.run.context import ContextSpec
from labtech_cli.run.interrupts import Interrupts
from labtech_cli.run.loop import Loop, Rules, Sinks
from labtech_cli.run.runner import RunnerBackend, Setting
from labtech_cli.run.shelf import Shelf
from labtech_cli.run.starters import cpu_count
from labtech_cli.run.tracking import Tracking
from labtech_cli.run.worker import Input
from labtech_cli.store import formats
from labtech_cli.store.blobs import Stored, verify
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.storage import NullStorage, Storage, Timings

importing: str | None = None
"""The module that the command is importing, if it is: a lab must not run then."""


@dataclass(slots=True)
class Prepared:
    """A plan with what was learned on the way: the plan you are shown is the plan that runs."""

    plan: Plan
    timings: Timings
    seconds: list[float]
    """An estimate of each task's duration, by number."""
    known: bool
    """Whether any estimate rests on experience."""
    present: dict[str, float]

    def runs(self) -> bytearray:
        return bytearray([action is Action.RUN for action in self.plan.actions])

    def estimate(self, workers: int) -> tuple[float, float]:
        """Wall time with `workers`, and the critical path, in seconds."""
        runs = self.runs()
        paths = longest_paths(self.plan.graph, runs, self.seconds.__getitem__)
        total = sum([self.seconds[number] for number in range(len(runs)) if runs[number]])
        critical = max(paths, default=0.0)
        return max(critical, total / max(1, workers)), critical


@dataclass(slots=True)
class RunResult:
    """How a run ended, and the way to its results."""

    run_id: str
    counts: dict[str, int]
    failures: list[tuple[Any, Failure]]
    exit_code: int
    interrupted: bool
    _lab: Lab
    _inputs: dict[str, Input] = field(default_factory=dict)

    def has(self, task: Any) -> bool:
        return task._labtech_key in self._inputs

    def result(self, task: Any) -> Any:
        """A target's result, loaded anew at each call. Raises `TaskNotFound` for one that has none."""
        given = self._inputs.get(task._labtech_key)
        if given is None:
            return self._lab.load(task)
        return given.value if given.stored is None else formats.load(task, given.stored)

    def result_meta(self, task: Any) -> ResultMeta:
        given = self._inputs.get(task._labtech_key)
        if given is None:
            return self._lab.result_meta(task)
        return ResultMeta(datetime.fromtimestamp(given.started_at), timedelta(seconds=given.duration))

    def context(self, task: Any) -> Any:
        raise LabError(
            "the context is there while run() executes", hint="read it from what the lab was given"
        )


class Lab:
    """Runs tasks in parallel and caches their results.

    - `storage`: a folder, a `Storage`, or None to keep nothing.
    - `continue_on_failure`: go on with what does not depend on a failed task.
    - `max_workers`: tasks at a time; by default the CPUs this process may use.
    - `context`: values for all tasks that do not change results.
    - `runner_backend`: 'process' (default), 'fork', 'spawn', 'fork-per-task', 'thread', 'serial', or a
      `RunnerBackend`.
    - `notebook`: no longer needed: a notebook is recognised.
    """

    def __init__(
        self,
        *,
        storage: str | Path | Storage | None = "labtech_storage",
        continue_on_failure: bool = False,
        max_workers: int | None = None,
        notebook: bool | None = None,
        context: Mapping[str, Any] | None = None,
        runner_backend: str | RunnerBackend | None = None,
        context_loaders: Mapping[str, str] | None = None,
        mlflow_tracking_uri: str | None = None,
        mlflow_experiment: str | None = None,
    ) -> None:
        if max_workers is not None and (type(max_workers) is not int or max_workers < 1):
            raise LabError(f"max_workers must be a whole number of at least 1, not {max_workers!r}")
        if context is not None and not isinstance(context, Mapping):
            raise LabError(f"context must be a dict, not {type(context).__name__}")
        self.storage = open_storage(storage)
        self.continue_on_failure = continue_on_failure
        self.workers = max_workers or cpu_count()
        self.context = ContextSpec(dict(context or {}), dict(context_loaders or {}))
        self.runner = runner_backend or "process"
        self.modules: Sequence[Any] = ()
        self._mlflow = mlflow_tracking_uri, mlflow_experiment

    @classmethod
    def from_config(cls, file: str | Path | None = None, profile: str | None = None, **overrides: Any) -> Lab:
        """The lab that `labtech.toml` describes, as the command line uses it; `overrides` are Lab arguments."""
        from labtech_cli.project.config import load_config

        config = load_config(file=Path(file) if file is not None else None, profile=profile)
        return cls(**{**lab_arguments(config), **overrides})

    # -- running ---------------------------------------------------------------------------------

    def run_task(self, task: Any, **options: Any) -> Any:
        """Run one task and return its result. See `run_tasks`."""
        return self.run_tasks([task], **options)[task]

    def run_tasks(
        self,
        tasks: Sequence[Any],
        *,
        bust_cache: bool = False,
        disable_progress: bool = False,
        disable_top: bool = False,
        reporters: Sequence[Reporter] = (),
    ) -> dict[Any, Any]:
        """Run tasks and what they depend on; their results, by task, in the order given.

        With `continue_on_failure`, tasks without a result are left out; else the first failure raises
        `TaskFailed`. `bust_cache` runs everything again.
        """
        targets = _check_tasks(tasks)
        readers = list(reporters)
        if not disable_progress:
            from labtech_cli.report.progress import make_progress

            readers.append(make_progress("plain" if disable_top else "auto", sys.stderr))
        prepared = self.prepare(targets, Policy(rerun_all=bust_cache))
        done = self.execute(prepared, readers, rules=Rules(keep_going=self.continue_on_failure))
        if done.interrupted:
            raise RunInterrupted("the run was interrupted", exit_status=done.exit_code)
        if done.failures and not self.continue_on_failure:
            task, failure = done.failures[0]
            raise TaskFailed(f"{render(task, 200)} failed: {failure}", hint=failure.traceback.strip() or None)
        results = {}
        for task in targets:
            if done.has(task):
                results[task] = done.result(task)
        for task in prepared.plan.graph.tasks:
            attach(task, done)
        for task in targets:
            attach(task, done)
        return results

    def prepare(self, tasks: Sequence[Any], policy: Policy = Policy()) -> Prepared:
        """Plan a run: one listing of the storage, then arithmetic."""
        graph = Graph(tasks)
        policy = Policy(policy.rerun_all, policy.rerun_targets, self.storage.keeps)
        present = self.storage.present()
        plan = make_plan(graph, present, policy)
        timings = self.storage.timings()
        seconds = [timings.of(task) for task in graph.tasks]
        known = [value for value in seconds if value is not None]
        usual = sum(known) / len(known) if known else 1.0
        filled = [usual if value is None else value for value in seconds]
        return Prepared(plan, timings, filled, bool(known), present)

    def execute(
        self,
        prepared: Prepared,
        reporters: Sequence[Reporter] = (),
        *,
        rules: Rules | None = None,
        names: Sequence[str] = (),
        zygote: Any = None,
    ) -> RunResult:
        """Run a plan. Failures of tasks are in what is returned, not raised."""
        refuse_in_worker("run a Lab")
        run = _Run(
            self, prepared, FanOut(list(reporters)), rules or Rules(self.continue_on_failure), tuple(names)
        )
        return run.execute(zygote)

    # -- the cache --------------------------------------------------------------------------------

    def load(self, task: Any) -> Any:
        """The cached result of a task. Raises `TaskNotFound`; a damaged one is set aside first."""
        found = self.storage.load([task._labtech_key]).get(task._labtech_key)
        if found is None:
            raise TaskNotFound(
                f"no result is stored for {render(task, 100)}", hint="run it with lab.run_task(task)"
            )
        try:
            verify(found)
        except DamagedResult as error:
            self.storage.set_aside(task._labtech_key)
            raise DamagedResult(
                f"the result of {render(task, 100)} is damaged and was set aside: {error}",
                hint="run the task again",
            ) from None
        return formats.load(task, found)

    def result_meta(self, task: Any) -> ResultMeta:
        """When the cached result of a task was computed. Raises `TaskNotFound`."""
        for row in self.storage.rows([task._labtech_key]):
            return ResultMeta(datetime.fromtimestamp(row.started_at), timedelta(seconds=row.duration))
        raise TaskNotFound(
            f"no result is stored for {render(task, 100)}", hint="run it with lab.run_task(task)"
        )

    def result(self, task: Any) -> Any:
        return self.load(task)

    def is_cached(self, task: Any) -> bool:
        """Whether the storage holds a result for the task."""
        _check_tasks([task])
        return not type_of(task).keeps_nothing and any(True for _ in self.storage.rows([task._labtech_key]))

    def uncache_tasks(self, tasks: Sequence[Any]) -> None:
        """Remove the tasks' results from the storage."""
        self.storage.remove([task._labtech_key for task in _check_tasks(tasks)])

    def cached_tasks(self, types: Sequence[Any]) -> list[Any]:
        """A task for each result of the given task types, results of older code versions included."""
        kinds = {}
        for kind in types:
            if not is_task_type(kind):
                raise LabError(
                    f"cached_tasks takes task types, not {kind!r}", hint="give a list of @task classes"
                )
            kinds[type_of(kind).name] = kind
        rows = [row for row in self.storage.rows() if row.type in kinds]
        found = Restorer(self.storage.described()).tasks([row.key for row in rows])
        for task in found:
            attach(task, self)
        return found

    def close(self) -> None:
        """Let go of the storage. A lab can be used again afterwards."""
        self.storage.close()


class _Run:
    """One execution of a plan."""

    def __init__(
        self, lab: Lab, prepared: Prepared, fan_out: FanOut, rules: Rules, names: tuple[str, ...]
    ) -> None:
        self.lab, self.prepared, self.fan_out, self.rules, self.names = lab, prepared, fan_out, rules, names
        self.storage = lab.storage
        self.run_id = f"{datetime.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        self.began = time.monotonic()

    def execute(self, zygote: Any) -> RunResult:
        self.storage.check_writable()
        damaged = self._verify_inputs()
        plan, graph = self.prepared.plan, self.prepared.plan.graph
        runs = self.prepared.runs()
        self._emit_started(plan)
        for message in damaged:
            self._emit(Warned(self.run_id, time.time(), message))
        loaded = plan.numbers(Action.LOAD)
        for number in loaded:
            self._emit(TaskFinished(self.run_id, time.time(), graph.tasks[number], Outcome.LOADED))
        targets = set(graph.targets)
        shelf = Shelf(graph, self.storage, runs, [number for number in targets if runs[number]])
        runner = make_runner(
            self.lab.runner, [graph.tasks[number] for number in plan.numbers(Action.RUN)], zygote
        )
        tracking: Tracking | None = None
        loop: Loop | None = None
        with Interrupts() as interrupts:
            try:
                if any(runs):
                    tracking, tracker = self._track(plan)
                    runner.start(
                        Setting(
                            graph,
                            self.storage.spool(),
                            self.lab.context,
                            self.lab.workers,
                            [*(["mlflow"] if tracker else []), *self.lab.modules],
                            tracker,
                        )
                    )
                    sinks = Sinks(
                        self._emit, self.fan_out.tick, self.fan_out.interval, tracking and tracking.ended
                    )
                    loop = Loop(
                        self.run_id,
                        graph,
                        self._schedule(runs),
                        runner,
                        self.storage,
                        shelf,
                        sinks,
                        self.rules,
                        interrupts,
                    )
                    loop.counts.add(Outcome.LOADED, len(loaded))
                    loop.run()
            finally:
                runner.close()
        return self._finish(loop, loaded, shelf, interrupts, tracking)

    def _finish(
        self,
        loop: Loop | None,
        loaded: list[int],
        shelf: Shelf,
        interrupts: Interrupts,
        tracking: Tracking | None,
    ) -> RunResult:
        graph = self.prepared.plan.graph
        counts = (
            loop.counts.by
            if loop
            else {**dict.fromkeys([o.value for o in Outcome], 0), "loaded": len(loaded)}
        )
        failures = (
            [(graph.tasks[number], failure) for number, failure in loop.failures.items()] if loop else []
        )
        interrupted = interrupts.level > 0 and counts[Outcome.CANCELLED] > 0
        code = interrupts.exit_status if interrupted else 1 if failures else 0
        if tracking is not None and (warning := tracking.end(code)):
            self._emit(Warned(self.run_id, time.time(), warning))
        inputs = {}
        for number in graph.targets:
            given = shelf.get(number)
            if given is not None:
                inputs[graph.tasks[number]._labtech_key] = given
        inputs.update(self._load_targets(loaded))
        saved = sum(self.prepared.present.get(graph.tasks[number]._labtech_key, 0.0) for number in loaded)
        self._emit(
            RunFinished(
                self.run_id, time.time(), counts, code, time.monotonic() - self.began, saved, interrupted
            )
        )
        self.fan_out.close()
        return RunResult(self.run_id, counts, failures, code, interrupted, self.lab, inputs)

    def _load_targets(self, loaded: list[int]) -> dict[str, Input]:
        graph = self.prepared.plan.graph
        wanted = set(graph.targets)
        keys = [graph.tasks[number]._labtech_key for number in loaded if number in wanted]
        if not keys:
            return {}
        stored = self.storage.load(keys)
        meta = (
            {row.key: row for row in self.storage.rows(keys)}
            if len(keys) < 1000
            else {row.key: row for row in self.storage.rows()}
        )
        return {
            key: Input(stored[key], None, meta[key].started_at, meta[key].duration, True)
            for key in keys
            if key in stored and key in meta
        }

    def _verify_inputs(self) -> list[str]:
        """Check every result the plan would load; what is damaged is set aside and planned to run."""
        messages: list[str] = []
        while True:
            graph = self.prepared.plan.graph
            tasks = {
                graph.tasks[n]._labtech_key: graph.tasks[n] for n in self.prepared.plan.numbers(Action.LOAD)
            }
            bad = [key for key, found in self.storage.load(list(tasks)).items() if _damage(found)]
            if not bad:
                return messages
            for key in bad:
                self.storage.set_aside(key)
                self.prepared.present.pop(key, None)
                messages.append(
                    f"the result of {render(tasks[key], 100)} was damaged: set aside, and computed again"
                )
            self.prepared.plan = make_plan(graph, self.prepared.present, Policy(storage=self.storage.keeps))

    def _schedule(self, runs: bytearray) -> Schedule:
        graph = self.prepared.plan.graph
        priority = longest_paths(graph, runs, self.prepared.seconds.__getitem__)
        groups: dict[int, int] = {}
        limits: dict[int, int] = {}
        seen: dict[type, int] = {}
        if any(kind.__labtech__.max_parallel for kind in {type(task) for task in graph.tasks}):
            for number, task in enumerate(graph.tasks):
                most = type(task).__labtech__.max_parallel
                if most is not None and runs[number]:
                    group = seen.setdefault(type(task), len(seen))
                    groups[number], limits[group] = group, most
        return Schedule(graph, runs, priority, groups, limits)

    def _track(self, plan: Plan) -> tuple[Tracking | None, Any]:
        tracked = any(type(plan.graph.tasks[n]).__labtech__.mlflow_run for n in plan.numbers(Action.RUN))
        if not tracked:
            return None, None
        tracking = Tracking(
            *self.lab._mlflow, self.run_id, " ".join(self.names) or os.path.basename(sys.argv[0])
        )
        tracker, warning = tracking.begin(self.storage.spool())
        if warning:
            self._emit(Warned(self.run_id, time.time(), warning))
        return tracking, tracker

    def _emit_started(self, plan: Plan) -> None:
        run: dict[str, int] = {}
        load: dict[str, int] = {}
        for task, action in zip(plan.graph.tasks, plan.actions, strict=True):
            if action is not Action.UNTOUCHED:
                tally = run if action is Action.RUN else load
                label = type(task).__labtech__.label
                tally[label] = tally.get(label, 0) + 1
        wall = self.prepared.estimate(self.lab.workers)[0] if self.prepared.known and run else None
        runner = (
            self.lab.runner
            if isinstance(self.lab.runner, str)
            else getattr(self.lab.runner, "name", "custom")
        )
        names = self.names or tuple(render(plan.graph.tasks[number], 60) for number in plan.graph.targets[:5])
        self._emit(RunStarted(self.run_id, time.time(), names, self.lab.workers, runner, run, load, wall))

    def _emit(self, event: Event) -> None:
        self.fan_out.handle(event)


class Restorer:
    """Tasks from their recorded descriptions, for types whose modules are imported."""

    def __init__(self, described: Mapping[str, tuple[str, str | None, str]]) -> None:
        self._described = described
        self._made: dict[str, Any] = {}

    def tasks(self, keys: Sequence[str]) -> list[Any]:
        """The tasks of `keys` that can be made; those whose types or fields are gone are left out."""
        found = []
        for key in keys:
            for step in self._order(key):
                if step not in self._made:
                    self._made[step] = self._make(step)
            if self._made.get(key) is not None:
                found.append(self._made[key])
        return found

    def _order(self, key: str) -> list[str]:
        """`key` and the tasks in its parameters, those first, without recursion."""
        order: list[str] = []
        stack = [(key, False)]
        while stack:
            item, expanded = stack.pop()
            if item in self._made or item not in self._described:
                continue
            if expanded:
                order.append(item)
                continue
            stack.append((item, True))
            inner: list[str] = []
            decode_params(self._described[item][2], inner.append, lambda kind, name: None)
            stack.extend((other, False) for other in inner)
        return order

    def _make(self, key: str) -> Any:
        name, version, params = self._described[key]
        cls = _find_class(name)
        if cls is None or not is_task_type(cls):
            return None
        try:
            values = decode_params(params, self._nested, _find_member)
            made = restore(cls, version, None, [values[name] for name in type_of(cls).parameters])
        except (Undecodable, KeyError):
            return None
        return made if made._labtech_key == key else None

    def _nested(self, key: str) -> Any:
        made = self._made.get(key)
        if made is None:
            raise Undecodable(key)
        return made


def _find_class(name: str) -> Any:
    """A class by module and qualified name, among modules that are imported already."""
    from labtech_cli.names import canonical_module

    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:cut])
        module = sys.modules.get(module_name)
        if canonical_module("__main__") == module_name:
            module = sys.modules["__main__"]
        if module is not None:
            found: Any = module
            for part in parts[cut:]:
                found = getattr(found, part, None)
            if found is not None:
                return found
    return None


def _find_member(kind: str, name: str) -> Any:
    found = _find_class(kind)
    try:
        return found[name]
    except (KeyError, TypeError):
        raise Undecodable(f"{kind}.{name}") from None


def open_storage(where: str | Path | Storage | None) -> Storage:
    """The storage that a path, a name or an object stands for."""
    if isinstance(where, Storage):
        return where
    if where is None or where == "none":
        return NullStorage()
    text = str(where)
    if "://" in text:
        raise LabError(f"storage '{text}': URLs are not supported yet", hint="name a local folder")
    if ":" in text and not os.path.exists(text) and "/" not in text:
        from labtech_cli.plugins import find_plugin

        made = find_plugin(text, built_in={}, group="labtech.storages", what="storage")()
        if not isinstance(made, Storage):
            raise LabError(f"storage '{text}' is not a labtech_cli Storage")
        return made
    return LocalStorage(text)


def lab_arguments(config: Any) -> dict[str, Any]:
    """The arguments of `Lab` that a configuration stands for."""
    return {
        "storage": config["lab.storage"],
        "max_workers": config["lab.workers"],
        "runner_backend": config["lab.runner"],
        "continue_on_failure": config["lab.keep_going"],
        "context": config.context,
        "context_loaders": config.loaders,
        "mlflow_tracking_uri": config["mlflow.tracking_uri"],
        "mlflow_experiment": config["mlflow.experiment"],
    }


def refuse_in_worker(what: str) -> None:
    """Raise `LabError` inside a task, or while a module of tasks is imported."""
    if worker.in_task:
        raise LabError(
            f"cannot {what} inside a task or in a module that a worker imports",
            hint="make the other task a parameter; in a script, put the lab under if __name__ == '__main__'",
        )
    if importing is not None:
        raise LabError(
            f"cannot {what} while '{importing}' is imported for its tasks",
            hint="put the code that runs the lab under if __name__ == '__main__'",
        )


def _check_tasks(tasks: Sequence[Any]) -> list[Any]:
    if is_task(tasks):
        raise LabError(
            "run_tasks takes a list of tasks, not a task", hint="use run_task(task), or give [task]"
        )
    found = list(tasks)
    for position, task in enumerate(found):
        if not is_task(task):
            raise LabError(
                f"item {position} is not a task but {type(task).__name__}",
                hint="give instances of @task classes",
            )
    return found


def _damage(stored: Stored) -> str | None:
    try:
        verify(stored)
    except DamagedResult as error:
        return str(error)
    return None
