"""What a lab has for its tasks: what it was told, else what the machine has; looked at only when a task asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labtech_cli.core.demands import Totals
from labtech_cli.core.needs import is_device, read_size
from labtech_cli.errors import LabError, did_you_mean
from labtech_cli.run.gauge import resident
from labtech_cli.run.machine import cpu_count, memory_size, visible_gpus

_MOST_IMPORTS = 256 << 20  # what is more than this is data, which no other process loads
_WORKER_BYTES = 8 << 20
_LEAST_PART = 4  # of the memory, that tasks get whatever we take


@dataclass(frozen=True, slots=True)
class Resources:
    """What was said of the machine; None where nothing was."""

    cpus: int | None = None
    memory: int | None = None
    gpus: tuple[str, ...] | None = None
    """Their names, as CUDA_VISIBLE_DEVICES takes them."""
    enforce_memory: bool = False
    """Whether a task that takes more memory than it declared is ended."""

    def devices(self) -> tuple[str, ...]:
        """The GPUs there are; the driver is asked where nobody said."""
        return visible_gpus() if self.gpus is None else self.gpus

    def totals(self, workers: int, gpus: int = 0) -> Totals:
        """What tasks are admitted against. Of the machine's memory, what is left when we have taken ours."""
        cpus = self.cpus or max(workers, cpu_count())
        return Totals(cpus, self.memory or max(self.limit() - _ours(workers), self.limit() // _LEAST_PART), gpus)

    def limit(self) -> int:
        """The bytes of memory beyond which processes are killed."""
        return self.memory or memory_size()


def _ours(workers: int) -> int:
    """About what a run takes besides its tasks: this process, the one that workers come from, which imports the same,
    and of each worker what it cannot share with that."""
    mine = resident(os.getpid())
    return mine + min(mine, _MOST_IMPORTS) + workers * _WORKER_BYTES


def read_resources(options: Mapping[str, Any] | None) -> Resources:
    """`{"cpus": 8, "memory": "16GB", "gpus": [0, 1], "enforce_memory": True}`, checked. Raises `LabError`."""
    if options is not None and not isinstance(options, Mapping):
        raise LabError(f"resources must be a dict, not {type(options).__name__}", hint="write {'memory': '16GB'}")
    said = {name: value for name, value in (options or {}).items() if value is not None}
    for name in said:
        if name not in _READ:
            raise LabError(f"resources: there is no '{name}'", hint=did_you_mean(str(name), _READ))
    return Resources(**{name: _READ[name](value) for name, value in said.items()})


def _cpus(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise LabError(f"resources: cpus must be a whole number of at least 1, not {value!r}")
    return value


def _memory(value: Any) -> int:
    return read_size("resources", value, example="16GB", error=LabError)


def _gpus(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(map(is_device, value)):
        raise LabError(f"resources: gpus must be a list of numbers or UUIDs, not {value!r}", hint="write [0, 1]")
    names = tuple(str(item) for item in value)
    if len(set(names)) < len(names):
        raise LabError(f"resources: gpus names one twice: {value!r}")
    return names


def _enforce(value: Any) -> bool:
    if not isinstance(value, bool):
        raise LabError(f"resources: enforce_memory must be True or False, not {value!r}")
    return value


_READ: dict[str, Callable[[Any], Any]] = {"cpus": _cpus, "memory": _memory, "gpus": _gpus, "enforce_memory": _enforce}
