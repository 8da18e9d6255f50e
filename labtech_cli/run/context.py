"""The context: values handed to every task that do not change results.

A value is given as it is or by a loader, `"module:attribute"`, which a process imports and calls at
most once, when a task first asks for the key.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labtech_cli.errors import LabError, TaskError, did_you_mean
from labtech_cli.plugins import load_attribute
from labtech_cli.store.blobs import Stored
from labtech_cli.store.formats import load_value, save_value


@dataclass(slots=True)
class ContextSpec:
    """A context that can be sent to a worker."""

    values: dict[str, Any] = field(default_factory=dict)
    loaders: dict[str, str] = field(default_factory=dict)
    """`"module:attribute"`: a function without arguments, or a value."""
    packed: dict[str, Stored] = field(default_factory=dict)
    """Values written down for workers that do not share this process's memory."""

    def pack(self, spool: str) -> ContextSpec:
        """The same context for workers elsewhere: values are pickled, large arrays into mapped files."""
        packed = {}
        for name, value in self.values.items():
            try:
                packed[name] = save_value(value, spool)
            except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
                raise LabError(
                    f"the context value '{name}' cannot be sent to worker processes: {error}",
                    hint="give it by a loader in [context.loaders], or use the runner 'fork' or 'thread'",
                ) from None
        return ContextSpec({}, self.loaders, packed)


class Context(Mapping[str, Any]):
    """What `self.context` is in a task: a read-only mapping that loads what is asked for."""

    def __init__(self, spec: ContextSpec, base: Path | None = None) -> None:
        self._spec = spec
        self._loaded: dict[str, Any] = dict(spec.values)
        self._names = list(dict.fromkeys([*spec.values, *spec.packed, *spec.loaders]))
        self._lock = threading.RLock()

    def __getitem__(self, name: str) -> Any:
        try:
            return self._loaded[name]
        except KeyError:
            return self._load(name)

    def _load(self, name: str) -> Any:
        with self._lock:
            if name in self._loaded:
                return self._loaded[name]
            if name in self._spec.packed:
                value = load_value(self._spec.packed[name])
            elif name in self._spec.loaders:
                found = load_attribute(self._spec.loaders[name], what=f"context loader '{name}'")
                value = found() if callable(found) else found
            else:
                raise MissingContext(name, self._names)
            self._loaded[name] = value
            return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __repr__(self) -> str:
        return f"Context({', '.join(self._names)})"


class MissingContext(TaskError, KeyError):
    """A task asked for a context value that there is none of."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"the context has no value '{name}'", hint=did_you_mean(str(name), known))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return TaskError, (self.message,)
