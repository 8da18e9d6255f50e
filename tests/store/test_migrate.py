"""Results follow their definitions: what a migration plans, and what a storage holds after it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_storage import MemoryStorage, remember
from migrate_tasks import Fit, Grown, Kind, Loose, Report, Size, Train, again

from labtech_cli.core.codec import encode_params
from labtech_cli.core.order import dependencies_first
from labtech_cli.core.task import type_of
from labtech_cli.errors import ConfigError
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.migrate import Migration, plan_migration
from labtech_cli.store.reshape import Request
from labtech_cli.store.restore import Restorer

M = "migrate_tasks"
TO_FIT = Request(f"{M}.Train", f"{M}.Fit", {"momentum": 0.9}, {"lr": "rate"}, drop=["note"], code_version=("v2",))
GROW = Request(f"{M}.Grown", f"{M}.Grown", {"extra": 5})
TO_SIZE = Request(f"{M}.Kind", f"{M}.Size", rename={"SMALL": "TINY"}, enum=True)

ATOMS = st.one_of(st.none(), st.integers(-1, 1), st.floats(), st.text(max_size=2), st.sampled_from([*Kind]))
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "$task", "$enum"]), inner, max_size=2),
        st.builds(Train, inner),
        st.builds(Report, inner),
        st.builds(Loose, inner),
    ),
    max_leaves=8,
)


def stored(*made: Any, at: float = 0.0) -> MemoryStorage:
    storage = MemoryStorage()
    for item in made:
        remember(storage, item, at=at)
    return storage


def planned(storage: MemoryStorage, request: Request, keep: str | None = None) -> Migration:
    return plan_migration(storage.described(), storage.rows(), request, keep)


def migrate(storage: MemoryStorage, request: Request, keep: str | None = None) -> Migration:
    migration = planned(storage, request, keep)
    assert not migration.undecided
    storage.rewrite(migration.moves, "test")
    return migration


def as_fit(item: Any, values: Any) -> Any:
    if not isinstance(item, Train):
        return item if values is None else type(item)(**values)
    return Fit(values["lr"], 0.9)


def as_size(item: Any, values: Any) -> Any:
    if isinstance(item, Kind):
        return Size.TINY if item is Kind.SMALL else Size.LARGE
    return item if values is None else type(item)(**values)


@pytest.mark.parametrize(("request_", "replace"), [(TO_FIT, as_fit), (TO_SIZE, as_size)], ids=["type", "enum"])
@given(made=st.one_of(st.builds(Train, VALUES), st.builds(Report, VALUES)))
@settings(deadline=None)
def test_every_result_is_found_under_the_key_of_the_new_task(request_: Request, replace: Any, made: Any) -> None:
    storage = stored(made)
    before = dict(storage.tasks)
    assert not migrate(storage, request_, "newest").unreadable
    for item in dependencies_first([made]):
        moved = again(item, replace)
        kind, version, params = storage.described()[moved.cache_key]
        assert (kind, version) == (type_of(moved).name, moved.code_version)
        assert Restorer(storage.described()).tasks([moved.cache_key]) == [moved]
        assert len(params) == len(encode_params(moved))
        if type_of(item).cache is not None:
            assert moved.cache_key in storage.present()
    storage.undo(1) if storage.journal() else None
    assert storage.tasks == before


def test_a_change_says_why_and_what() -> None:
    train = Train(0.5, "x")
    report = Report([Loose(train), Train(Kind.SMALL)])
    storage = stored(report, Report([1]))
    changes = {change.old_type.removeprefix(f"{M}."): change for change in planned(storage, TO_FIT).changes}
    assert set(changes) == {"Train", "Loose", "Report"}
    assert changes["Train"].reason == "renamed, field, code_version"
    assert changes["Train"].fields == ("lr -> rate", "note dropped", "momentum = 0.9")
    assert changes["Loose"].reason == f"depends on {M}.Train"
    assert changes["Report"].reason == f"depends on {M}.Loose"
    assert not changes["Loose"].result and changes["Report"].result
    (change,) = [item for item in planned(storage, TO_SIZE).changes if item.old_type == f"{M}.Train"]
    assert change.reason == "enum"


def test_moves_keep_the_code_document() -> None:
    storage = MemoryStorage()
    remember(storage, Train(1), code="abc")
    assert [move.code for move in planned(storage, TO_FIT).moves] == ["abc"]


def test_a_module_moves_with_all_that_is_in_it() -> None:
    made = Report([Train(Kind.LARGE), Loose(1)])
    storage = stored(made)
    migration = migrate(storage, Request(f"{M}.*", "lab.moved.*"))
    assert {kind for kind, _, _ in storage.described().values()} == {
        f"lab.moved.{n}" for n in ("Report", "Train", "Loose")
    }
    assert any('"lab.moved.Kind"' in params for _, _, params in storage.described().values())
    migrate(storage, Request("lab.moved.*", f"{M}.*"))
    assert Restorer(storage.described()).tasks([made.cache_key]) == [made]
    assert all(change.reason == "renamed" for change in migration.changes)


def test_a_module_of_a_similar_name_stays() -> None:
    assert planned(stored(Train(1)), Request("migrate.*", "x.*")).changes == []
    assert planned(stored(Train(1)), Request(f"{M}.Tra", "x.Tra")).changes == []


def test_only_the_selected_tasks_and_their_dependents_change() -> None:
    one, two = Train(1), Train(2)
    storage = stored(Report([one]), Report([two]))
    request = Request(TO_FIT.old, TO_FIT.new, TO_FIT.set, TO_FIT.rename, TO_FIT.drop, ("v2",), only={one.cache_key})
    migrate(storage, request)
    assert set(storage.present()) == {item.cache_key for item in (Fit(1), Report([Fit(1)]), two, Report([two]))}


def test_a_field_is_added_at_the_end_of_the_stored_text() -> None:
    storage = stored(Train(1), Grown(1, 7))
    migrate(storage, Request(f"{M}.Train", f"{M}.Grown", {"extra": 5}, {"lr": "n"}, ["note"]))
    assert set(storage.present()) == {Grown(1, 5).cache_key, Grown(1, 7).cache_key}
    assert storage.tasks[Grown(1, 5).cache_key].params == '{"n":1,"extra":5}'


def test_a_field_that_all_have_is_replaced() -> None:
    storage = stored(Grown(1, 7), Grown(2, 5))
    (change,) = migrate(storage, GROW).changes
    assert change.fields == ("extra = 5",) and change.reason == "field"
    assert set(storage.present()) == {Grown(1, 5).cache_key, Grown(2, 5).cache_key}
    assert planned(stored(Grown(1, 7), Grown(1, 5)), GROW).undecided


def test_tasks_of_the_new_shape_keep_a_field_that_others_get() -> None:
    before = Request(f"{M}.Grown", f"{M}.Grown", drop=["extra"])
    storage = stored(Grown(1))
    migrate(storage, before)
    remember(storage, Grown(2, 7))
    migrate(storage, GROW)
    assert set(storage.present()) == {Grown(1, 5).cache_key, Grown(2, 7).cache_key}


def test_a_value_of_another_type_is_another_value() -> None:
    storage = stored(Grown(1, 5))
    migrate(storage, Request(GROW.old, GROW.new, {"extra": 5.0}))
    assert set(storage.present()) == {Grown(1, 5.0).cache_key}  # type: ignore[arg-type]
    assert planned(storage, Request(GROW.old, GROW.new, {"extra": 5.0})).changes == []


def test_fields_may_change_places() -> None:
    storage = stored(Train(1, 2), Train(2, 1), Train(3, 3))
    bytes_of = {key: item.stored for key, item in storage.tasks.items()}
    migrate(storage, Request(f"{M}.Train", f"{M}.Train", rename={"lr": "note", "note": "lr"}))
    assert storage.tasks[Train(1, 2).cache_key].stored is bytes_of[Train(2, 1).cache_key]
    assert storage.tasks[Train(2, 1).cache_key].stored is bytes_of[Train(1, 2).cache_key]


def test_results_that_would_share_a_key_are_a_conflict() -> None:
    storage = stored(Report([Train(1, "a")]), Report([Train(1, "b")]))
    conflicts = planned(storage, TO_FIT).undecided
    assert [(set(item.keys), item.new_key) for item in conflicts] == [
        ({Train(1, "a").cache_key, Train(1, "b").cache_key}, Fit(1).cache_key),
        ({Report([Train(1, "a")]).cache_key, Report([Train(1, "b")]).cache_key}, Report([Fit(1)]).cache_key),
    ]
    assert planned(storage, TO_FIT, "existing").undecided == conflicts  # there is none


def test_the_newest_gets_the_identity_and_nothing_is_lost() -> None:
    storage = MemoryStorage()
    remember(storage, Train(1, "a"), at=2.0)
    remember(storage, Train(1, "b"), at=1.0)
    remember(storage, Fit(1), at=0.0)
    newest, oldest = storage.tasks[Train(1, "a").cache_key].stored, storage.tasks[Fit(1).cache_key].stored
    (conflict,) = migrate(storage, TO_FIT, "newest").conflicts
    assert conflict.existing and conflict.kept == Train(1, "a").cache_key
    assert storage.tasks[Fit(1).cache_key].stored is newest
    assert storage.tasks[Train(1, "a").cache_key].stored is oldest
    assert storage.tasks[Train(1, "a").cache_key].type == f"{M}.Train"
    assert Train(1, "b").cache_key in storage.present()


def test_the_existing_one_keeps_its_identity() -> None:
    storage = MemoryStorage()
    remember(storage, Report([Train(1, "a")]), at=2.0)
    remember(storage, Fit(1), at=0.0)
    oldest = storage.tasks[Fit(1).cache_key].stored
    assert planned(storage, TO_FIT).undecided
    migrate(storage, TO_FIT, "existing")
    assert storage.tasks[Fit(1).cache_key].stored is oldest
    assert Train(1, "a").cache_key in storage.present() and Report([Fit(1)]).cache_key in storage.present()


def test_nothing_decides_between_results_that_take_each_other_s_keys() -> None:
    storage = stored(Train(1, 2), Train(2, 1), Train(None, 2))
    request = Request(f"{M}.Train", f"{M}.Train", {"note": 1}, {"note": "lr"}, ["lr"])
    migration = planned(storage, request, "newest")
    assert migration.entangled and migration.undecided


def test_descriptions_without_results_are_never_in_the_way() -> None:
    storage = stored(Loose(Train(1, "a")), Loose(Train(2, "b")), Loose(Fit(2)))
    storage.remove([Train(2, "b").cache_key, Fit(2).cache_key])
    assert not planned(storage, TO_FIT).conflicts
    migrate(storage, TO_FIT)
    assert set(storage.present()) == {Fit(1).cache_key}
    assert {Loose(Fit(1)).cache_key, Loose(Fit(2)).cache_key} <= set(storage.described())


def test_wrong_fields_name_the_nearest() -> None:
    storage = stored(Train(1))
    with pytest.raises(ConfigError, match=r"--drop nite: no task of .* has a field 'nite'; did you mean 'note'\?"):
        planned(storage, Request(f"{M}.Train", f"{M}.Train", drop=["nite"]))
    with pytest.raises(ConfigError, match=r"--rename rl: no task"):
        planned(storage, Request(f"{M}.Train", f"{M}.Train", rename={"rl": "x"}))
    with pytest.raises(ConfigError, match=r"have a field 'note' already; drop one"):
        planned(storage, Request(f"{M}.Train", f"{M}.Train", rename={"lr": "note"}))
    assert planned(storage, Request(f"{M}.Train", f"{M}.Train", {}, {"lr": "note"}, ["note"])).changes


def test_damaged_and_foreign_descriptions_are_left_alone_and_counted() -> None:
    storage = stored(Report([Train(1)]), Train(2), Train(3), Report([Train(4)]))
    storage.tasks[Train(2).cache_key].params = "{"
    storage.tasks[Train(3).cache_key].params = '{"lr":4,"note":null}'
    storage.tasks[Report([Train(4)]).cache_key].params = '{"parts":{"$enum":1}}'
    storage.tasks["f" * 32] = storage.tasks[Train(4).cache_key]
    migration = migrate(storage, TO_FIT)
    assert set(migration.unreadable) == {Train(2).cache_key, Train(3).cache_key}
    assert {Fit(1).cache_key, Report([Fit(1)]).cache_key, Fit(4).cache_key} <= set(storage.present())


def test_a_cycle_in_a_forged_storage_ends() -> None:
    storage = stored(Train(1), Report([Train(1)]))
    key = Report([Train(1)]).cache_key
    storage.tasks[key].params = f'{{"parts":[{{"$task":"{key}"}},{{"$task":"{Train(1).cache_key}"}}]}}'
    assert migrate(storage, TO_FIT).unreadable == [key]


def test_chains_of_ten_thousand_are_linear_and_no_recursion() -> None:
    made: Any = Train(0)
    for _ in range(10_000):
        made = Report([made])
    storage = stored(made)
    started = time.perf_counter()
    assert len(planned(storage, TO_FIT).changes) == 10_001
    assert time.perf_counter() - started < 10  # 0.3 s on a quiet machine


def test_one_task_that_holds_very_many() -> None:
    parts = [Train(number) for number in range(5_000)]
    storage = stored(Report(parts), Report(parts[:1]))
    migration = migrate(storage, TO_FIT)
    assert len(migration.changes) == 5_002
    assert Report([Fit(number) for number in range(5_000)]).cache_key in storage.present()


def test_the_local_storage_does_what_is_planned_and_undoes_it(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "kept")
    storage.keep({"abc": "code"})
    for number, made in enumerate([Train(1, 2), Train(2, 1), Report([Loose(Train(1, "a"))]), Train(1, "b"), Fit(1)]):
        remember(storage, made, at=float(number % 4), code="abc")
    before = {row.key: (row, storage.load([row.key])[row.key]) for row in storage.rows()}
    places = Request(f"{M}.Train", f"{M}.Train", rename={"lr": "note", "note": "lr"})
    for request, keep in ((places, None), (places, None), (TO_FIT, "newest")):
        migration = plan_migration(storage.described(), storage.rows(), request, keep)
        assert not migration.undecided and migration.moves
        storage.rewrite(migration.moves, "test")
        assert len(storage.present()) == len(before)
        assert {row.code for row in storage.rows()} == {"abc"}
    assert {Fit(1).cache_key, Fit(2).cache_key, Report([Loose(Fit(1))]).cache_key} <= set(storage.present())
    for entry in reversed(storage.journal()):
        storage.undo(entry.number)
    assert {row.key: (row, storage.load([row.key])[row.key]) for row in storage.rows()} == before
    assert storage.journal() == []
    storage.close()
