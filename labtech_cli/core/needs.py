"""What a task needs of the machine, and how often and how long it may try: said by its type, or by its method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from labtech_cli.core.present import render
from labtech_cli.core.units import DURATIONS, MOST_BYTES, MOST_SECONDS, SIZES, to_bytes, to_seconds
from labtech_cli.errors import LabtechError, TaskError, did_you_mean

METHOD = "resources"
"""The optional method of a task type whose dict says what one task needs: `{"cpus": self.jobs}`."""


class Needs(NamedTuple):
    """What `@task` or the method `resources` says; None where it says nothing."""

    cpus: float | None = None
    memory: int | None = None
    """Bytes."""
    gpus: int | None = None
    retries: int | None = None
    timeout: float | None = None
    """Seconds."""


_MOST_CPUS = 1_000_000
_SHOWN = 80  # characters of a value that is refused
NOTHING = Needs()


def read_needs(where: str, options: Mapping[str, Any]) -> Needs:
    """Checked values of options such as `memory='4GB'`; `where` begins the message of a `TaskError`."""
    for name in options:
        if name not in Needs._fields:
            raise TaskError(f"{where}: there is no resource '{name}'", hint=did_you_mean(name, Needs._fields))
    return Needs(**{name: _READ[name](where, value) for name, value in options.items() if value is not None})


def needs_of(task: Any) -> Needs:
    """What a task needs: what its method says, else its type. Raises `TaskError` for what makes no sense."""
    kind = type(task).__labtech__
    if not kind.computes_needs:
        return kind.needs  # type: ignore[no-any-return]
    where = f"{render(task, 100)}.{METHOD}()"
    try:
        said = task.resources()
    except Exception as error:
        raise TaskError(f"{where} raised {type(error).__name__}: {error}") from error
    if said is None:
        return kind.needs  # type: ignore[no-any-return]
    if not isinstance(said, Mapping):
        raise TaskError(f"{where} returned {type(said).__name__}", hint="return a dict such as {'cpus': 2}")
    own = read_needs(where, said)
    return kind.needs._replace(**{name: value for name, value in own._asdict().items() if value is not None})  # type: ignore[no-any-return]


def _cpus(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise TaskError(f"{where}: cpus must be a number above 0, not {_shown(value)}")
    if value > _MOST_CPUS:
        raise TaskError(f"{where}: cpus must be at most {_MOST_CPUS:,}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    """The beginning of a value that is refused, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # a number of more digits than Python writes, for one
        return f"a very large {type(value).__name__}" if isinstance(value, int) else f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def read_size(where: str, value: Any, *, example: str = "4GB", error: type[LabtechError] = TaskError) -> int:
    """A size in bytes: a whole number above 0, or a text such as `4GB`. Raises `error`."""
    found = value
    if isinstance(value, str):
        try:
            found = to_bytes(value)
        except ValueError:
            raise error(f"{where}: memory {_shown(value)} is not a size", hint=SIZES) from None
    if type(found) is not int or found < 1:
        raise error(f"{where}: memory must be a size such as '{example}' or a number of bytes, not {_shown(value)}")
    if found > MOST_BYTES:
        raise error(f"{where}: memory must be less than 8 EiB, not {_shown(value)}", hint=SIZES)
    return found


def _whole(name: str) -> Any:
    def read(where: str, value: Any) -> int:
        if type(value) is not int or value < 0:
            raise TaskError(f"{where}: {name} must be a whole number of at least 0, not {_shown(value)}")
        return value

    return read


def read_seconds(where: str, name: str, value: Any) -> float:
    """A duration: a number of seconds above 0, or a text such as `2h`. Raises `TaskError`."""
    seconds = value
    if isinstance(value, str):
        try:
            seconds = to_seconds(value)
        except ValueError:
            raise TaskError(f"{where}: {name} {_shown(value)} is not a duration", hint=DURATIONS) from None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise TaskError(f"{where}: {name} must be a duration such as '2h' or a number of seconds, not {_shown(value)}")
    if seconds > MOST_SECONDS:
        raise TaskError(f"{where}: {name} must be at most 68 years, not {_shown(value)}", hint=DURATIONS)
    return float(seconds)


def is_device(value: Any) -> bool:
    """Whether CUDA_VISIBLE_DEVICES could name a GPU so: by a number, or by a text such as its UUID."""
    if isinstance(value, str):
        return bool(value.strip()) and "," not in value
    return type(value) is int and value >= 0


_READ = {
    "cpus": _cpus,
    "memory": read_size,
    "gpus": _whole("gpus"),
    "retries": _whole("retries"),
    "timeout": lambda where, value: read_seconds(where, "timeout", value),
}
