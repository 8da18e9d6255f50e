"""Tasks made again from what a storage records of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from labtech_cli.core.codec import Undecodable, decode_params
from labtech_cli.core.key import find_member
from labtech_cli.core.task import is_task_type, restore, type_of
from labtech_cli.names import canonical_module


class Restorer:
    """Tasks from their recorded descriptions, for types whose modules are imported."""

    def __init__(self, described: Mapping[str, tuple[str, str | None, str]]) -> None:
        self._described = described
        self._made: dict[str, Any] = {}

    def tasks(self, keys: Sequence[str]) -> list[Any]:
        """The tasks of `keys` that can be made; those whose types or fields are gone are left out."""
        found = []
        for key in keys:
            for step in self._order(key):
                if step not in self._made:
                    self._made[step] = self._make(step)
            if self._made.get(key) is not None:
                found.append(self._made[key])
        return found

    def _order(self, key: str) -> list[str]:
        """`key` and the tasks in its parameters, those first, without recursion."""
        order: list[str] = []
        stack = [(key, False)]
        while stack:
            item, expanded = stack.pop()
            if item in self._made or item not in self._described:
                continue
            if expanded:
                order.append(item)
                continue
            stack.append((item, True))
            inner: list[str] = []
            decode_params(self._described[item][2], inner.append, lambda kind, name: None)
            stack.extend((other, False) for other in inner)
        return order

    def _make(self, key: str) -> Any:
        name, version, params = self._described[key]
        cls = find_class(name)
        if cls is None or not is_task_type(cls):
            return None
        try:
            values = decode_params(params, self._nested, _find_member)
            made = restore(cls, version, None, [values[name] for name in type_of(cls).parameters])
        except (Undecodable, KeyError):
            return None
        return made if made._labtech_key == key else None

    def _nested(self, key: str) -> Any:
        made = self._made.get(key)
        if made is None:
            raise Undecodable(key)
        return made


def find_class(name: str) -> Any:
    """A class by module and qualified name, among modules that are imported already."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:cut])
        module = sys.modules.get(module_name)
        if canonical_module("__main__") == module_name:
            module = sys.modules["__main__"]
        if module is not None:
            found: Any = module
            for part in parts[cut:]:
                found = getattr(found, part, None)
            if found is not None:
                return found
    return None


def _find_member(kind: str, name: str) -> Any:
    found = find_class(kind)
    try:
        return find_member(found, name)
    except (KeyError, TypeError, AttributeError):
        raise Undecodable(f"{kind}.{name}") from None
