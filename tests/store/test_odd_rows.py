"""Rows and manifests that labtech did not write: one of them stops no listing, no run and no copy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from storage_kit import LARGE, content, edit, key, make, record

from labtech_cli.core.rekey import stored_key
from labtech_cli.errors import StorageError
from labtech_cli.store.copying import Copier
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.records import Claim, Move

K, OTHER = key("k"), key("other")
HUGE = (1 << 63) - 1
OWNERS = [
    "('x', 'h', 1, 'b', 'abc', 0, 'zz')",
    "(x'00ff', x'ff', 1, 'b', 1.0, 0, x'')",
    "(CAST(x'ff' AS TEXT), CAST(x'ff' AS TEXT), 1, CAST(x'ff' AS TEXT), 1.0, 0, x'')",
    "('y', 'h', 'no number', 'b', 1.0, 'often', x'')",
    "('z', 'h', 9223372036854775807, 'b', 1.0, 0, x'')",
]
LITTER = ["(x'00ff', NULL, 1.0)", "(CAST(x'ff' AS TEXT), 'dead', 1.0)", "('results/ab/x', x'ff', 'long ago')"]
JOURNALS = ["garbage", "[]", '{"moves": [[1]], "before": []}', '{"moves": 1, "before": 2}', "[" * 100_000, "null"]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path / "storage")
    storage.commit([record(storage, K, LARGE)])
    storage.close()
    return storage


def test_totals_of_results_of_huge_sizes_are_told(storage: LocalStorage) -> None:
    storage.commit([record(storage, OTHER, b"x")])
    edit(storage.path, f"UPDATE task SET size = {HUGE}")
    assert [(item.results, item.size_bytes) for item in storage.stats()] == [(2, HUGE)]


@pytest.mark.parametrize("owner", OWNERS)
def test_an_odd_owner_is_nobody_and_goes(storage: LocalStorage, owner: str) -> None:
    edit(storage.path, f"INSERT INTO owner VALUES {owner}")
    edit(storage.path, f"INSERT INTO lease SELECT '{K}', id FROM owner")
    assert storage.live() == [] and storage.needed() == set()
    storage.enter([K])
    with storage.claiming() as claim:
        assert claim(K, False) is Claim.MINE
    storage.leave()
    assert storage._database.select("SELECT count(*) FROM owner") == [(0,)]
    assert content(storage.load([K])[K]) == [LARGE]


@pytest.mark.parametrize("litter", LITTER)
def test_odd_litter_goes_and_nothing_with_it(storage: LocalStorage, litter: str) -> None:
    edit(storage.path, f"INSERT INTO litter VALUES {litter}")
    storage.enter([])
    storage.leave()
    assert storage._database.select("SELECT count(*) FROM litter") == [(0,)]
    assert content(storage.load([K])[K]) == [LARGE]


@pytest.mark.parametrize("text", JOURNALS)
def test_an_odd_entry_of_the_journal_is_passed_over(storage: LocalStorage, text: str) -> None:
    number = storage.rewrite([Move(K, OTHER, "m.U", None, "{}", None)], "one")
    edit(storage.path, "INSERT INTO journal (at, title, moves) VALUES (1.0, 't', ?)", text)
    assert [entry.number for entry in storage.journal()] == [number]
    with pytest.raises(StorageError, match=f"it has: {number}"):
        storage.undo(number + 1)
    assert storage.undo(number) == 1 and set(storage.present()) == {K}


@pytest.mark.parametrize("version", [0, -3])
def test_a_database_of_no_format_is_refused_in_words(storage: LocalStorage, version: int) -> None:
    edit(storage.path, f"PRAGMA user_version = {version}")
    for action in (storage.present, storage.check_writable):
        with pytest.raises(StorageError, match=f"is damaged: it has no format {version}; move the file away"):
            action()


@pytest.mark.parametrize(
    ("name", "value", "copied"),
    [
        pytest.param("peak_memory", 10**400, 1, id="endless memory"),
        ("peak_memory", -1, 1),
        ("format", "\ud800", 0),
        ("signature", "\ud800:x", 0),
        ("code", "\ud800", 0),
        ("origin", "../../x", 1),
        pytest.param("size", 10**400, 1, id="endless size"),
    ],
)
def test_a_manifest_with_an_odd_value_does_not_stop_a_copy(tmp_path: Path, name: str, value: Any, copied: int) -> None:
    source, target = make("file", tmp_path / "source"), LocalStorage(tmp_path / "target")
    good = record(source, OTHER, b"good")
    good.key, good.params, good.code_version = stored_key(good.type, None, {}), "{}", None
    source.commit([good])
    (file,) = (tmp_path / "source" / "results").rglob("*.json")
    odd = json.loads(file.read_text()) | {name: value}
    file.write_text(json.dumps(odd))
    done = Copier(source, target).copy(list(source.rows()))
    assert (done.copied, len(done.problems)) == (copied, 1 - copied)
    assert [len(list(storage.rows())) for storage in (source, target)] == [1, copied]
