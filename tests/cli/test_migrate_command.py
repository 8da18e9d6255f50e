"""`labtech cache migrate`: the command over a storage in memory, then as a user runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pexpect
import pytest
from cli_kit import COMMAND, Cli, Ended, checked, environment

from labtech_cli.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))
from memory_storage import MemoryStorage, remember
from migrate_tasks import Fit, Grown, Kind, Loose, Report, Size, Train

M = "migrate_tasks"
TO_FIT = f"{M}.Train {M}.Fit --rename lr=rate --drop note --set momentum=0.9 --code-version v2".split()


class Inside:
    """The command, run in this process, over a storage in memory."""

    def __init__(self, capture: Any) -> None:
        self.storage = MemoryStorage()
        self._capture = capture

    def __call__(self, *arguments: str) -> Ended:
        self._capture.readouterr()
        code = main.run(["cache", "migrate", *arguments, "--storage", "inside_storage:make"])
        return Ended(code, *self._capture.readouterr())

    def present(self) -> set[str]:
        return set(self.storage.present())


@pytest.fixture
def inside(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Inside]:
    made = Inside(capfd)
    module = ModuleType("inside_storage")
    module.make = lambda: made.storage  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "inside_storage", module)
    monkeypatch.setattr("sys.stdin", open("/dev/null", encoding="utf-8"))  # noqa: SIM115
    for task in (Report([Train(0.1), Train(0.2)]), Report([Loose(Train(0.3, "x"))]), Grown(1)):
        remember(made.storage, task)
    yield made
    sys.stdin.close()


def test_a_dry_run_shows_what_would_be_done_and_does_nothing(inside: Inside) -> None:
    before = inside.present()
    done = inside(*TO_FIT, "--dry-run").check()
    lines = done.out.splitlines()
    assert lines[0].split() == ["key", "new_key", "type", "new_type", "fields", "reason"]
    assert len(lines) == 7
    assert "lr -> rate, note dropped, momentum = 0.9" in done.out and f"depends on {M}.Train" in done.out
    assert (
        done.err == "to be migrated: 5 results, 2 of them because of what they depend on, and 1 task without a result\n"
    )
    assert inside.present() == before and not inside.storage.journal()


def test_it_is_done_listed_and_undone(inside: Inside) -> None:
    before = inside.present()
    done = inside(*TO_FIT, "--yes").check()
    assert done.out == "" and "'labtech cache migrate --undo 1' takes it back" in done.err
    assert Report([Fit(0.1), Fit(0.2)]).cache_key in inside.present()
    listed = checked(json.loads(inside("--list", "--json").check().out))["migrations"]
    assert [(item["number"], item["tasks"], item["title"]) for item in listed] == [
        (1, 6, f"{M}.Train {M}.Fit --set momentum=0.9 --rename lr=rate --drop note --code-version v2")
    ]
    assert "took back 1" in inside("--undo").check().err
    assert inside.present() == before
    assert "there is no migration to undo" in inside("--undo").error()
    assert "no migration can be undone" in inside("--list").check().err


def test_an_earlier_one_is_undone_by_its_number(inside: Inside) -> None:
    inside("Grown", "Grown", "--set", "extra=6", "-y").check()
    inside(*TO_FIT, "-y").check()
    assert "there is no migration 7; there are 1, 2" in inside("--undo", "7").error()
    document = checked(json.loads(inside("--undo", "1", "--json").check().out))
    assert [(move["new_key"], move["reason"], move["result"]) for move in document["moves"]] == [
        (Grown(1).cache_key, "undo", True)
    ]
    assert [item.number for item in inside.storage.journal()] == [2]
    assert {Grown(1).cache_key, Fit(0.1).cache_key} <= inside.present()


def test_one_that_was_built_upon_is_not_undone_first(inside: Inside) -> None:
    inside("Train", "Fit", "-y").check()
    inside("Fit", "Fit", "--rename", "lr=rate", "-y").check()
    assert inside("--undo", "1").error() == (
        "migration 1 cannot be taken back before 2, which moved some of its tasks on; undo 2 first"
    )
    inside("--undo").check()
    inside("--undo").check()
    assert Train(0.1).cache_key in inside.present()


def test_json_is_as_documented(inside: Inside) -> None:
    planned = checked(json.loads(inside(*TO_FIT, "--json", "-n").check().out))
    assert not planned["applied"] and planned["number"] is None and planned["tasks"] == 6 and planned["results"] == 5
    done = checked(json.loads(inside(*TO_FIT, "--json", "-y").check().out))
    assert done["applied"] and done["number"] == 1 and done["moves"] == planned["moves"]
    (move,) = [move for move in done["moves"] if move["new_key"] == Fit(0.1).cache_key]
    assert move == {
        "key": Train(0.1).cache_key,
        "new_key": Fit(0.1).cache_key,
        "type": f"{M}.Train",
        "new_type": f"{M}.Fit",
        "code_version": None,
        "new_code_version": "v2",
        "fields": ["lr -> rate", "note dropped", "momentum = 0.9"],
        "reason": "renamed, field, code_version",
        "result": True,
    }


@pytest.mark.parametrize("form", ["csv", "md", "jsonl"])
def test_other_formats(inside: Inside, form: str) -> None:
    assert (
        len(inside(*TO_FIT, "-n", "--format", form).check().out.splitlines()) == {"csv": 7, "md": 8, "jsonl": 6}[form]
    )


def test_without_a_terminal_it_needs_yes(inside: Inside) -> None:
    assert inside(*TO_FIT).error() == "nothing was migrated: there is no terminal to ask on; add --yes to migrate"
    assert not inside.storage.journal()


def test_short_names_enums_and_modules(inside: Inside) -> None:
    remember(inside.storage, Train(Kind.SMALL))
    inside("Kind", "Size", "--rename", "SMALL=TINY", "-y").check()
    assert Train(Size.TINY).cache_key in inside.present()
    inside("Grown", "Big", "-y").check()
    assert f"{M}.Big" in {kind for kind, _, _ in inside.storage.described().values()}
    inside(f"{M}.*", "lab.models.*", "-y").check()
    assert {kind.rpartition(".")[0] for kind, _, _ in inside.storage.described().values()} == {"lab.models"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("true", True),
        ("None", None),
        ("nan", float("nan")),
        ("adam", "adam"),
        ('"7"', "7"),
        ("[1, 2.0]", [1, 2.0]),
        ('{"a": null}', {"a": None}),
        ("a=b", "a=b"),
        ("", ""),
        (f"{M}.Kind.LARGE", Kind.LARGE),
        (f"task:{Train(0.1).cache_key[:10]}", Train(0.1)),
    ],
)
def test_values_are_literals_enum_members_and_tasks(inside: Inside, text: str, value: Any) -> None:
    inside("Grown", "Grown", "--set", f"extra={text}", "-y").check()
    assert Grown(1, value).cache_key in inside.present()


def test_a_task_that_is_migrated_itself_is_no_value_for_a_field(inside: Inside) -> None:
    remember(inside.storage, Report([Grown(1)]))
    key = Report([Grown(1)]).cache_key
    told = inside("Grown", "Grown", "--set", f"extra=task:{key}", "-y").error()
    assert told.startswith(f"--set names the task {key}, which would get another key itself")


def test_it_is_told_what_a_value_is_taken_for(inside: Inside) -> None:
    shown = [
        inside("Grown", "Grown", "--set", f"extra={text}", "-n").check().out for text in ("a.B.C", '"a.B.C"', "x.y")
    ]
    assert "extra = a.B.C " in shown[0] and 'extra = "a.B.C"' in shown[1] and 'extra = "x.y"' in shown[2]


def test_conditions_choose_tasks(inside: Inside) -> None:
    inside("Train", "Train", "--set", "note=small", "--where", "lr<0.15", "-y").check()
    assert {Train(0.1, "small").cache_key, Train(0.2).cache_key} <= inside.present()
    assert "nothing to do" in inside("Train", "Fit", "--where", "lr>9", "-y").check().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Trian Fit", "the storage has no task of type 'Trian'; did you mean 'Train'?"),
        (f"{M}.Trai x.Y", f"did you mean '{M}.Train'?"),
        ("nowhere.* x.*", "the storage has no task of 'nowhere.*'"),
        (f"{M} lab.models", f"'{M}' is not a type; write '{M}.*' for all types in it"),
        (f"{M}.* x.Y", "give two types, or two modules"),
        ("Train no-name", "'no-name' is not the name of a type"),
        ("Train", "give the old name and the new one"),
        ("Train Train", "the old name is the new one, and nothing else is to change"),
        ("Train Fit --set momentum", "--set 'momentum' is not FIELD=VALUE"),
        ("Train Fit --set a=1 --set a=2", "--set names 'a' twice"),
        ("Train Fit --set a=[1,", "neither TOML nor JSON"),
        ("Train Fit --set a=2020-01-01", "cannot be a parameter; quote it as text"),
        ("Train Fit --set a=task:ffffffff", "is no task's key in the storage"),
        ("Train Fit --rename lt=x", "--rename lt: no task of 'migrate_tasks.Train' in the storage has a field 'lt'"),
        ("Train Fit --drop nota", "did you mean 'note'?"),
        ("Train Fit --keep newst", "did you mean 'newest'?"),
        ("Train Fit --code-version v --no-code-version", "contradict each other"),
        (f"{M}.* x.* --drop note", "--drop is for one task type, and 'migrate_tasks.*' is a whole module"),
        ("Train Fit --where lr", "is not a condition"),
    ],
)
def test_errors_say_what_to_do(inside: Inside, line: str, message: str) -> None:
    assert message in inside(*line.split(), "--dry-run").error()


def test_an_enum_type_has_no_fields(inside: Inside) -> None:
    remember(inside.storage, Train(Kind.SMALL))
    assert "'migrate_tasks.Kind' is an Enum type; use --rename" in inside("Kind", "Size", "--drop", "x", "-n").error()
    assert "did you mean 'SMALL'?" in inside("Kind", "Size", "--rename", "SMAL=TINY", "-n").error()


def test_results_that_would_collide_are_named(inside: Inside) -> None:
    remember(inside.storage, Train(0.1, "y"), at=2.0)
    one, two, shared = Train(0.1).cache_key, Train(0.1, "y").cache_key, Fit(0.1).cache_key
    told = inside(*TO_FIT, "-y").error()
    assert told.startswith(f"results {one} and {two} would have the key {shared}; --keep newest gives it")
    done = inside(*TO_FIT, "-y", "--keep", "newest").check()
    assert f"{two[:12]} has {shared[:12]} then" in done.err
    assert inside.storage.tasks[shared].started_at == 2.0 and one in inside.present()
    remember(inside.storage, Train(0.3), at=3.0)
    remember(inside.storage, Fit(0.3), at=1.0)
    told = inside(*TO_FIT, "-y", "--where", "lr=0.3").error()
    assert f"{Fit(0.3).cache_key}, where there is a result already" in told and "--keep existing leaves it" in told
    inside(*TO_FIT, "-y", "--where", "lr=0.3", "--keep", "existing").check()
    assert Train(0.3).cache_key in inside.present()


def test_fields_that_changed_places_and_collide_cannot_be_decided(inside: Inside) -> None:
    for train in (Train(1, 2), Train(2, 1), Train(None, 2)):
        remember(inside.storage, train)
    line = ["Train", "Train", "--set", "note=1", "--rename", "note=lr", "--drop", "lr", "--keep", "newest"]
    assert "--keep cannot decide; migrate in two steps" in inside(*line, "-n").error()


def test_a_module_tells_how_many_are_found_and_what_differs(inside: Inside) -> None:
    done = inside(*TO_FIT, "-n", "--module", M).check()
    assert "6 of 6 tasks would be found by the code as it is" in done.err and "warning" not in done.err
    told = inside("Train", "Fit", "-n", "--module", M).check().err
    assert "0 of 6 tasks" in told
    assert "warning: Fit has no field 'note'; add --drop note, or --rename it" in told
    assert "warning: Fit has a field 'momentum', and the tasks have none; add --set momentum=VALUE" in told
    assert "warning: the code_version of Fit is v2, that of the tasks none; add --code-version v2" in told
    assert (
        "there is no task type 'migrate_tasks.Fut'; did you mean" in inside("Train", "Fut", "-n", "-m", M).check().err
    )


def test_what_the_code_would_not_find_is_not_migrated_unless_by_force(inside: Inside) -> None:
    before = set(inside.storage.present())
    said = inside("Train", "Fit", "--yes", "--module", M).error()
    assert "the code would not find what is migrated: " in said and "; Fit has no field 'note'; add --drop note" in said
    assert "nothing was migrated; --force migrates all the same" in said
    assert set(inside.storage.present()) == before
    assert "warning: Fit has no field 'note'" in inside("Train", "Fit", "--yes", "--module", M, "--force").check().err
    assert set(inside.storage.present()) != before


def test_damaged_descriptions_are_counted(inside: Inside) -> None:
    inside.storage.tasks[Train(0.1).cache_key].params = "{"
    assert "warning: 1 task with a damaged or foreign description" in inside("Train", "Fit", "-n").check().err


def test_an_empty_storage_has_nothing_to_migrate(cli: Cli) -> None:
    assert "has no results" in cli("cache", "migrate", "a.B", "a.C").error()
    assert "there is no migration to undo" in cli("cache", "migrate", "--undo").error()
    assert not (cli.folder / "labtech_storage").exists()


# -- as a user runs it ---------------------------------------------------------------------------


def executed(cli: Cli, target: str) -> dict[str, int]:
    return cli("run", target, "--json", "--runner", "serial").check().counts()


def test_after_a_move_nothing_runs_again(ran: Cli) -> None:
    ran.write("lab/__init__.py", "")
    ran.write(
        "lab/models.py",
        ran.read("experiments.py")
        .replace("class Add:", "class Plus:")
        .replace("Add(n", "Plus(n")
        .replace("[Add]", "[Plus]"),
    )
    (ran.folder / "experiments.py").unlink()
    ran("cache", "migrate", "experiments.Add", "experiments.Plus", "--yes").check()
    planned = ran("cache", "migrate", "experiments.*", "lab.models.*", "-n", "-m", "lab/models.py").check()
    assert "8 of 8 tasks would be found" in planned.err
    ran("cache", "migrate", "experiments.*", "lab.models.*", "--yes").check()
    assert executed(ran, "lab/models.py:total") == {"loaded": 1}
    assert executed(ran, "lab/models.py:many") == {"loaded": 3}
    ran("cache", "migrate", "--undo").check()
    ran("cache", "migrate", "--undo").check()
    assert sorted(row["type"] for row in ran("cache", "ls", "--json").check().document()["results"]) == ["Add"] * 7 + [
        "Total"
    ]


def test_fields_enum_members_and_versions_that_changed(ran: Cli) -> None:
    text = ran.read("experiments.py").replace("SMALL", "TINY").replace('"v2"', '"v3"').replace("scale", "factor")
    ran.write("experiments.py", text)
    ran("cache", "migrate", "Kind", "Kind", "--rename", "SMALL=TINY", "-y").check()
    ran("cache", "migrate", "Total", "Total", "--rename", "scale=factor", "--code-version", "v3", "-y").check()
    assert executed(ran, "experiments.py:total") == {"loaded": 1}
    assert executed(ran, "experiments.py:many") == {"loaded": 3}
    ran.write("experiments.py", text.replace("kind: Kind = Kind.TINY", "kind: Kind = Kind.TINY\n    base: int = 1"))
    ran("cache", "migrate", "Add", "Add", "--set", "base=1", "-y").check()
    assert executed(ran, "experiments.py:total") == {"loaded": 1}


def test_it_asks_on_a_terminal(ran: Cli) -> None:
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], "cache", "migrate", "Add", "Plus"],
        cwd=str(ran.folder),
        env=environment(),
        timeout=30,
    )
    child.expect(r"migrate them\? \[y/N\] ")
    child.sendline("n")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert json.loads(ran("cache", "migrate", "--list", "--json").check().out)["migrations"] == []
