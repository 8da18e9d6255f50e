"""Named parts: small ones in memory, large ones in files, each with its checksum."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage_kit import bytes_of, content, write

from labtech_cli.errors import CacheError, DamagedResult
from labtech_cli.store.blobs import (
    INLINE_MAX,
    PartFolder,
    Stored,
    StoredFiles,
    check_name,
    digest,
    file_digest,
    verify,
)


@pytest.fixture
def folder(tmp_path: Path) -> PartFolder:
    return PartFolder(str(tmp_path / "spool"))


@pytest.mark.parametrize(("size", "inline"), [(0, True), (INLINE_MAX, True), (INLINE_MAX + 1, False)])
def test_a_part_becomes_a_file_when_it_is_large(folder: PartFolder, tmp_path: Path, size: int, inline: bool) -> None:
    data = bytes(size)
    write(folder, "data", data)
    (blob,) = folder.blobs
    assert (blob.name, blob.size, blob.digest) == ("data", size, digest(data))
    assert (blob.data is not None) is inline and (tmp_path / "spool").exists() is not inline
    assert bytes_of(blob) == data
    assert Stored("x", (blob,)).inline is inline and Stored("x", (blob, blob)).size == 2 * size


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(pieces=st.lists(st.integers(0, INLINE_MAX), max_size=6))
def test_it_does_not_matter_in_which_pieces_a_part_is_written(tmp_path: Path, pieces: list[int]) -> None:
    folder = PartFolder(str(tmp_path / "spool"))
    data = [bytes([number]) * size for number, size in enumerate(pieces)]
    with folder.file_handle("", "data", mode="wb") as part:
        for piece in data:
            assert part.write(piece) == len(piece)
    assert content(Stored("x", tuple(folder.blobs))) == [b"".join(data)]
    folder.discard()


def test_a_part_can_be_read_sought_and_changed_while_it_is_written(folder: PartFolder) -> None:
    for name, body in (("small", b"b" * 10), ("large", b"b" * INLINE_MAX)):
        with folder.file_handle("", name, mode="wb") as part:
            part.write(b"aaaa" + body)
            part.flush()
            part.seek(0)
            part.write(b"cc")
            assert part.tell() == 2 and part.read(3) == b"aab"
        assert bytes_of(folder.blobs[-1]) == b"ccaa" + body


def test_text_is_written_and_read_as_utf8(folder: PartFolder) -> None:
    with folder.file_handle("", "notes", mode="w") as part:
        part.write("grün\n")
    assert content(Stored("x", tuple(folder.blobs))) == ["grün\n".encode()]
    with StoredFiles(Stored("x", tuple(folder.blobs))).file_handle("", "notes") as file:
        assert file.read() == "grün\n"


def test_what_is_discarded_leaves_nothing(folder: PartFolder, tmp_path: Path) -> None:
    write(folder, "large", bytes(INLINE_MAX * 2))
    folder.discard()
    assert folder.blobs == [] and list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/etc/passwd", "a\\b", "a\0b", "x" * 129])
def test_a_name_that_is_no_plain_file_name_is_refused(folder: PartFolder, name: str) -> None:
    with pytest.raises(CacheError, match="is not a plain file name"):
        check_name(name)
    with pytest.raises(CacheError):
        folder.file_handle("", name, mode="wb")


def test_a_second_file_of_the_same_name_or_a_wrong_mode_is_refused(folder: PartFolder) -> None:
    write(folder, "data", b"1")
    with pytest.raises(CacheError, match="already has a file 'data'"):
        folder.file_handle("", "data", mode="wb")
    with pytest.raises(CacheError, match="written with mode 'w' or 'wb', not 'r'"):
        folder.file_handle("", "other")
    with pytest.raises(CacheError, match="read with mode 'r' or 'rb', not 'wb'"):
        StoredFiles(Stored("x", tuple(folder.blobs))).file_handle("", "data", mode="wb")


def test_a_part_that_is_not_there_is_damage(folder: PartFolder) -> None:
    with pytest.raises(DamagedResult, match="no file 'data'"):
        StoredFiles(Stored("x", ())).file_handle("", "data", mode="rb")


@pytest.mark.parametrize("size", [10, INLINE_MAX * 2])
def test_writing_into_a_view_changes_nothing_that_is_stored(folder: PartFolder, size: int) -> None:
    write(folder, "data", bytes(size))
    files = StoredFiles(Stored("x", tuple(folder.blobs)))
    view = files.view("data")
    view[:4] = b"aaaa"
    assert bytes(files.view("data")) == bytes(size)
    verify(Stored("x", tuple(folder.blobs)))


@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_changed_byte_is_found(data: bytes, draw: st.DataObject) -> None:
    folder = PartFolder("")
    write(folder, "data", data)
    (blob,) = folder.blobs
    position = draw.draw(st.integers(0, len(data) - 1))
    changed = data[:position] + bytes([data[position] ^ draw.draw(st.integers(1, 255))]) + data[position + 1 :]
    with pytest.raises(DamagedResult):
        verify(Stored("x", (blob._replace(data=changed),)))


def test_the_checksum_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    for data in (b"", b"x", bytes(200_000)):
        (tmp_path / "file").write_bytes(data)
        assert file_digest(str(tmp_path / "file")) == digest(data)
