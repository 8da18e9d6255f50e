"""Values to bytes and back, in every format."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from storage_kit import LARGE
from store_tasks import Backwards, Kept, Own, Plain, Squeezed, WritesNothing

from labtech_cli.errors import CacheError
from labtech_cli.store import formats
from labtech_cli.store.blobs import Stored, verify


@pytest.fixture
def spool(tmp_path: Path) -> str:
    return str(tmp_path / "spool")


def round_trip(task: Any, value: Any, spool: str) -> Any:
    stored = formats.save(task, value, spool)
    verify(stored)
    return formats.load(task, stored)


@pytest.mark.parametrize(
    "value", [None, 1, "text", [1, {"a": (2.0, None)}], LARGE, Own(3)], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("task", [Plain(), Squeezed(), Kept()], ids=lambda task: type(task).__name__)
def test_a_value_comes_back(task: Any, value: Any, spool: str) -> None:
    assert round_trip(task, value, spool) == value


@pytest.mark.parametrize("size", [10, 50_000, 1 << 20])
def test_arrays_come_back_mapped_aligned_and_writable(spool: str, size: int) -> None:
    value = {"a": np.arange(size), "b": np.ones((7, size)), "empty": np.zeros(0)}
    found = round_trip(Plain(), value, spool)
    for name, array in value.items():
        assert np.array_equal(found[name], array) and found[name].dtype == array.dtype
        assert found[name].flags.writeable
    if size > 10:
        assert all(found[name].ctypes.data % 64 == 0 for name in "ab")


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_order_of_an_array_and_its_slices_come_back(spool: str, order: Any) -> None:
    array = np.asarray(np.arange(200_000.0).reshape(400, 500), order=order)
    for value in (array, array[::2, ::3], array.T):
        assert np.array_equal(round_trip(Plain(), value, spool), value)


def test_a_data_frame_comes_back(spool: str) -> None:
    frame = pd.DataFrame({"n": np.arange(50_000), "x": np.random.default_rng(0).random(50_000), "s": ["a"] * 50_000})
    pd.testing.assert_frame_equal(round_trip(Plain(), frame, spool), frame)


def test_large_arrays_are_kept_apart_and_small_results_are_ordinary_pickles(spool: str) -> None:
    names = [blob.name for blob in formats.save(Plain(), np.zeros(100_000), spool).blobs]
    assert sorted(names) == ["buffers.bin", "result.pickle"]
    (blob,) = formats.save(Plain(), {"a": 1}, spool).blobs
    assert pickle.loads(blob.data or b"") == {"a": 1}


def test_one_array_in_two_places_is_written_once(spool: str) -> None:
    array = np.zeros(1 << 17)
    stored = formats.save(Plain(), [array, array], spool)
    assert stored.size < 1.1 * array.nbytes
    first, second = formats.load(Plain(), stored)
    assert first is second


def test_a_format_of_ones_own_writes_its_files(spool: str) -> None:
    stored = formats.save(Backwards(), "hello", spool)
    assert stored.format == "reversed" and stored.blobs[0].data == b"olleh"
    assert formats.load(Backwards(), stored) == "hello"


def test_a_result_in_a_built_in_format_is_read_after_its_type_changed_format(spool: str) -> None:
    assert formats.load(Plain(), formats.save(Squeezed(), [1, 2], spool)) == [1, 2]
    assert formats.load(Squeezed(), formats.save(Plain(), [1, 2], spool)) == [1, 2]
    with pytest.raises(CacheError, match="was written in the format 'reversed'; give its task type"):
        formats.load(Plain(), formats.save(Backwards(), "x", spool))


@pytest.mark.parametrize("task", [Plain(), Squeezed()], ids=lambda task: type(task).__name__)
def test_a_value_that_cannot_be_saved_leaves_nothing(task: Any, tmp_path: Path, spool: str) -> None:
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        formats.save(task, [LARGE, np.zeros(100_000), lambda: 1], spool)
    assert not list(Path(spool).glob("*"))


def test_a_format_that_writes_no_file_is_an_error(spool: str) -> None:
    with pytest.raises(CacheError, match=r"Empty\(\) wrote no file for the result"):
        formats.save(WritesNothing(), 1, spool)


def test_buffers_of_another_format_are_refused(spool: str) -> None:
    stored = formats.save(Plain(), np.zeros(100_000), spool)
    other = [
        blob._replace(data=b"OTHER\0\0\0" + bytes(90), path=None) if blob.name == "buffers.bin" else blob
        for blob in stored.blobs
    ]
    with pytest.raises(CacheError, match="unknown format; a newer labtech wrote them"):
        formats.load(Plain(), Stored("pickle", tuple(other)))


def test_a_value_of_no_task_comes_back(spool: str) -> None:
    value = {"data": np.arange(100_000), "plain": "text"}
    found = formats.load_value(formats.save_value(value, spool))
    assert np.array_equal(found["data"], value["data"]) and found["plain"] == "text"
    with pytest.raises((pickle.PicklingError, AttributeError)):
        formats.save_value([LARGE, lambda: 1], spool)
