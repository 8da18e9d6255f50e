"""What a task is given of the machine while it runs: which GPUs, and how many CPUs its libraries may use.

The parent hands shares out; the process that runs the task puts one on before `run()` and takes it off after.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from labtech_cli.core.needs import Needs

DEVICES = "CUDA_VISIBLE_DEVICES"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Share(NamedTuple):
    """None where the task does not say what it needs: then nothing is changed."""

    cpus: float | None
    gpus: tuple[str, ...] | None

    @property
    def threads(self) -> int | None:
        """How many threads a library may start."""
        return None if self.cpus is None else max(1, int(self.cpus))


_NONE = Share(None, None)


class Shares:
    """Hands GPUs out by name, each to one task at a time. That there are enough the schedule sees to."""

    def __init__(self, needs: Mapping[int, Needs], devices: Sequence[str] = ()) -> None:
        self._needs = {number: said for number, said in needs.items() if said.cpus is not None or said.gpus is not None}
        self.devices = tuple(devices)
        self._order = {name: place for place, name in enumerate(devices)}
        self._free = list(devices)
        self._taken: dict[int, tuple[str, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._needs)

    def give(self, number: int) -> Share | None:
        """A share for a task that starts."""
        said = self._needs.get(number)
        if said is None:
            return None
        if said.gpus is None:
            return Share(said.cpus, None)
        chosen, self._free = tuple(self._free[: said.gpus]), self._free[said.gpus :]
        assert len(chosen) == said.gpus, "the schedule let more tasks start than there are GPUs for"
        self._taken[number] = chosen
        return Share(said.cpus, chosen)

    def back(self, number: int) -> None:
        """A task does not run any more, however it ended; nothing happens where it had nothing."""
        if number in self._taken:
            self._free = sorted([*self._free, *self._taken.pop(number)], key=self._order.__getitem__)


class Surroundings:
    """Puts shares on and off in a process that runs one task at a time."""

    def __init__(self) -> None:
        self._limited: int | None = None  # how many threads loaded libraries were last told to use
        self._limiter: Any = None

    @property
    def usual(self) -> bool:
        """Whether nothing is to be done for a task without a share."""
        return self._limited is None

    @contextlib.contextmanager
    def suit(self, share: Share | None) -> Iterator[None]:
        """The environment of one task."""
        share = share or _NONE
        self._limit(share.threads)
        names: dict[str, str] = {} if share.threads is None else dict.fromkeys(THREADS, str(share.threads))
        if share.gpus is not None:
            names[DEVICES] = ",".join(share.gpus)
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(names)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def _limit(self, threads: int | None) -> None:
        """Tell BLAS and OpenMP libraries that are loaded already, where threadpoolctl is installed: they do not look at
        the environment again. It takes a millisecond or two, so it is left as it is while tasks want the same."""
        if threads == self._limited:
            return
        self._limited = threads
        if importlib.util.find_spec("threadpoolctl") is None:
            return
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        if self._limiter is not None:
            self._limiter.restore_original_limits()
            self._limiter = None
        usual = os.environ.get(THREADS[0], "")
        if threads is not None:
            self._limiter = threadpool_limits(limits=threads)
        elif usual.isdigit():  # also for what a task has loaded meanwhile
            threadpool_limits(limits=int(usual))
