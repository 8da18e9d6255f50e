"""What is written to stdout and stderr, caught."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator

import pytest

from labtech_cli.run.capture import FileCapture, ThreadStream, logging_to_stderr


@pytest.fixture
def capture() -> Iterator[FileCapture]:
    made = FileCapture()
    yield made
    made.close()


def test_print_and_descriptors_are_caught_in_order_and_given_back(capture: FileCapture) -> None:
    before = sys.stdout, sys.stderr
    capture.begin()
    print("one")
    os.write(1, b"two\n")
    print("three", file=sys.stderr)
    os.system("echo four")
    sys.stdout.write("no newline")
    capture.end()
    assert (sys.stdout, sys.stderr) == before
    assert capture.take(flush=False) == b"one\ntwo\nthree\nfour\nno newline"
    assert capture.take(flush=False) == b""


def test_streams_that_a_task_closed_or_replaced_are_given_back(capture: FileCapture) -> None:
    before = sys.stdout
    capture.begin()
    sys.stdout.close()
    sys.stderr = None  # type: ignore[assignment]
    capture.end()
    assert sys.stdout is before and not sys.stdout.closed


def test_much_output_comes_in_pieces_and_its_space_is_given_back(capture: FileCapture) -> None:
    capture.begin()
    os.write(1, b"x" * (10 << 20))
    capture.end()
    pieces = []
    while data := capture.take(flush=False):
        pieces.append(data)
    assert len(pieces) == 10 and sum(map(len, pieces)) == 10 << 20
    capture.trim()
    capture.begin()
    os.write(1, b"after")
    capture.end()
    assert capture.take(flush=False) == b"after"


def test_a_thread_without_a_task_writes_to_the_original(capsys: pytest.CaptureFixture[str]) -> None:
    buffers: dict[int, list[str]] = {}
    stream = ThreadStream(sys.stdout, buffers)
    print("outside", file=stream)
    stream.flush()
    assert capsys.readouterr().out == "outside\n" and not stream.isatty() and stream.encoding


def test_log_records_keep_level_and_name(capture: FileCapture) -> None:
    capture.begin()
    with logging_to_stderr():
        logging.getLogger("some.library").error("it %s", "broke")
    logging.getLogger("some.library").handlers.clear()
    capture.end()
    assert capture.take(flush=False) == b"ERROR some.library: it broke\n"
