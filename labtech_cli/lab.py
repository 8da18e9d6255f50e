"""A Lab puts storage, runner, context and policies together: the only composition root."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from labtech_cli.core.flat import pack
from labtech_cli.core.graph import Graph
from labtech_cli.core.needs import read_needs, read_seconds
from labtech_cli.core.plan import Action, Policy, make_plan
from labtech_cli.core.present import render
from labtech_cli.core.task import ResultMeta, attach, is_task, is_task_type, type_of
from labtech_cli.errors import DamagedResult, LabError, RunInterrupted, TaskFailed, TaskNotFound, did_you_mean
from labtech_cli.outcome import RunResult, no_context
from labtech_cli.prepared import Prepared
from labtech_cli.project.settings import ON_CODE_CHANGE
from labtech_cli.report.base import FanOut, Reporter
from labtech_cli.run.context import ContextSpec
from labtech_cli.run.guard import refuse_in_worker
from labtech_cli.run.loop import Rules
from labtech_cli.run.machine import cpu_count
from labtech_cli.run.resources import read_resources
from labtech_cli.run.runner import RunnerBackend
from labtech_cli.runs import KEEP_RUNS
from labtech_cli.session import Session
from labtech_cli.staleness import Staleness
from labtech_cli.store import formats
from labtech_cli.store.blobs import Stored, verify
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.records import Timings
from labtech_cli.store.restore import Restorer
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import NullStorage, Storage

_AT_ONCE = 500  # results read from the storage at a time: bounds memory


@dataclass(slots=True)
class _Cached:
    """The scope of tasks that came from the cache: results are loaded from there when asked for."""

    lab: Lab

    def result(self, task: Any) -> Any:
        return self.lab.load(task)

    def result_meta(self, task: Any) -> ResultMeta:
        return self.lab.result_meta(task)

    def context(self, task: Any) -> Any:
        return no_context()


class Lab:
    """Runs tasks in parallel and caches their results.

    - `storage`: a folder, a URL such as `s3://bucket/path`, a `Storage`, or None to keep nothing.
    - `continue_on_failure`: go on with what does not depend on a failed task.
    - `max_workers`: tasks at a time; by default the CPUs this process may use.
    - `context`: values for all tasks that do not change results.
    - `runner_backend`: 'process' (default), 'fork', 'spawn', 'fork-per-task', 'thread', 'serial', or a
      `RunnerBackend`.
    - `on_code_change`: what to do with results whose code has changed since: 'warn' (use them, and say so),
      'rerun', 'ignore' or 'error'.
    - `retries`: how often a failed task is run again, where its type does not say; after `retry_delay` (seconds, or
      text such as '1s'), doubled each time up to a minute. `timeout`: how long one attempt may take.
    - `keep_runs`: how many runs the history keeps; 0 for none.
    - `resources`: what tasks' needs are admitted against, such as `{'cpus': 8, 'memory': '16GB', 'gpus': [0, 1]}`; by
      default what the machine has. With `'enforce_memory': True`, a task that takes more than it declared is ended.
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
        on_code_change: str = "warn",
        retries: int = 0,
        retry_delay: str | float = 1.0,
        timeout: str | float | None = None,
        keep_runs: int = KEEP_RUNS,
        resources: Mapping[str, Any] | None = None,
    ) -> None:
        if max_workers is not None and (type(max_workers) is not int or max_workers < 1):
            raise LabError(f"max_workers must be a whole number of at least 1, not {max_workers!r}")
        if context is not None and not isinstance(context, Mapping):
            raise LabError(f"context must be a dict, not {type(context).__name__}")
        if on_code_change not in ON_CODE_CHANGE:
            hint = did_you_mean(str(on_code_change), ON_CODE_CHANGE)
            raise LabError(f"on_code_change cannot be {on_code_change!r}", hint=hint)
        self.on_code_change = on_code_change
        if type(keep_runs) is not int or keep_runs < 0:
            raise LabError(f"keep_runs must be a whole number of at least 0, not {keep_runs!r}")
        self.keep_runs = keep_runs
        given = read_needs("Lab", {"retries": retries, "timeout": timeout})
        self.retries, self.timeout = given.retries or 0, given.timeout
        self.retry_delay = read_seconds("Lab", "retry_delay", retry_delay)
        self.resources = read_resources(resources)
        self.storage = open_storage(storage)
        self.trust = Trust.from_environment()
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

    @property
    def keeps_history(self) -> bool:
        """Whether runs of this lab are written down."""
        return self.keep_runs > 0 and self.storage.history() is not None

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

            command = f"labtech runs logs --storage {shlex.quote(self.storage.describe())}"
            log_command = (lambda run, key: f"{command} {run} {key[:12]}") if self.keeps_history else None
            readers.append(make_progress("plain" if disable_top else "auto", sys.stderr, log_command=log_command))
        prepared = self.prepare(targets, Policy(rerun_all=bust_cache))
        done = self.execute(prepared, readers, rules=self.rules())
        if done.interrupted:
            raise RunInterrupted("the run was interrupted", exit_status=done.exit_code)
        if done.failures and not self.continue_on_failure:
            task, failure = done.failures[0]
            raise TaskFailed(f"{render(task, 200)} failed: {failure}", hint=failure.traceback.strip() or None)
        found = dict(done.results(targets))
        results = {task: found[task] for task in targets if task in found}
        _attach_all(targets, done)
        return results

    def prepare(self, tasks: Sequence[Any], policy: Policy = Policy(), *, look: bool = False) -> Prepared:
        """Plan a run: one listing of the storage, then arithmetic.

        `look`: results whose files are gone count as absent. A run finds that out when it reads them.
        """
        graph = Graph(tasks)
        reruns = policy.rerun_stale or self.on_code_change == "rerun"
        policy = Policy(policy.rerun_all, policy.rerun_targets, reruns, self.storage.keeps)
        present = self.storage.present()
        staleness = Staleness.look(graph, self.storage)
        plan = make_plan(graph, present, policy, staleness.stale)
        damaged: set[str] = set()
        while look and (gone := self.storage.incomplete(plan.keys(Action.LOAD))):
            damaged |= gone
            present = {key: seconds for key, seconds in present.items() if key not in gone}
            plan = make_plan(graph, present, policy, staleness.stale)
        if not plan.counts[Action.RUN]:
            return Prepared(plan, Timings(), [0.0] * len(graph), True, present, staleness, policy, damaged)
        timings = self.storage.timings()
        seconds = [timings.of(task) for task in graph.tasks]
        known = [value for value in seconds if value is not None]
        usual = sum(known) / len(known) if known else 1.0
        filled = [usual if value is None else value for value in seconds]
        return Prepared(plan, timings, filled, bool(known), present, staleness, policy, damaged)

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
        fan_out = FanOut(list(reporters))
        run = Session(self, prepared, fan_out, rules or self.rules(), tuple(names))
        try:
            return run.execute(zygote)
        finally:
            fan_out.close()

    def rules(self, max_failures: int | None = None) -> Rules:
        """What this lab does when tasks fail."""
        return Rules(self.continue_on_failure, max_failures, self.retries, self.retry_delay, self.timeout)

    # -- the cache --------------------------------------------------------------------------------

    def load(self, task: Any, found: Stored | None = None) -> Any:
        """The cached result of a task; `found` where it was read already (see `stored`).

        Raises `TaskNotFound`, or `DamagedResult` after the result was set aside.
        """
        if found is None:
            found = self.storage.load([task._labtech_key]).get(task._labtech_key)
        if found is None:
            raise TaskNotFound(f"no result is stored for {render(task, 100)}", hint="run it with lab.run_task(task)")
        self.trust.check(task._labtech_key, found)
        try:
            verify(found)
        except DamagedResult as error:
            self.storage.set_aside(task._labtech_key)
            raise DamagedResult(
                f"the result of {render(task, 100)} is damaged and was set aside: {error}",
                hint="run the task again",
            ) from None
        return formats.load(task, found)

    def stored(self, tasks: Sequence[Any]) -> Iterator[tuple[Any, Stored | None]]:
        """The tasks with what the storage holds for them, read many at a time."""
        for start in range(0, len(tasks), _AT_ONCE):
            some = tasks[start : start + _AT_ONCE]
            found = self.storage.load([task._labtech_key for task in some])
            for task in some:
                yield task, found.pop(task._labtech_key, None)

    def result_meta(self, task: Any) -> ResultMeta:
        """When the cached result of a task was computed. Raises `TaskNotFound`."""
        for row in self.storage.rows([task._labtech_key]):
            return ResultMeta(datetime.fromtimestamp(row.started_at), timedelta(seconds=row.duration))
        raise TaskNotFound(f"no result is stored for {render(task, 100)}", hint="run it with lab.run_task(task)")

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
                raise LabError(f"cached_tasks takes task types, not {kind!r}", hint="give a list of @task classes")
            kinds[type_of(kind).name] = kind
        rows = [row for row in self.storage.rows() if row.type in kinds]
        found = Restorer(self.storage.described()).tasks([row.key for row in rows])
        for task in found:
            attach(task, _Cached(self))
        return found

    def close(self) -> None:
        """Let go of the storage. A lab can be used again afterwards."""
        self.storage.close()


def open_storage(where: str | Path | Storage | None) -> Storage:
    """The storage that a path, a name or an object stands for."""
    if isinstance(where, Storage):
        return where
    if where is None or where == "none":
        return NullStorage()
    text = str(where)
    if "://" in text:
        from labtech_cli.store.remote import FsspecStorage

        return FsspecStorage(text)
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
        "on_code_change": config["lab.on_code_change"],
        "keep_runs": config["lab.keep_runs"],
        "retries": config["lab.retries"],
        "retry_delay": config["lab.retry_delay"],
        "timeout": config["lab.timeout"],
        "resources": {name: config[f"resources.{name}"] for name in ("cpus", "memory", "gpus", "enforce_memory")},
    }


def _attach_all(tasks: Sequence[Any], scope: Any) -> None:
    """Attach to every task object reachable from `tasks`, equal ones included."""
    seen: set[int] = set()
    stack = list(tasks)
    while stack:
        task = stack.pop()
        if id(task) not in seen:
            seen.add(id(task))
            attach(task, scope)
            if task._labtech_deps:
                stack.extend(pack([getattr(task, name) for name in type_of(task).parameters])[1])


def _check_tasks(tasks: Sequence[Any]) -> list[Any]:
    if is_task(tasks):
        raise LabError("run_tasks takes a list of tasks, not a task", hint="use run_task(task), or give [task]")
    found = list(tasks)
    for position, task in enumerate(found):
        if not is_task(task):
            raise LabError(
                f"item {position} is not a task but {type(task).__name__}",
                hint="give instances of @task classes",
            )
    return found
