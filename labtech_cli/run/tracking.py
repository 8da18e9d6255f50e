"""MLflow for tasks with `mlflow_run=True`: one run a task, one parent run for them all.

The parent process opens the tracking store once, before any worker does, so no two processes ever
migrate it at a time, and hands workers explicit ids. A worker creates its task's run, keeps it active
while `run()` executes, and never relies on environment variables or on the parent's active run. The
parent closes the runs of workers that died. When tracking fails, that is a warning; results are kept.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labtech_cli.core.events import Failure
from labtech_cli.core.present import flatten, params_json, render
from labtech_cli.errors import LabtechError
from labtech_cli.run.worker import Tracker

_RETRIES = "2"  # a server that is away must not hold up the run for minutes, as MLflow's default of 7 does
_MOST_PARAMS = 100  # what one request may carry
_MOST_CHARS = 6000  # of a parameter's value
_SQLITE_WAIT_MS = 120_000  # writers of one SQLite store wait for each other instead of failing


class Tracking:
    """The parent's side of one run's tracking."""

    def __init__(self, uri: str | None, experiment: str | None, run_id: str, name: str) -> None:
        self._uri, self._experiment, self._run_id, self._name = uri, experiment, run_id, name
        self._client: Any = None
        self._parent: str | None = None

    def begin(self, scratch: str) -> tuple[RunTracker, str | None]:
        """Open the store and the parent run. Returns what workers need and, if tracking is off, why.

        Where the store cannot be reached, tasks log into a store in the folder `scratch` that goes
        with the run, so that `mlflow.log_*` in a task does not fail.
        """
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _RETRIES)
        import mlflow

        for name in ("mlflow", "alembic"):  # how tables are made is no news to the user
            logger = logging.getLogger(name)
            logger.setLevel(max(logger.level, logging.WARNING))
        _patient_sqlite()
        try:
            if self._uri is not None:
                mlflow.set_tracking_uri(self._uri)
            tracker = self._open(mlflow)
        except Exception as error:
            reason = f"MLflow tracking is off for this run: {type(error).__name__}: {_first_line(error)}"
            mlflow.set_tracking_uri(f"sqlite:///{Path(scratch).absolute()}/mlflow.db")
            self._experiment = "labtech"
            return self._open(mlflow), reason
        return tracker, None

    def _open(self, mlflow: Any) -> RunTracker:
        self._client = mlflow.MlflowClient()
        experiment = self._experiment_id(mlflow)
        tags = {"labtech_run": self._run_id, "mlflow.source.name": self._name}
        parent = self._client.create_run(experiment, run_name=f"labtech {self._run_id}", tags=tags)
        self._parent = parent.info.run_id
        return RunTracker(mlflow.get_tracking_uri(), experiment, self._parent, self._run_id)

    def _experiment_id(self, mlflow: Any) -> str:
        """The configured experiment, made if there is none; else the one that mlflow is set to."""
        if self._experiment is None:
            from mlflow.tracking.fluent import _get_experiment_id

            return str(_get_experiment_id())
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            return str(self._client.create_experiment(self._experiment))
        if found.lifecycle_stage == "deleted":
            raise LabtechError(
                f"the MLflow experiment '{self._experiment}' is deleted",
                hint="restore it, or name another one",
            )
        return str(found.experiment_id)

    def ended(self, number: int, task: Any, failure: Failure | None, mlflow_run: Any) -> None:
        """A task ended; close its MLflow run if the worker that had it open could not, whatever ended that."""
        if mlflow_run is not None:
            with contextlib.suppress(Exception):
                if self._client.get_run(mlflow_run).info.status == "RUNNING":
                    self._client.set_terminated(mlflow_run, "KILLED" if failure is None else "FAILED")

    def end(self, exit_code: int) -> str | None:
        """Close the parent run; a warning if that fails."""
        if self._parent is None:
            return None
        status = "FINISHED" if exit_code == 0 else "FAILED" if exit_code == 1 else "KILLED"
        try:
            self._client.set_terminated(self._parent, status)
        except Exception as error:
            return f"the MLflow run of this run could not be closed: {_first_line(error)}"
        return None


class RunTracker(Tracker):
    """The worker's side: picklable, and MLflow is imported with the first tracked task."""

    def __init__(self, uri: str, experiment: str, parent: str, run_id: str) -> None:
        self._uri, self._experiment, self._parent, self._run_id = uri, experiment, parent, run_id
        self._ready = False

    def __reduce__(self) -> tuple[Any, ...]:
        return RunTracker, (self._uri, self._experiment, self._parent, self._run_id)

    @contextlib.contextmanager
    def around(self, task: Any, number: int, attempt: int) -> Iterator[None]:
        """Keep an MLflow run open and active while the body executes."""
        run_id = None
        try:
            mlflow = self._configure()
            run_id = self._create(mlflow, task)
            self.note(number, run_id)
            mlflow.start_run(run_id=run_id, nested=True, log_system_metrics=False)
        except Exception as error:
            print(f"warning: MLflow does not track this task: {_first_line(error)}", file=sys.stderr)
            yield
            return
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        finally:
            self._close(mlflow, run_id, status)

    def _configure(self) -> Any:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _RETRIES)
        import mlflow

        if not self._ready:
            _forget_forked_connections()
            _patient_sqlite()
            os.environ.pop("MLFLOW_RUN_ID", None)  # it would win over the parent that is named here
            mlflow.set_tracking_uri(self._uri)
            self._ready = True
        return mlflow

    def _create(self, mlflow: Any, task: Any) -> str:
        from mlflow.entities import Param

        client = mlflow.MlflowClient()
        kind = type(task).__labtech__
        tags = {
            "mlflow.parentRunId": self._parent,
            "labtech_task_type": kind.label,
            "labtech_cache_key": task._labtech_key,
            "labtech_run": self._run_id,
        }
        run = client.create_run(self._experiment, run_name=render(task, 200), tags=tags)
        params = [Param(name, _param(value)) for name, value in flatten(params_json(task)).items()]
        for start in range(0, len(params), _MOST_PARAMS):
            client.log_batch(run.info.run_id, params=params[start : start + _MOST_PARAMS])
        return str(run.info.run_id)

    def _close(self, mlflow: Any, run_id: str, status: str) -> None:
        try:
            active = mlflow.active_run()
            while active is not None and active.info.run_id != run_id:  # runs the task left open
                mlflow.end_run("KILLED")
                active = mlflow.active_run()
            if active is None:  # the task ended the run itself
                mlflow.MlflowClient().set_terminated(run_id, status)
            else:
                mlflow.end_run(status)
        except Exception as error:
            print(f"warning: the MLflow run was not closed: {_first_line(error)}", file=sys.stderr)


def _param(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value) if isinstance(value, (list, dict)) else str(value)
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 1] + "…"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


_patient = False


def _patient_sqlite() -> None:
    """Make every SQLite connection of this process wait for a lock; the driver's default is 5 seconds."""
    global _patient
    if _patient:
        return
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def wait(connection: Any, _: Any) -> None:
        if type(connection).__module__.startswith("sqlite3"):
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {_SQLITE_WAIT_MS}")
            cursor.close()

    event.listen(Engine, "connect", wait)
    _patient = True


def _forget_forked_connections() -> None:
    """In a worker forked from a process that used MLflow: its database connections are not ours."""
    if "sqlalchemy.engine" not in sys.modules:
        return
    import gc

    from sqlalchemy.engine import Engine

    for found in gc.get_objects():
        if isinstance(found, Engine):
            found.dispose(close=False)
