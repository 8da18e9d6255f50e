"""The Lab, as a notebook or a script uses it."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import labtech_cli as labtech
from labtech_cli.core.plan import Action, Policy, Why
from labtech_cli.errors import DamagedResult, LabError, TaskFailed, TaskNotFound
from labtech_cli.lab import Lab, lab_arguments, open_storage
from labtech_cli.project.config import load_config
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.storage import NullStorage


class Kind(Enum):
    GOOD = 1
    BAD = 2


@labtech.task
class Square:
    value: int

    def run(self) -> int:
        return self.value**2


@labtech.task(code_version="v2")
class Sum:
    squares: list[Square]
    kind: Kind = Kind.GOOD

    def run(self) -> int:
        if self.kind is Kind.BAD:
            raise ValueError("bad sum")
        return sum(square.result for square in self.squares)


@labtech.task(cache=None)
class Loose:
    value: int

    def run(self) -> list[int]:
        return [self.value]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(storage=tmp_path / "storage", runner_backend="serial", max_workers=2)


def run(lab: Lab, *tasks: Any, **options: Any) -> dict[Any, Any]:
    return lab.run_tasks(list(tasks), disable_progress=True, **options)


TOTAL = Sum([Square(1), Square(2)])


def test_results_come_in_the_order_given_and_once_for_equal_tasks(lab: Lab) -> None:
    assert list(run(lab, Square(3), TOTAL, Square(1), Square(3)).items()) == [
        (Square(3), 9),
        (TOTAL, 5),
        (Square(1), 1),
    ]
    assert lab.run_task(Square(4), disable_progress=True) == 16
    assert run(lab) == {}


def test_after_a_run_tasks_know_their_results_and_those_of_their_dependencies(lab: Lab) -> None:
    total = Sum([Square(1), Square(2)])
    run(lab, total)
    assert total.result == 5 and [square.result for square in total.squares] == [1, 4]
    assert isinstance(total.result_meta.start, datetime) and total.result_meta.duration >= timedelta(0)
    with pytest.raises(LabError, match=r"the context is there while run\(\) executes"):
        _ = total.context


def test_a_result_is_loaded_anew_so_that_changing_it_harms_nobody(lab: Lab) -> None:
    loose = Square(5)
    run(lab, loose)
    assert loose.result is not None and loose.result == 25
    with pytest.raises(labtech.TaskError, match=r"is not available here; get it with lab.run_task"):
        _ = Square(6).result


def test_a_failure_raises_and_names_the_task(lab: Lab) -> None:
    bad = Sum([Square(1)], Kind.BAD)
    with pytest.raises(
        TaskFailed, match=r"Sum\(squares=\(Square\(value=1\),\), kind=Kind.BAD\) failed: ValueError: bad"
    ) as e:
        run(lab, bad)
    assert 'raise ValueError("bad sum")' in str(e.value.hint) and e.value.exit_status == 1
    assert lab.is_cached(Square(1))


def test_with_continue_on_failure_tasks_without_a_result_are_left_out(tmp_path: Path) -> None:
    lab = Lab(storage=tmp_path / "s", runner_backend="serial", continue_on_failure=True)
    assert run(lab, Sum([], Kind.BAD), Square(2)) == {Square(2): 4}


def test_bust_cache_runs_everything_again(lab: Lab) -> None:
    run(lab, TOTAL)
    before = {row.key: row.started_at for row in lab.storage.rows()}
    run(lab, TOTAL)
    assert before == {row.key: row.started_at for row in lab.storage.rows()}
    run(lab, TOTAL, bust_cache=True)
    assert all(row.started_at > before[row.key] for row in lab.storage.rows()) and len(before) == 3


def test_the_plan_is_what_runs(lab: Lab) -> None:
    run(lab, Square(1))
    plan = lab.prepare([TOTAL]).plan
    assert [plan.actions[plan.graph.index[task.cache_key]] for task in (Square(1), Square(2), TOTAL)] == [
        Action.LOAD,
        Action.RUN,
        Action.RUN,
    ]
    run(lab, TOTAL)
    prepared = lab.prepare([TOTAL], Policy(rerun_targets=True))
    assert Why.RERUN_TARGET in prepared.plan.whys and prepared.plan.counts[Action.RUN] == 1
    assert prepared.known and prepared.estimate(2)[1] >= 0


def test_a_damaged_input_of_a_forced_rerun_leaves_the_rerun_in_place(lab: Lab, tmp_path: Path) -> None:
    import sqlite3

    run(lab, TOTAL)
    lab.close()
    database = sqlite3.connect(tmp_path / "storage" / "labtech.db")
    with database:
        query = "UPDATE data SET bytes = x'00' WHERE id = (SELECT id FROM task WHERE key = ?)"
        database.execute(query, (Square(1).cache_key,))
    database.close()
    with pytest.raises(DamagedResult, match=r"Square\(value=1\) is damaged and was set aside"):
        Lab(storage=tmp_path / "storage").load(Square(1))
    with pytest.raises(TaskNotFound, match="no result is stored for"):
        lab.load(Square(1))
    done = lab.execute(lab.prepare([TOTAL], Policy(rerun_targets=True)))
    assert done.counts["succeeded"] == 2 and done.counts["loaded"] == 1 and done.result(TOTAL) == 5


def test_the_cache_can_be_asked_and_emptied(lab: Lab) -> None:
    run(lab, TOTAL, Loose(1))
    assert lab.is_cached(TOTAL) and not lab.is_cached(Loose(1)) and not lab.is_cached(Square(9))
    assert sorted(lab.cached_tasks([Square])) == [Square(1), Square(2)]
    (found,) = lab.cached_tasks([Sum])
    assert found == TOTAL and found.result == 5 and found.result_meta.duration >= timedelta(0)
    lab.uncache_tasks([TOTAL, Square(1)])
    assert not lab.is_cached(TOTAL) and lab.cached_tasks([Sum, Square]) == [Square(2)]
    with pytest.raises(TaskNotFound, match=r"run it with lab.run_task"):
        lab.result_meta(TOTAL)


def test_asking_a_lab_without_results_makes_no_folder(lab: Lab, tmp_path: Path) -> None:
    assert not lab.is_cached(TOTAL) and lab.cached_tasks([Sum]) == []
    lab.uncache_tasks([TOTAL])
    lab.prepare([TOTAL])
    assert not (tmp_path / "storage").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_workers": 0}, "max_workers must be a whole number of at least 1, not 0"),
        ({"max_workers": True}, "max_workers must be a whole number"),
        ({"context": [1]}, "context must be a dict, not list"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(LabError, match=words):
        Lab(**options)


def test_wrong_tasks_are_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="takes a list of tasks, not a task; use run_task"):
        lab.run_tasks(TOTAL)
    with pytest.raises(LabError, match="item 1 is not a task but int; give instances"):
        run(lab, Square(1), 3)
    with pytest.raises(LabError, match="cached_tasks takes task types"):
        lab.cached_tasks([Square(1)])


def test_a_storage_is_opened_by_what_it_is(tmp_path: Path) -> None:
    made = LocalStorage(tmp_path)
    assert open_storage(made) is made
    assert isinstance(open_storage(None), NullStorage) and isinstance(open_storage("none"), NullStorage)
    assert isinstance(open_storage(tmp_path), LocalStorage)
    assert isinstance(open_storage("labtech_cli.store.storage:NullStorage"), NullStorage)


def test_a_lab_from_a_configuration_is_the_one_of_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "labtech.toml"
    file.write_text('[lab]\nstorage = "kept"\nworkers = 3\nrunner = "serial"\nkeep_going = true\n[context]\nsize = 5\n')
    lab = Lab.from_config(file)
    assert lab.storage.describe() == str(tmp_path / "kept")
    assert (lab.workers, lab.runner, lab.continue_on_failure) == (3, "serial", True)
    assert lab.context.values == {"size": 5}
    assert Lab.from_config(file, max_workers=1).workers == 1
    assert set(lab_arguments(load_config(file=file))) >= {"storage", "context", "mlflow_tracking_uri"}


SCRIPT = """
import labtech_cli as labtech

@labtech.task
class Twice:
    value: int

    def run(self):
        print("running", self.value)
        return self.value * 2

if __name__ == "__main__":
    lab = labtech.Lab(storage="storage", max_workers=2)
    print(lab.run_tasks([Twice(1), Twice(2)], disable_progress=True))
"""


def script(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "experiments.py").write_text(text)
    command = [sys.executable, *(arguments or ("experiments.py",))]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_script_runs_its_own_tasks_under_the_name_others_import_them_by(tmp_path: Path) -> None:
    done = script(tmp_path, SCRIPT)
    assert done.stdout == "{Twice(value=1): 2, Twice(value=2): 4}\n" and done.returncode == 0, done.stderr
    again = script(
        tmp_path, SCRIPT, "-c", "import labtech_cli, experiments as e; print(labtech_cli.Lab().storage.path)"
    )
    assert again.returncode == 0, again.stderr
    storage = LocalStorage(tmp_path / "storage")
    assert [row.type for row in storage.rows()] == ["experiments.Twice"] * 2
    code = "import labtech_cli, experiments as e; print(labtech_cli.Lab(storage='storage').is_cached(e.Twice(1)))"
    assert script(tmp_path, SCRIPT, "-c", code).stdout == "True\n"
    assert not list((tmp_path / "storage").glob("spool/*"))


def test_a_lab_at_the_import_of_a_module_of_tasks_is_a_clear_error_never_a_fork_bomb(tmp_path: Path) -> None:
    text = SCRIPT.replace('if __name__ == "__main__":', "if True:")
    code = (
        "import labtech_cli\nfrom pathlib import Path\nfrom labtech_cli.project.modules import import_target_module\n"
        "from labtech_cli.run import worker\nworker.in_task = True\n"
        "import_target_module('experiments.py', Path('.'))\n"
    )
    done = script(tmp_path, text, "-c", code)
    assert done.returncode != 0 and "cannot run a Lab inside a task or in a module" in done.stderr


def test_what_is_removed_between_the_plan_and_the_run_is_computed_again(tmp_path: Path) -> None:
    lab, other = (Lab(storage=tmp_path / "s", runner_backend="serial") for _ in range(2))
    low, high = Square(1), Sum([Square(1), Square(2)])
    lab.run_task(low, disable_progress=True)
    prepared = lab.prepare([high])
    other.uncache_tasks([low])
    assert lab.execute(prepared).counts["succeeded"] == 3
