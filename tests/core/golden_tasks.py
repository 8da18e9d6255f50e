"""The task types whose keys `test_key` holds fixed. Neither this module's name nor anything in it may change."""

from __future__ import annotations

from enum import Enum, IntFlag
from typing import Any

from labtech_cli.core.decorate import task


class Paint(Enum):
    RED = 1


class Mode(IntFlag):
    R = 1
    W = 2


@task
class Golden:
    value: Any

    def run(self) -> None: ...


@task(code_version="v2")
class Versioned:
    b: int = 1
    a: str = "x"

    def run(self) -> None: ...
