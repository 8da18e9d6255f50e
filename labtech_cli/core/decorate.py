"""`@task`: makes a class a task type, or says why it cannot be one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, dataclass_transform, overload

from labtech_cli.core import key as keys
from labtech_cli.core.needs import METHOD, Needs, read_needs
from labtech_cli.core.task import DEFAULT_CACHE, Task, TaskType
from labtech_cli.errors import TaskError, did_you_mean
from labtech_cli.names import canonical_module

C = TypeVar("C", bound=type)

_API: Final = tuple(
    name
    for name in Task.__dict__
    if name not in ("__module__", "__dict__", "__weakref__", "__doc__", "__orig_bases__", "__parameters__")
    and not name.startswith("__annot")
    and name not in ("__static_attributes__", "__firstlineno__")
)
RESERVED: Final = frozenset(_API) - {"__repr__"}
"""Names a task type must not define: tasks have them already."""
_MEANT: Final = {"__post_init__": "name it post_init", "__init__": "declare parameters as fields instead"}


@overload
@dataclass_transform(frozen_default=True, eq_default=True, order_default=True, field_specifiers=(dataclasses.field,))
def task(cls: C, /) -> C: ...
@overload
@dataclass_transform(frozen_default=True, eq_default=True, order_default=True, field_specifiers=(dataclasses.field,))
def task(
    *,
    cache: Any = ...,
    code_version: str | None = None,
    max_parallel: int | None = None,
    mlflow_run: bool = False,
    cpus: float | None = None,
    memory: str | int | None = None,
    gpus: int | None = None,
    retries: int | None = None,
    timeout: str | float | None = None,
) -> Callable[[C], C]: ...
@dataclass_transform(frozen_default=True, eq_default=True, order_default=True, field_specifiers=(dataclasses.field,))
def task(cls: Any = None, /, **options: Any) -> Any:
    """Make a class with a `run()` method a task type; its annotated fields are the parameters.

    - `cache`: a cache format such as `JoblibCache()`, or None to keep no result beyond the run.
    - `code_version`: change it when the code changed so that old results no longer count.
    - `max_parallel`: how many tasks of this type may run at a time.
    - `mlflow_run`: record each execution as one MLflow run.
    - `cpus`, `memory` (bytes, or a size such as `'4GB'`), `gpus`: what one task needs; no more tasks run at a time than
      the machine has room for. A method `resources(self)` may compute these, and the next two, from the parameters.
    - `retries`: how often a failed task is run again; `timeout` (seconds, or `'2h'`): how long an attempt may take.

    Raises `TaskError` for a class that cannot be a task type.
    """
    if cls is None:
        return lambda decorated: _make_type(decorated, **options)
    if options or not isinstance(cls, type):
        raise TaskError("@task decorates a class", hint="write @task or @task(option=value) above a class")
    return _make_type(cls)


def _make_type(
    cls: Any,
    *,
    cache: Any = DEFAULT_CACHE,
    code_version: str | None = None,
    max_parallel: int | None = None,
    mlflow_run: bool = False,
    **others: Any,
) -> Any:
    where = f"task type '{getattr(cls, '__qualname__', cls)}'"
    known = ("cache", "code_version", "max_parallel", "mlflow_run", *Needs._fields)
    for name in others:
        if name not in known:
            raise TaskError(f"{where}: @task has no option '{name}'", hint=did_you_mean(name, known))
    _check_class(cls, where)
    _check_options(where, cache, code_version, max_parallel, mlflow_run)
    for name in _API:
        if name != "__repr__" or not _defines(cls, "__repr__"):
            setattr(cls, name, Task.__dict__[name])
    cls._labtech_deps, cls._labtech_height, cls._labtech_version = (), 0, code_version
    try:
        dataclass(frozen=True, eq=False, repr=False)(cls)
    except (TypeError, ValueError) as error:
        raise TaskError(f"{where}: {error}", hint="declare parameters as dataclass fields") from None
    parameters = tuple(item.name for item in dataclasses.fields(cls))
    for extra in set(cls.__init__.__annotations__) - {*parameters, "return"}:
        raise TaskError(f"{where}: '{extra}' is an InitVar, of which nothing is kept", hint="make it a field")
    name = f"{canonical_module(cls.__module__)}.{cls.__qualname__}"
    cls.__labtech__ = TaskType(
        cls=cls,
        name=name,
        label=cls.__qualname__,
        code_version=code_version,
        cache=cache,
        max_parallel=max_parallel,
        mlflow_run=mlflow_run,
        parameters=parameters,
        encoded_names=tuple((item, keys.encode_str(item)) for item in sorted(parameters)),
        prefix=keys.type_prefix(name, code_version),
        post_init=callable(getattr(cls, "post_init", None)),
        keeps_nothing=cache is None or bool(getattr(cache, "keeps_nothing", False)),
        needs=read_needs(where, others),
        computes_needs=METHOD not in parameters and callable(getattr(cls, METHOD, None)),
    )
    return cls


def _check_class(cls: Any, where: str) -> None:
    if not isinstance(cls, type):
        raise TaskError(f"@task decorates a class, not {type(cls).__name__}", hint="put it above a class")
    if "<locals>" in cls.__qualname__:
        raise TaskError(
            f"{where} is defined inside a function, where workers and caches cannot find it",
            hint="move the class to the top level of a module",
        )
    for base in cls.__mro__[:-1]:
        if base is Task or base is Generic or "__labtech__" in base.__dict__ or base.__dict__.get("_is_protocol"):
            continue
        own = set(base.__dict__) | set(base.__dict__.get("__annotations__", {}))
        for name in sorted(own):
            taken = name in RESERVED or name.startswith("_labtech") or (name == "__init__" and base is cls)
            if taken and not (name == "__hash__" and base.__dict__[name] is None):
                raise TaskError(
                    f"{where}: '{name}' is reserved"
                    + (f" (defined in {base.__qualname__})" if base is not cls else ""),
                    hint=_MEANT.get(name, "choose another name: every task has this attribute already"),
                )
    run = next((base.__dict__["run"] for base in cls.__mro__ if "run" in base.__dict__ and not _stub(base)), None)
    if not callable(run):
        raise TaskError(f"{where} has no run() method", hint="define run(self), which returns the result")


def _stub(base: type) -> bool:
    """Whether methods of `base` only describe: it is a Protocol."""
    return bool(base.__dict__.get("_is_protocol"))


def _check_options(where: str, cache: Any, version: Any, max_parallel: Any, mlflow_run: Any) -> None:
    if version is not None and not isinstance(version, str):
        raise TaskError(
            f"{where}: code_version must be a string, not {version!r}", hint=f"write code_version='{version}'"
        )
    if max_parallel is not None and (type(max_parallel) is not int or max_parallel < 1):
        raise TaskError(f"{where}: max_parallel must be a whole number of at least 1, not {max_parallel!r}")
    if not isinstance(mlflow_run, bool):
        raise TaskError(f"{where}: mlflow_run must be True or False, not {mlflow_run!r}")
    if isinstance(cache, type):
        raise TaskError(f"{where}: cache must be an instance, not a class", hint=f"write cache={cache.__name__}()")
    if cache is not None and cache is not DEFAULT_CACHE and not hasattr(cache, "save_result"):
        raise TaskError(f"{where}: cache must be a cache format or None, not {cache!r}")


def _defines(cls: type, name: str) -> bool:
    """Whether the class or a base of the user's own (not `Task`, not object) defines `name`."""
    return any(name in base.__dict__ for base in cls.__mro__[:-1] if base is not Task and not _is_ours(base, name))


def _is_ours(base: type, name: str) -> bool:
    return base.__dict__.get(name) is Task.__dict__[name]
