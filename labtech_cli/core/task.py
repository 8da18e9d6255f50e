"""What a task is: a frozen value, made by a class that `@task` (see `core.decorate`) made a task type.

A task's identity is its cache key, a digest of its type, `code_version` and parameters, computed
once, at construction, from the keys of the tasks it holds. Equality, hash and order follow from it,
so none of them ever walks the graph of dependencies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from labtech_cli.core import key as keys
from labtech_cli.core import order
from labtech_cli.core.flat import pack, unpack
from labtech_cli.core.needs import NOTHING, Needs
from labtech_cli.core.present import render
from labtech_cli.errors import TaskError

R = TypeVar("R", covariant=True)
_set = object.__setattr__


class _Default:
    """The default of `@task(cache=...)`: whatever the store's default cache format is."""

    def __repr__(self) -> str:
        return "default"


DEFAULT_CACHE: Final = _Default()
NATIVE_PICKLE_HEIGHT = 40  # nested tasks deeper than this are pickled as a flat list: no recursion


@dataclass(frozen=True, slots=True)
class ResultMeta:
    """When a result was computed and how long that took."""

    start: datetime
    duration: timedelta


class Scope(Protocol):
    """Where tasks find results, their metadata and the context: a worker, or the lab after a run."""

    def result(self, task: Any) -> Any: ...
    def result_meta(self, task: Any) -> ResultMeta: ...
    def context(self, task: Any) -> Any: ...


@dataclass(frozen=True, slots=True, eq=False)
class TaskType:
    """What `@task` knows of a class."""

    cls: type
    name: str
    """Module and qualified name, the same wherever the module was started from."""
    label: str
    """The qualified name alone, for people."""
    code_version: str | None
    cache: Any
    """`DEFAULT_CACHE`, None, or a cache format."""
    max_parallel: int | None
    mlflow_run: bool
    parameters: tuple[str, ...]
    encoded_names: tuple[tuple[str, bytes], ...]
    prefix: bytes
    post_init: bool
    keeps_nothing: bool
    """Whether results of this type are never kept beyond a run (`cache=None` or `NullCache()`)."""
    needs: Needs = NOTHING
    """What each task of this type needs of the machine, where it does not say otherwise."""
    computes_needs: bool = False
    """Whether tasks say themselves what they need (`needs_of`)."""


class Task(Generic[R]):
    """What every task has. `@task` gives a class these members; to inherit from `Task[ResultType]`
    as well is optional and tells type checkers what `.result` is."""

    _labtech_key: str
    _labtech_deps: tuple[Any, ...]
    _labtech_height: int
    _labtech_version: str | None = None
    _labtech_scope: Scope | None = None
    _labtech_skip_init = False

    def __post_init__(self) -> None:
        _finish(self)

    @property
    def cache_key(self) -> str:
        """The string that identifies this task's result in a storage."""
        return self._labtech_key

    @property
    def code_version(self) -> str | None:
        """The version of the code this task stands for; older than the current one for old results."""
        return self._labtech_version

    @property
    def current_code_version(self) -> str | None:
        """The `code_version` its task type has now."""
        return type_of(self).code_version

    @property
    def result(self) -> R:
        """The result, where it is available: in a dependent's `run()`, or after a run."""
        if self._labtech_scope is None:
            raise TaskError(
                f"the result of {render(self, 100)} is not available here",
                hint="get it with lab.run_task(task), or make the task a parameter of the task that needs it",
            )
        return cast("R", self._labtech_scope.result(self))

    @property
    def result_meta(self) -> ResultMeta:
        """When the result was computed and how long it took."""
        if self._labtech_scope is None:
            raise TaskError(
                f"{render(self, 100)} has no result metadata here",
                hint="run the task, or take it from lab.cached_tasks(), first",
            )
        return self._labtech_scope.result_meta(self)

    @property
    def context(self) -> Any:
        """The lab's context, as `filter_context` leaves it: values that do not change results."""
        if self._labtech_scope is None:
            raise TaskError(
                f"{render(self, 100)} has no context here", hint="the context is there while run() executes"
            )
        return self._labtech_scope.context(self)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if is_task(other):
            return bool(self._labtech_key == cast("Any", other)._labtech_key)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._labtech_key)

    def __lt__(self, other: Any) -> bool:
        return order.compare(self, other) < 0 if is_task(other) else NotImplemented

    def __le__(self, other: Any) -> bool:
        return order.compare(self, other) <= 0 if is_task(other) else NotImplemented

    def __gt__(self, other: Any) -> bool:
        return order.compare(self, other) > 0 if is_task(other) else NotImplemented

    def __ge__(self, other: Any) -> bool:
        return order.compare(self, other) >= 0 if is_task(other) else NotImplemented

    def __repr__(self) -> str:
        return render(self)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: object) -> Any:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._labtech_height <= NATIVE_PICKLE_HEIGHT:
            kind = type_of(self)
            values = tuple([getattr(self, name) for name in kind.parameters])
            return restore, (kind.cls, self._labtech_version, self._labtech_key, values)
        return _unflatten, (_flatten(self),)


def type_of(value: Any) -> TaskType:
    """The task type of a task or of a decorated class. Raises `TaskError` for anything else."""
    cls = value if isinstance(value, type) else type(value)
    kind = cls.__dict__.get("__labtech__")
    if kind is None:
        raise TaskError(_not_a_type(cls))
    return cast("TaskType", kind)


def is_task(value: object) -> bool:
    """Whether `value` is a task."""
    return "__labtech__" in type(value).__dict__


def is_task_type(value: object) -> bool:
    """Whether `value` is a class decorated with `@task`."""
    return isinstance(value, type) and "__labtech__" in value.__dict__


def attach(task: Any, scope: Scope | None) -> None:
    """Give `task` a place to find its result and context."""
    _set(task, "_labtech_scope", scope)


def restore(
    cls: type, code_version: str | None, key: str | None, values: Iterable[Any], nested: list[Any] | None = None
) -> Any:
    """A task from its frozen parameter values; `key` saves the digest where it is known already, `nested`, the tasks
    in the values in order, the search for them.

    `post_init` runs again for the other attributes it may set, but the parameters keep their values:
    they went through it when the task was made, and its identity follows from them.
    """
    kind = type_of(cls)
    made: Any = object.__new__(cls)
    kept = tuple(values)
    _set_parameters(made, kind, kept)
    if code_version != kind.code_version:
        _set(made, "_labtech_version", code_version)
    if kind.post_init:
        made.post_init()
        _set_parameters(made, kind, kept)
    if key is None:
        _seal(made, kind)
        return made
    _set(made, "_labtech_key", key)
    if nested is None:
        nested = []
        for value in kept:
            if type(value) not in keys._ATOMS:
                keys.freeze(value, nested)
    _set_dependencies(made, nested)
    return made


def _finish(made: Any) -> None:
    """Freeze the parameters of a new task, let its `post_init` see and change them, and compute its key."""
    kind = type_of(made)
    if kind.post_init:
        for name in kind.parameters:
            if hasattr(made, name):  # else post_init is to set it
                _set(made, name, keys.encode_fields(kind.label, name, getattr(made, name), [])[0])
        made.post_init()
    _seal(made, kind)


def _set_parameters(made: Any, kind: TaskType, values: tuple[Any, ...]) -> None:
    for name, value in zip(kind.parameters, values, strict=True):
        _set(made, name, value)


def _seal(made: Any, kind: TaskType) -> None:
    """Freeze the parameters and give the task its key and dependencies."""
    version = made._labtech_version
    prefix = kind.prefix if version == kind.code_version else keys.type_prefix(kind.name, version)
    parts: list[bytes] = []
    found: list[Any] = []
    for name, encoded in kind.encoded_names:
        try:
            value = getattr(made, name)
        except AttributeError:
            raise TaskError(f"{kind.label}: parameter '{name}' has no value", hint="give the field a default") from None
        frozen, part = keys.encode_fields(kind.label, name, value, found)
        if frozen is not value:
            _set(made, name, frozen)
        parts.append(encoded)
        parts.append(part)
    _set(made, "_labtech_key", keys.digest(prefix, parts))
    _set_dependencies(made, found)


def _set_dependencies(made: Any, found: list[Any]) -> None:
    if not found:
        return  # the class says: no dependencies, height 0
    distinct = tuple({item._labtech_key: item for item in found}.values())
    _set(made, "_labtech_deps", distinct)
    _set(made, "_labtech_height", 1 + max([item._labtech_height for item in distinct]))


def _flatten(task: Any) -> list[tuple[Any, ...]]:
    """`task` and all it depends on as rows, dependencies first, that hold no nested tasks."""
    positions: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    for item in order.dependencies_first([task]):
        positions[item._labtech_key] = len(rows)
        kind = type_of(item)
        values, nested = pack([getattr(item, name) for name in kind.parameters])
        refs = [positions[found._labtech_key] for found in nested]
        rows.append((kind.cls, item._labtech_version, item._labtech_key, values, refs))
    return rows


def _unflatten(rows: list[tuple[Any, ...]]) -> Any:
    made: list[Any] = []
    for cls, version, key, values, refs in rows:
        made.append(restore(cls, version, key, unpack(values, [made[ref] for ref in refs])))
    return made[-1]


def _not_a_type(cls: type) -> str:
    parent = next((base for base in cls.__mro__[1:] if "__labtech__" in base.__dict__), None)
    if parent is not None:
        return (
            f"class '{cls.__qualname__}' extends the task type '{parent.__qualname__}' but is not decorated with @task"
        )
    return f"'{cls.__qualname__}' is not a task type: decorate it with @task"
