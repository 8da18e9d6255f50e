"""What every storage does alike for runs that share it, for the code behind results, and for their identities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from storage_kit import LARGE, content, key, make, record

from labtech_cli.errors import StorageError
from labtech_cli.store.records import Claim, Move
from labtech_cli.store.storage import Storage

K, A, B, C, ABSENT = map(key, ("k", "a", "b", "c", "absent"))
DIGEST, OTHER_DIGEST = "d" * 32, "e" * 32


@pytest.fixture(params=["local", "file", "memory"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Storage]]:
    """Makes one more user of the same storage."""
    made: list[Storage] = []

    def new() -> Storage:
        made.append(make(request.param, tmp_path / "storage"))
        return made[-1]

    yield new
    for storage in made:
        storage.close()


@pytest.fixture
def storage(another: Callable[[], Storage]) -> Storage:
    return another()


def claim(storage: Storage, *keys: str, reuse: bool = True) -> list[Claim]:
    with storage.claiming() as ask:
        return [ask(one, reuse) for one in keys]


# -- documents and code --------------------------------------------------------------------------


def test_documents_are_kept_under_their_digests_and_never_changed(another: Callable[[], Storage]) -> None:
    first, second = another(), another()
    first.keep({DIGEST: "the code\n", OTHER_DIGEST: "é"})
    second.keep({DIGEST: "changed"})
    assert second.documents([DIGEST, OTHER_DIGEST, "f" * 32]) == {DIGEST: "the code\n", OTHER_DIGEST: "é"}


def test_the_code_of_results_is_known(storage: Storage) -> None:
    storage.keep({DIGEST: "code", OTHER_DIGEST: "origin"})
    made = [record(storage, one, b"1") for one in (A, B, C)]
    for one, code in zip(made, (DIGEST, DIGEST, None), strict=True):
        one.code, one.origin, one.peak_memory = code, OTHER_DIGEST, 4096
    storage.commit(made)
    assert storage.codes() == {("m.T", DIGEST): 2, ("m.T", None): 1}
    assert storage.produced_by([DIGEST]) == {A: DIGEST, B: DIGEST}
    assert storage.produced_by([None, DIGEST]) == {A: DIGEST, B: DIGEST, C: None}
    (row,) = storage.rows([A])
    assert (row.code, row.origin, row.peak_memory) == (DIGEST, OTHER_DIGEST, 4096)


def test_signatures_are_kept(storage: Storage) -> None:
    made = record(storage, K, b"1")
    assert made.stored is not None
    made.stored = made.stored._replace(signature="signed")
    storage.commit([made])
    assert storage.load([K])[K].signature == "signed"


# -- runs ----------------------------------------------------------------------------------------


def test_runs_see_each_other_and_what_they_need(another: Callable[[], Storage]) -> None:
    first, second = another(), another()
    assert first.live() == [] and first.needed() == set()
    first.enter([A, B])
    second.enter([C])
    assert len(first.live()) == 1 == len(second.live())
    assert second.needed() == {A, B} and first.needed() == {C}
    second.beat()
    (seen,) = first.live()
    assert seen.beat == 1
    second.leave()
    assert first.live() == [] and first.needed() == set()


def test_a_task_is_claimed_by_one_run(another: Callable[[], Storage]) -> None:
    first, second = another(), another()
    first.enter([])
    second.enter([])
    assert claim(first, A, B) == [Claim.MINE, Claim.MINE]
    assert claim(second, A, B, C) == [Claim.HELD, Claim.HELD, Claim.MINE]
    first.release([A])
    assert claim(second, A, B) == [Claim.MINE, Claim.HELD]
    first.commit([record(first, B, b"done")])
    assert claim(second, B) == [Claim.DONE] and content(second.load([B])[B]) == [b"done"]
    assert claim(second, B, reuse=False) == [Claim.MINE]


def test_a_run_that_was_alone_shares_once_another_comes(another: Callable[[], Storage]) -> None:
    first, second = another(), another()
    first.enter([])
    assert claim(first, A, B) == [Claim.MINE, Claim.MINE]
    second.enter([])
    assert claim(second, A) == [Claim.HELD]
    first.beat()
    assert claim(second, A, B, C) == [Claim.HELD, Claim.HELD, Claim.MINE]
    assert claim(first, C) == [Claim.HELD]
    first.leave()
    assert claim(second, A, B) == [Claim.MINE, Claim.MINE]


def test_what_another_run_committed_meanwhile_is_done(another: Callable[[], Storage]) -> None:
    first, second = another(), another()
    first.enter([])
    second.commit([record(second, A, b"1")])
    assert claim(first, A) == [Claim.DONE] and claim(first, A, reuse=False) == [Claim.MINE]


def test_a_closed_storage_holds_nothing(another: Callable[[], Storage]) -> None:
    first, second = another(), another()
    assert claim(first, A) == [Claim.MINE]
    first.close()
    assert claim(second, A) == [Claim.MINE] and second.live() == []


def test_a_run_that_found_none_leaves_alone_what_another_committed(another: Callable[[], Storage]) -> None:
    first, second = another(), another()
    first.commit([replace(record(first, K, b"first", LARGE), replace=False)])
    second.commit([replace(record(second, K, b"second", LARGE + b"x"), replace=False)])
    assert content(second.load([K])[K]) == [b"first", LARGE]
    second.commit([record(second, K, b"second", LARGE + b"x")])
    assert content(first.load([K])[K]) == [b"second", LARGE + b"x"]


# -- other identities ----------------------------------------------------------------------------


def move(old: str, new: str) -> Move:
    return Move(old, new, "n.Moved", "v2", '{"y":2}', None)


def test_results_get_another_identity_and_get_it_back(storage: Storage) -> None:
    storage.commit([record(storage, A, b"small", LARGE), record(storage, B, b"b"), record(storage, C)])
    before = sorted(map(repr, storage.rows()))
    number = storage.rewrite([move(A, K), move(C, ABSENT)], "A became K")
    assert set(storage.present()) == {K, B} and content(storage.load([K])[K]) == [b"small", LARGE]
    (row,) = storage.rows([K])
    assert (row.type, row.code_version, row.params) == ("n.Moved", "v2", '{"y":2}')
    assert storage.described()[ABSENT] == ("n.Moved", "v2", '{"y":2}') and not {A, C} & set(storage.described())
    (entry,) = storage.journal()
    assert (entry.number, entry.title, [m.new_key for m in entry.moves]) == (number, "A became K", [K, ABSENT])

    assert storage.undo(number) >= 1
    assert sorted(map(repr, storage.rows())) == before and storage.journal() == []
    assert content(storage.load([A])[A]) == [b"small", LARGE] and C in storage.described()
    with pytest.raises(StorageError, match="no rewrite"):
        storage.undo(number)


@pytest.mark.parametrize("large", [b"", LARGE], ids=["small", "large"])
def test_a_result_that_was_computed_since_keeps_what_it_has_when_a_rewrite_is_taken_back(
    storage: Storage, large: bytes
) -> None:
    """Other code may have made it: the old identity, and the old code, are those of the bytes of then."""
    parts = [large] if large else []
    storage.commit([record(storage, A, b"a", *parts), record(storage, B, b"b", *parts), record(storage, C)])
    number = storage.rewrite([move(A, K), replace(move(B, B), params='{"y":3}'), move(C, ABSENT)], "A and B")
    storage.commit([record(storage, K, b"since", *parts), record(storage, ABSENT, b"since", *parts)])
    assert storage.undo(number) == 1
    assert set(storage.present()) == {K, B, ABSENT} and storage.journal() == []
    assert content(storage.load([K])[K])[0] == content(storage.load([ABSENT])[ABSENT])[0] == b"since"
    (row,) = storage.rows([B])
    assert row.type != "n.Moved" and content(storage.load([B])[B])[0] == b"b"


def test_two_results_can_change_places(storage: Storage) -> None:
    storage.commit([record(storage, A, b"a", LARGE), record(storage, B, b"b", LARGE + b"b")])
    number = storage.rewrite([move(A, B), move(B, A)], "swap")
    assert content(storage.load([A])[A]) == [b"b", LARGE + b"b"] and content(storage.load([B])[B]) == [b"a", LARGE]
    assert storage.undo(number) == 2
    assert content(storage.load([A])[A]) == [b"a", LARGE]


def test_an_identity_that_is_taken_is_refused_before_anything_happens(storage: Storage) -> None:
    storage.commit([record(storage, A, b"a"), record(storage, B, b"b"), record(storage, C, b"c")])
    for moves in ([move(A, B)], [move(A, K), move(B, K)]):
        with pytest.raises(StorageError):
            storage.rewrite(moves, "clash")
    assert set(storage.present()) == {A, B, C} and storage.journal() == []


def test_what_a_live_run_needs_keeps_its_identity(another: Callable[[], Storage]) -> None:
    first, second = another(), another()
    first.commit([record(first, A, b"a")])
    first.enter([A])
    with pytest.raises(StorageError, match="live run"):
        second.rewrite([move(A, B)], "too early")
    first.leave()
    second.rewrite([move(A, B)], "now")
    assert set(first.present()) == {B}
