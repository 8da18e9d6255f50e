"""Task types before and after a change of their definition, and tasks of the old ones made again by the new."""

from __future__ import annotations

from enum import Enum
from typing import Any

from frozendict import frozendict

from labtech_cli import task
from labtech_cli.core.order import dependencies_first


class Kind(Enum):
    SMALL = 1
    LARGE = 2


class Size(Enum):
    TINY = 1
    LARGE = 2


@task
class Train:
    lr: Any = 0.1
    note: Any = None

    def run(self) -> None: ...


@task(code_version="v2")
class Fit:
    """`Train` with another name, `lr` renamed to `rate`, without `note`, and with `momentum`."""

    rate: Any = 0.1
    momentum: Any = 0.9

    def run(self) -> None: ...


@task
class Report:
    parts: Any = ()

    def run(self) -> None: ...


@task(cache=None)
class Loose:
    part: Any = None

    def run(self) -> None: ...


@task
class Grown:
    n: int
    extra: int = 5

    def run(self) -> None: ...


def again(made: Any, replace: Any) -> Any:
    """`made` with every task and enum member in it replaced by what `replace` makes of them; no recursion over tasks.

    `replace(value, values)` gets a task with its new parameters, or an enum member and None.
    """
    new: dict[str, Any] = {}

    def value(old: Any) -> Any:
        if isinstance(old, tuple):
            return tuple(value(item) for item in old)
        if isinstance(old, (dict, frozendict)):
            return {name: value(item) for name, item in old.items()}
        if isinstance(old, Enum):
            return replace(old, None)
        return new[old.cache_key] if hasattr(old, "cache_key") else old

    for item in dependencies_first([made]):
        values = {name: value(getattr(item, name)) for name in type(item).__labtech__.parameters}
        new[item.cache_key] = replace(item, values)
    return new[made.cache_key]
