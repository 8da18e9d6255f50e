"""MLflow: each executed task of an `mlflow_run` type is one run, whatever becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runner_kit import execute, make_lab
from sample_tasks import Tracked

from labtech_cli.core.events import Failure, Outcome, Warned
from labtech_cli.run.tracking import Tracking

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_mlflow(monkeypatch: pytest.MonkeyPatch) -> Any:
    mlflow = pytest.importorskip("mlflow")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    before = mlflow.get_tracking_uri()
    yield mlflow
    mlflow.set_tracking_uri(before)


def runs_of(mlflow: Any, uri: str) -> tuple[Any, list[Any]]:
    """The parent run, and those of the tasks."""
    client = mlflow.MlflowClient(uri)
    experiments = [item.experiment_id for item in client.search_experiments()]
    found = client.search_runs(experiments, max_results=100)
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    return parent, [run for run in found if run is not parent]


def test_eight_workers_on_an_empty_folder_lose_nothing(tmp_path: Path, own_mlflow: Any) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tasks = [Tracked(seed, {"depth": {"max": seed}}) for seed in range(12)]
    bad, dying = Tracked(50, {}, "fail"), Tracked(60, {}, "die")
    lab = make_lab(tmp_path, "process", workers=8, mlflow_tracking_uri=uri, mlflow_experiment="contract")
    result, log = execute(lab, [*tasks, bad, dying])
    assert (result.counts["succeeded"], result.counts["failed"]) == (12, 2), log.events
    assert not log.of(Warned)
    assert not [log.output(task) for task in tasks if "locked" in log.output(task)]

    parent, children = runs_of(own_mlflow, uri)
    assert parent.info.status == "FAILED" and len(children) == 14
    by_seed = {int(run.data.params["seed"]): run for run in children}
    for task in tasks:
        run = by_seed[task.seed]
        assert run.info.status == "FINISHED" and run.data.metrics == {"score": task.seed}
        assert run.data.params == {"seed": str(task.seed), "settings.depth.max": str(task.seed), "how": "ok"}
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["labtech_task_type"] == "Tracked"
        assert run.data.tags["labtech_cache_key"] == task.cache_key
        assert run.data.tags["labtech_run"] == result.run_id
    assert (by_seed[50].info.status, by_seed[60].info.status) == ("FAILED", "FAILED")

    again, _ = execute(lab, tasks)
    assert again.counts["loaded"] == 12
    assert len(runs_of(own_mlflow, uri)[1]) == 14


@pytest.mark.parametrize("runner", ["process", "serial"])
def test_a_server_that_is_away_is_a_warning_and_results_are_kept(
    tmp_path: Path, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    lab = make_lab(tmp_path, runner, mlflow_tracking_uri="http://127.0.0.1:9", mlflow_experiment="contract")
    tasks = [Tracked(seed, {}) for seed in range(2)]
    result, log = execute(lab, tasks)
    assert log.outcomes() == dict.fromkeys(tasks, Outcome.SUCCEEDED), log.events
    assert result.exit_code == 0 and lab.load(tasks[1]) == 1
    (warning,) = log.of(Warned)
    assert warning.message.startswith("MLflow tracking is off for this run:")


@pytest.mark.parametrize("kind", ["TaskDied", "TaskTimeout", "MemoryLimit", "OutOfMemory", None])
def test_the_run_of_a_task_that_was_ended_is_closed(tmp_path: Path, own_mlflow: Any, kind: str | None) -> None:
    tracking = Tracking(f"sqlite:///{tmp_path}/mlflow.db", "contract", "run", "name")
    tracking.begin(str(tmp_path))
    client = own_mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("contract").experiment_id
    left, closed = (client.create_run(experiment).info.run_id for _ in range(2))
    client.set_terminated(closed, "FINISHED")
    failure = None if kind is None else Failure(kind, "it was ended")
    for run in (left, closed):
        tracking.ended(0, Tracked(1, {}), failure, run)
    assert [client.get_run(run).info.status for run in (left, closed)] == ["FAILED" if kind else "KILLED", "FINISHED"]
