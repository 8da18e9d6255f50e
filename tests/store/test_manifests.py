"""Manifests: what is written is read, and whatever else is read is refused or stays inside."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_kit import key

from labtech_cli.store.blobs import Blob, Stored, digest
from labtech_cli.store.manifests import decode, decode_task, encode, encode_task, is_key, key_of, moved, place_of
from labtech_cli.store.records import Move, Record

K, A = key("k"), key("a")
HOME = f"data/{K[:2]}/{K}.{'0' * 32}"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(max_size=12) | st.sampled_from(["..", "/etc/passwd", f"{HOME}/x", f"{HOME}/../x", "x\0", "."])


def made(**changes: Any) -> Record:
    blobs = (Blob("small", 3, digest(b"abc"), b"abc", None), Blob("large", 9, "d", None, "/spool/large"))
    values: dict[str, Any] = {"code": "c", "origin": "o", "peak_memory": 7} | changes
    return Record(K, "m.T", None, '{"x":"\\ud800é"}', 0.5, 1.0, Stored("pickle", blobs, "signed"), **values)


def test_a_manifest_is_read_as_it_was_written() -> None:
    found = decode(K, encode(made(), HOME))
    assert found.row.key == K and found.row.params == made().params and found.row.size == 12
    assert (found.row.code, found.row.origin, found.row.peak_memory, found.signature) == ("c", "o", 7, "signed")
    assert found.objects == [f"{HOME}/large"] == found.light().objects
    stored = found.stored({f"{HOME}/large": "/here"})
    assert [(blob.name, blob.data, blob.path) for blob in stored.blobs] == [
        ("small", b"abc", None),
        ("large", None, "/here"),
    ]
    assert decode_task(K, encode_task(made())).duration == 0.5


def test_a_part_that_was_not_fetched_has_no_file() -> None:
    assert decode(K, encode(made(), HOME)).stored({}).blobs[1].path == ""


def test_a_moved_manifest_keeps_its_bytes_and_its_data() -> None:
    move = Move(K, A, "n.T", "v2", "{}", "new code")
    data = moved(encode(made(), HOME), move, "results")
    found = decode(A, data)
    assert (found.row.type, found.row.code_version, found.row.params, found.row.code) == ("n.T", "v2", "{}", "new code")
    assert found.objects == [f"{HOME}/large"]
    with pytest.raises(ValueError):
        decode(K, data)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused(data: bytes) -> None:
    for reader in (decode, decode_task):
        with pytest.raises(ValueError):
            reader(K, data)


@given(st.integers(0, len(encode(made(), HOME)) - 1))
def test_a_manifest_that_was_cut_short_is_refused(length: int) -> None:
    with pytest.raises(ValueError):
        decode(K, encode(made(), HOME)[:length])


@given(st.dictionaries(st.sampled_from(["name", "size", "digest", "data", "path"]), JSON | NAMES, min_size=1))
def test_no_part_leads_out_of_the_data(changes: dict[str, Any]) -> None:
    document = json.loads(encode(made(), HOME))
    document["parts"][1].update(changes)
    found = decode(K, json.dumps(document).encode())
    for name in found.objects:
        assert re.fullmatch(rf"{HOME}/[^/\\\0]+", name) and not name.endswith(("/..", "/."))


@given(st.text(max_size=60) | st.sampled_from([place_of("results", K), f"results/{A[:2]}/{K}.json"]))
def test_names_that_are_not_of_a_key_have_none(name: str) -> None:
    found = key_of(name)
    assert found is None or (is_key(found) and name == place_of(name.partition("/")[0], found))
