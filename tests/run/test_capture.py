"""What is written to stdout and stderr, caught."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from labtech_cli.run.capture import FileCapture, ThreadStream, logging_to_stderr
from labtech_cli.run.excerpt import OutputFile


@pytest.fixture
def file() -> Iterator[OutputFile]:
    made = OutputFile()
    yield made
    made.close()


@pytest.fixture
def capture(file: OutputFile) -> FileCapture:
    return FileCapture(file.fd)


def caught(file: OutputFile) -> bytes:
    return file.read(0, file.size())


def test_print_and_descriptors_are_caught_in_order_and_given_back(file: OutputFile, capture: FileCapture) -> None:
    before = sys.stdout, sys.stderr
    capture.begin()
    print("one")
    os.write(1, b"two\n")
    print("three", file=sys.stderr)
    os.system("echo four")
    sys.stdout.write("no newline")
    capture.end()
    assert (sys.stdout, sys.stderr) == before
    assert caught(file) == b"one\ntwo\nthree\nfour\nno newline"
    assert capture.size() == file.size()


def test_lines_of_c_code_come_in_order(file: OutputFile, capture: FileCapture) -> None:
    puts = ctypes.CDLL(None).puts
    capture.begin()
    print("one")
    puts(b"two")
    print("three")
    capture.end()
    assert caught(file) == b"one\ntwo\nthree\n"


def test_streams_that_a_task_closed_or_replaced_are_given_back(capture: FileCapture) -> None:
    before = sys.stdout
    capture.begin()
    sys.stdout.close()
    sys.stderr = None  # type: ignore[assignment]
    capture.end()
    assert sys.stdout is before and not sys.stdout.closed


def test_a_thread_without_a_task_writes_to_the_original(capsys: pytest.CaptureFixture[str]) -> None:
    stream = ThreadStream(sys.stdout, {})
    print("outside", file=stream)
    stream.flush()
    assert capsys.readouterr().out == "outside\n" and not stream.isatty() and stream.encoding


def test_a_thread_with_a_task_writes_to_its_file(file: OutputFile) -> None:
    stream = ThreadStream(sys.stdout, {threading.get_ident(): file.fd})
    print("half a pair: \udc00", file=stream)
    stream.buffer.write(b"\xff\0")
    assert caught(file) == b"half a pair: \\udc00\n\xff\0" and stream.encoding == "utf-8"


def test_log_records_keep_level_and_name(file: OutputFile, capture: FileCapture) -> None:
    capture.begin()
    with logging_to_stderr():
        logging.getLogger("some.library").error("it %s", "broke")
    logging.getLogger("some.library").handlers.clear()
    capture.end()
    assert caught(file) == b"ERROR some.library: it broke\n"
