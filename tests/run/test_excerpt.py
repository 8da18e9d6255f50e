"""The bounded part of what a task wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtech_cli.run import excerpt
from labtech_cli.run.excerpt import EMPTIED, HEAD_BYTES, TAIL_BYTES, Excerpt, OutputFile, read_text


@pytest.fixture
def file() -> Iterator[OutputFile]:
    made = OutputFile()
    yield made
    made.close()


def test_what_fits_is_whole_however_often_it_was_looked_at(file: OutputFile) -> None:
    made = Excerpt(file, 0)
    pieces = []
    for number in range(50):
        os.write(file.fd, b"line %d\nand half a li" % number)
        pieces.append(made.look(file.size()))
    pieces.append(made.end(file.text(0)))
    assert b"".join(pieces) == file.read(0, file.size())
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])


def test_each_task_has_what_lies_between_its_offsets(file: OutputFile) -> None:
    os.write(file.fd, b"of the first")
    first, between = Excerpt(file, 0), file.size()
    os.write(file.fd, b"of the second\n")
    assert Excerpt(file, between).end(file.text(between)) == b"of the second\n"
    assert first.end(read_text(file.fd, 0, between)) == b"of the first"


def test_the_gap_has_a_line_of_its_own_and_no_character_is_cut(file: OutputFile) -> None:
    text = "€" * (HEAD_BYTES + TAIL_BYTES)
    os.write(file.fd, text.encode())
    data = Excerpt(file, 0).end(file.text(0)).decode()
    before, gap, after = data.split("\n")
    assert gap == f"[... {3 * (len(text) - len(before) - len(after)):,} bytes left out ...]"
    assert set(before + after) == {"€"} and len(before) == HEAD_BYTES // 3 and len(after) == TAIL_BYTES // 3


def test_a_progress_bar_is_passed_on_as_it_moves(file: OutputFile) -> None:
    made = Excerpt(file, 0)
    os.write(file.fd, b"10 %\r20 %\r30")
    assert made.look(file.size()) == b"10 %\r20 %\r"


def test_a_very_long_line_is_passed_on_in_pieces(file: OutputFile) -> None:
    made = Excerpt(file, 0)
    os.write(file.fd, "é".encode() * 40_000 + b"\xc3")
    assert made.look(file.size()).decode() == "é" * 40_000
    os.write(file.fd, b"\xa9")
    assert made.end(file.text(0)).decode() == "é"


def test_room_is_given_back_while_the_task_writes_and_what_is_kept_stays(file: OutputFile) -> None:
    made = Excerpt(file, 0)
    block = bytes(range(97, 123)) * 4 + b"\n"
    block *= (1 << 20) // len(block)
    most = 0
    pieces = []
    for _ in range(64):
        os.write(file.fd, block)
        pieces.append(made.look(file.size()))
        most = max(most, os.fstat(file.fd).st_blocks * 512)
    size = file.size()
    pieces.append(made.end(file.text(0)))
    assert size > 60 << 20
    if file._punches:  # else it is given back between tasks
        assert most < 16 << 20
    data = b"".join(pieces)
    assert b"\0" not in data and len(data) < HEAD_BYTES + TAIL_BYTES + 100
    assert {len(line) for line in data.splitlines()} - {104} == {len(f"[... {size - len(data):,} bytes left out ...]")}


def test_where_holes_cannot_be_made_all_is_read_and_given_back_between_tasks(
    file: OutputFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excerpt, "_punch", lambda fd, start, many: False)
    made = Excerpt(file, 0)
    for _ in range(4):
        os.write(file.fd, b"x" * (10 << 20))
        made.look(file.size())
    assert made.end(file.text(0)).endswith(b"x" * 1000) and not file._punches
    file.restart()
    assert file.size() == 0
    os.write(file.fd, b"anew")
    assert Excerpt(file, 0).end(file.text(0)) == b"anew"


def test_it_is_looked_at_more_often_while_much_comes(file: OutputFile) -> None:
    assert file.pace(100) == excerpt.LOOK_SECONDS
    assert file.pace(100 << 20) < excerpt.LOOK_SECONDS / 5
    assert file.pace(100 << 20) == excerpt.LOOK_SECONDS


@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=30))
def test_nothing_is_lost_doubled_or_changed(pieces: list[tuple[bytes, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("HEAD_BYTES", 100), ("TAIL_BYTES", 50), ("_LONG_LINE", 20)):
            patch.setattr(excerpt, name, value)
        file = OutputFile()
        made, got = Excerpt(file, 0), []
        for data, looked in pieces:
            os.write(file.fd, data)
            if looked:
                got.append(made.look(file.size()))
        got.append(made.end(file.text(0)))
        file.close()
    whole, kept = b"".join(data for data, _ in pieces), b"".join(got)
    if len(whole) <= 150:
        assert kept == whole
    elif kept != whole:
        before, _, rest = kept.partition(b"[... ")
        number, _, after = rest.partition(b" bytes left out ...]\n")
        assert whole.endswith(after) and len(after) <= 50
        heads = [head for head in (before, before[:-1]) if whole.startswith(head)]  # a newline may have been added
        assert len(whole) in [len(head) + int(number.replace(b",", b"")) + len(after) for head in heads]


@pytest.mark.parametrize("looked", ["never", "before", "before and after", "after"])
def test_of_a_file_that_was_emptied_nothing_is_lost_that_is_known(file: OutputFile, looked: str) -> None:
    os.write(file.fd, b"of another\n")
    made = Excerpt(file, file.size())
    os.write(file.fd, b"printed\n")
    data = made.look(file.size()) if "before" in looked else b""
    os.ftruncate(file.fd, 0)
    os.write(file.fd, b"anew\n" * 10)
    if "after" in looked:
        data += made.look(file.size())
    data += made.end(file.text(0)._replace(before=b"printed\n"))
    assert data.count(b"printed\n") == 1 and data.endswith(EMPTIED + b"anew\n" * 10)
