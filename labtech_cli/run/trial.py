"""Results loaded to see whether they can be, in a child process: loading one may raise, hang on to memory, or exit."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Any

from labtech_cli.errors import type_and_words
from labtech_cli.run.family import die_with_parent
from labtech_cli.store import formats
from labtech_cli.store.blobs import Stored

_LONGEST = 300  # characters of what an exception says: a line goes through the pipe whole or not at all


def trials(pairs: Sequence[tuple[Any, Stored]]) -> Iterator[str | None]:
    """For each task and its result, in order: why it cannot be loaded, or None where it can.

    One child loads one after the other and tells of each. When it ends before its time, the result it
    had begun with is the one that ended it, and another child goes on with the next.
    """
    done = 0
    while done < len(pairs):
        pid, told = _start(pairs[done:])
        ended = False
        try:
            for line in told:
                done += 1
                yield json.loads(line)
            ended = True
        finally:
            told.close()
            if not ended:  # an interrupt, or nobody wants to know the rest
                os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
        if done < len(pairs):
            done += 1
            yield f"loading it ended the process ({_ended(status)})"


def _start(pairs: Sequence[tuple[Any, Stored]]) -> tuple[int, IO[str]]:
    """A child that loads results, and what it tells of each: a line of JSON."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, open(reading, encoding="utf-8")
    try:
        die_with_parent()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.close(reading)
        for task, stored in pairs:
            os.write(writing, (json.dumps(_attempt(task, stored)) + "\n").encode())
    finally:
        os._exit(0)


def _attempt(task: Any, stored: Stored) -> str | None:
    try:
        formats.load(task, stored)
    except BaseException as error:  # SystemExit, too: a result is not to end anything
        return (getattr(error, "message", None) or type_and_words(error))[:_LONGEST]
    return None


def _ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
