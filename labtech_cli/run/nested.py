"""Processes that tasks start: joblib's shared by the tasks of one process without harm, and all ended after them.

Joblib has one pool for a whole process, and threads that use it at the same time break it: one finds it half
made, two that want different numbers of workers wait for each other for ever, and when a job of one raises,
the jobs of the others are killed with it. So in threads that run tasks, parallel calls take turns. Nothing
is lost by that: however many callers, the pool is as large as the last one wants it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from labtech_cli.run import ending, family
from labtech_cli.run.family import adopt_orphans, children, end_children, is_tracker
from labtech_cli.run.watcher import Watcher
from labtech_cli.run.worker import here

_MODULE = "joblib.parallel"


class Turns:
    """A lock for threads that may be taken again by the thread that has it, and given back by any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owner: int | None = None
        self._depth = 0

    def take(self) -> int:
        """Wait for the turn; what to give back with."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._owner in (None, me))
            self._owner, self._depth = me, self._depth + 1
        return me

    def give(self, owner: int, *, all_of_it: bool = False) -> None:
        """Give back what `owner` took, once or as often as it took it."""
        with self._changed:
            if self._owner == owner:
                self._depth = 0 if all_of_it else self._depth - 1
                if not self._depth:
                    self._owner = None
                    self._changed.notify()


_turns = Turns()


def take_turns() -> None:
    """From now on, parallel calls of tasks in several threads take turns. Outside tasks, joblib is as it was."""
    if _MODULE in sys.modules:
        _register()
    elif not any(isinstance(finder, _Awaited) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Awaited())


def end_turn() -> None:
    """The task of this thread is over: a generator of results that it left unread holds nobody up."""
    _turns.give(threading.get_ident(), all_of_it=True)


def joblib_pool() -> Any:
    """Joblib's pool of this process, if there is one."""
    return getattr(sys.modules.get("joblib.externals.loky.reusable_executor"), "_executor", None)


def close_joblib_pool(keep: Any = None) -> None:
    """End the pool if a task left one, other than `keep`: it would hang this process's exit."""
    executor = joblib_pool()
    if executor is not None and executor is not keep:
        executor.shutdown(wait=True, kill_workers=True)


class Leftovers:
    """What tasks that run in this very process leave running, from when this is made.

    In a notebook or script only joblib's pool: other processes may be the user's own.
    """

    def __init__(self) -> None:
        self._pool_before = joblib_pool()
        if family.own_process:
            ending.tasks_ran_here = True
            adopt_orphans()
            self._before = set(children())
            self._watcher = Watcher(self._before)
            self._before.update(filter(None, [self._watcher.pid]))

    def end(self) -> None:
        """End them."""
        close_joblib_pool(self._pool_before)
        if family.own_process:
            end_children(lambda pid: pid not in self._before and not is_tracker(pid), reap=False)
            self._watcher.close()


class _Awaited(MetaPathFinder):
    """Sees joblib being imported, and then changes it before anybody uses it: importing it costs 0.1 s."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            loader = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _register()

            loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _register() -> None:
    from joblib.parallel import BACKENDS, register_parallel_backend

    if not hasattr(BACKENDS["loky"], "_turn"):
        register_parallel_backend("loky", _in_turn(BACKENDS["loky"]))


def _in_turn(base: Any) -> Any:
    """Joblib's backend of processes, with a call's use of the pool between taking the turn and giving it back."""

    class LokyBackend(base):  # type: ignore[misc]
        _turn: int | None = None

        def configure(self, *arguments: Any, **options: Any) -> Any:
            if self._turn is None and getattr(here, "in_task", False):
                self._turn = _turns.take()
            try:
                return super().configure(*arguments, **options)
            except BaseException:  # also where joblib falls back to another backend
                self._give()
                raise

        def terminate(self) -> None:
            try:
                super().terminate()
            finally:
                self._give()

        def _give(self) -> None:
            if self._turn is not None:
                turn, self._turn = self._turn, None
                _turns.give(turn)

    return LokyBackend
