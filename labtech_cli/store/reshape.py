"""What `cache migrate` is asked to change: names of types, fields, code_version; and what becomes of one task."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labtech_cli.core.codec import present_params, write_params
from labtech_cli.core.rekey import rewritten
from labtech_cli.errors import ConfigError, did_you_mean


@dataclass(frozen=True, slots=True)
class Request:
    """The change that the code has seen, and results are to follow."""

    old: str
    """The full name of a task type or an Enum type; with `.*` at its end, everything in a module."""
    new: str
    set: Mapping[str, Any] = field(default_factory=dict)
    """Values of fields, as `core.codec` encodes them."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Fields, or members of the Enum type, by their old names."""
    drop: Collection[str] = ()
    code_version: tuple[str | None, ...] = ()
    """The one new version, which may be None; empty to leave it."""
    only: Collection[str] | None = None
    """The keys of the tasks of this type that are meant; None for all."""
    enum: bool = False
    """Whether `old` is an Enum type."""

    @property
    def shapes(self) -> bool:
        """Whether fields of the type change, and not its name alone."""
        return not self.enum and bool(self.set or self.rename or self.drop)

    def renamed(self, name: str) -> str:
        """The new name of a type: of the one that is meant, or one inside it; others keep theirs."""
        old, new = self.old.removesuffix(".*"), self.new.removesuffix(".*")
        if name == old or name.startswith(old + "."):
            return new + name[len(old) :]
        return name

    def names(self, name: str) -> bool:
        """Whether a type is meant: by its own name, as a class inside it, or as one of the module."""
        old = self.old.removesuffix(".*")
        return name == self.old or name.startswith(old + ".")

    def selects(self, key: str, kind: str) -> bool:
        """Whether the task itself changes, not only what it refers to."""
        return not self.enum and self.names(kind) and (self.only is None or key in self.only)

    def member(self, kind: str, name: str) -> tuple[str, str]:
        """The new type and name of an Enum member; `A|B` is a combination of flags."""
        if self.enum and kind == self.old:
            name = "|".join([self.rename.get(part, part) for part in name.split("|")])
        return self.renamed(kind), name


class Fields:
    """How the fields of one task type change. Tasks of several shapes may be there: before and after the change.

    A field that is set is added to the tasks that lack it; where every task has it, its value is replaced.
    """

    def __init__(self, request: Request, shapes: Iterable[frozenset[str]]) -> None:
        self._request = request
        after = [self._check(shape) for shape in shapes]
        self._replaced = {name for name in request.set if all(name in shape for shape in after)}

    def _check(self, shape: frozenset[str]) -> set[str]:
        """The fields that a task with these will have. Raises for two of one name."""
        names = [self._request.rename.get(name, name) for name in shape if name not in self._request.drop]
        for old, new in self._request.rename.items():
            if old in shape and names.count(new) > 1:
                raise ConfigError(
                    f"--rename {old}={new}: tasks of '{self._request.old}' have a field '{new}' already",
                    hint=f"drop one of the two: --drop {new}",
                )
        return set(names)

    def change(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The new fields of one task, and what changed, in words."""
        request, told = self._request, []
        after: dict[str, Any] = {}
        for name, value in values.items():
            if name in request.drop:
                told.append(f"{name} dropped")
                continue
            if name in request.rename:
                told.append(f"{name} -> {request.rename[name]}")
            after[request.rename.get(name, name)] = value
        for name, value in request.set.items():
            if name not in after or (name in self._replaced and not _same(after[name], value)):
                told.append(f"{name} = {shown(value)}")
                after[name] = value
        return after, told


def check_fields(request: Request, shapes: Collection[frozenset[str]]) -> None:
    """Raise for a field to be renamed or dropped that no task has, with the nearest one that there is."""
    known = frozenset[str]().union(*shapes)
    named = [("--rename", name) for name in request.rename] + [("--drop", name) for name in request.drop]
    for option, name in named:
        if name not in known:
            raise ConfigError(
                f"{option} {name}: no task of '{request.old}' in the storage has a field '{name}'",
                hint=did_you_mean(name, known),
            )


def _same(one: Any, other: Any) -> bool:
    """Whether two encoded values are the same, typed: `1` is not `1.0`."""
    return write_params({"": one}) == write_params({"": other})


def shown(value: Any) -> str:
    """An encoded value in a few words: enum members by name, tasks by the beginning of their key."""
    if isinstance(value, dict) and "$enum" in value:
        return f"{value['$enum']}.{value['name']}"
    found = present_params(write_params({"": value}), lambda key: f"task:{key[:12]}")[""]
    return json.dumps(found, ensure_ascii=False)


def moved_values(values: Mapping[str, Any], request: Request, keys: Mapping[str, str]) -> dict[str, Any]:
    """Encoded parameters in which tasks are named by their new keys and Enum types by their new names."""
    return {
        name: rewritten(value, lambda key: keys.get(key, key), request.member)
        if isinstance(value, (list, dict))
        else value
        for name, value in values.items()
    }
