"""Runners by name. Each is imported when it is chosen."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from labtech_cli.errors import RunnerError, did_you_mean
from labtech_cli.run.runner import Runner, RunnerBackend

NAMES = ("process", "spawn", "fork", "fork-per-task", "thread", "serial")


def make_runner(chosen: Any, tasks: Iterable[Any], zygote: Any = None) -> Runner:
    """A runner for a run of `tasks`: by name, by plug-in, or by what a Lab was given."""
    if isinstance(chosen, Runner):
        return chosen
    if isinstance(chosen, RunnerBackend):
        return chosen.make()
    if isinstance(chosen, type) and issubclass(chosen, Runner):
        return chosen()
    if not isinstance(chosen, str):
        raise RunnerError(f"a runner is a name or a RunnerBackend, not {chosen!r}", hint=f"names: {', '.join(NAMES)}")
    makers: dict[str, Callable[[], Runner]] = {
        "process": lambda: _process(tasks, zygote),
        "spawn": lambda: _pool("spawn", tasks),
        "fork": lambda: _pool("fork", tasks),
        "fork-per-task": lambda: _pool("fork", tasks, single_use=True),
        "thread": _thread,
        "serial": _serial,
    }
    if chosen in makers:
        return makers[chosen]()
    from labtech_cli.plugins import find_plugin

    if ":" not in chosen and not _is_entry_point(chosen):
        raise RunnerError(f"unknown runner '{chosen}'", hint=did_you_mean(chosen, NAMES))
    return make_runner(find_plugin(chosen, built_in={}, group="labtech.runners", what="runner"), tasks)


def _is_entry_point(name: str) -> bool:
    from importlib.metadata import entry_points

    return any(point.name == name for point in entry_points(group="labtech.runners"))


def _process(tasks: Iterable[Any], zygote: Any) -> Runner:
    """The default. Workers come from a clean process that imported the modules; where the tasks are
    defined in a script or notebook, which cannot be imported without running it, from this one."""
    if in_main(tasks):
        if zygote is not None:
            zygote.close()
        return _pool("fork", ())
    if sys.platform != "linux":
        return _pool("spawn", ())  # forking is not safe with the system libraries of macOS
    from labtech_cli.run.pool import ProcessRunner

    return ProcessRunner("zygote", zygote=zygote)


def _pool(method: str, tasks: Iterable[Any], *, single_use: bool = False) -> Runner:
    from labtech_cli.run.pool import ProcessRunner

    if method == "spawn" and in_main(tasks):
        raise RunnerError(
            "the runner 'spawn' cannot import tasks that are defined in a script or notebook",
            hint="move the task types to a module, or use the runner 'fork'",
        )
    return ProcessRunner(method, single_use=single_use)


def _thread() -> Runner:
    from labtech_cli.run.inprocess import ThreadRunner

    return ThreadRunner()


def _serial() -> Runner:
    from labtech_cli.run.inprocess import SerialRunner

    return SerialRunner()


def in_main(tasks: Iterable[Any]) -> bool:
    """Whether any task's type, or an enum in its parameters, lives in `__main__`."""
    kinds = {type(task) for task in tasks}
    return any(kind.__module__ == "__main__" for kind in kinds)
