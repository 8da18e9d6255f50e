"""Targets made into tasks: `FILE.py:NAME`, `package.module:NAME` or an alias, with `-p` and `--grid`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from labtech_cli.core.task import is_task, is_task_type
from labtech_cli.errors import LabtechError, TargetError, did_you_mean, nearest
from labtech_cli.project.arguments import (
    Assigned,
    Signature,
    argument_sets,
    check_taken,
    read_assigned,
    signature_of,
)
from labtech_cli.project.collect import collect
from labtech_cli.project.modules import ModulePlace, import_target_module, place_of
from labtech_cli.project.offers import Offer, offers
from labtech_cli.project.usercode import blame

__all__ = ["Offer", "Targets", "offers", "resolve_targets"]

MOST_LISTED = 20
_NO_ARGUMENTS = Assigned({}, {})


@dataclass(frozen=True)
class Targets:
    """What the command line named."""

    tasks: list[Any]
    """The distinct tasks, in the order they were first named."""
    names: tuple[str, ...]
    """The targets as they were written."""
    modules: list[ModulePlace]
    """The modules they are from: what a worker has to import."""


def resolve_targets(
    texts: Sequence[str],
    *,
    params: Sequence[str] = (),
    grids: Sequence[str] = (),
    aliases: Mapping[str, str] | None = None,
    base: Path,
    alias_base: Path | None = None,
) -> Targets:
    """The tasks that `texts` name; `params` and `grids` go to every target that takes them.

    Files are relative to `base`, those of `aliases` to `alias_base`. Raises `TargetError`, with a
    `user_traceback` where the user's own code failed.
    """
    assigned = read_assigned(params, grids)
    finder = _Finder(aliases or {}, base, alias_base or base)
    named = {text: finder.find(text) for text in texts}
    check_taken(assigned, {text: item.signature for text, item in named.items()})
    tasks: dict[Any, None] = {}
    for item in named.values():
        tasks.update(dict.fromkeys(item.tasks(assigned, finder.resolve)))
    return Targets(list(tasks), tuple(texts), list(finder.places))


class _Finder:
    """Looks targets up, and remembers which modules they are from."""

    def __init__(self, aliases: Mapping[str, str], base: Path, alias_base: Path) -> None:
        self.aliases, self.base, self.alias_base = aliases, base, alias_base
        self.places: dict[ModulePlace, None] = {}

    def resolve(self, text: str) -> Any:
        """The task, or the list of tasks, that a target given as a parameter's value names."""
        named = self.find(text)
        tasks = named.tasks(_NO_ARGUMENTS, self.resolve)
        return tasks[0] if named.single and len(tasks) == 1 else tasks

    def find(self, text: str) -> _Named:
        """What `text` names. Raises `TargetError` for a wrong module or name."""
        target, base = text, self.base
        if text in self.aliases:
            target, base = self.aliases[text], self.alias_base
        source, colon, name = target.partition(":")
        if not source or ":" in name:
            raise TargetError(f"'{target}' is not a target", hint="write FILE.py:NAME or package.module:NAME")
        module = self._module(source, bool(colon), base)
        place = place_of(module)
        self.places[place] = None
        if not name:
            raise _nothing_named(target, source, module)
        return _Named(text, _look_up(module, source, name, place.folder), place.folder)

    def _module(self, source: str, colon: bool, base: Path) -> ModuleType:
        try:
            return import_target_module(source, base)
        except TargetError as error:
            close = None if colon else nearest(source, self.aliases)
            if close is None:
                raise
            raise TargetError(
                f"there is no target '{source}': {error.message}", hint=f"did you mean the alias '{close}'?"
            ) from None


def _nothing_named(target: str, source: str, module: ModuleType) -> TargetError:
    found = offers(module)
    if not found:
        return TargetError(
            f"'{target}' names no task, and '{source}' offers none",
            hint="make tasks at the top level of the module, or a function that returns them",
        )
    listed = [f"{item.name} ({_kind(item)})" for item in found[:MOST_LISTED]]
    example = next((item for item in reversed(found) if item.kind in ("task", "tasks")), found[-1]).name
    more = f" and {len(found) - MOST_LISTED} more" if len(found) > MOST_LISTED else ""
    return TargetError(
        f"'{target}' names no task; the module offers {', '.join(listed)}{more}",
        hint=f"write one of them after a colon: {source}:{example}",
    )


def _kind(item: Offer) -> str:
    return f"{item.count} tasks" if item.kind == "tasks" and item.count != 1 and item.count else item.kind


def _look_up(module: ModuleType, source: str, name: str, folder: str) -> Any:
    """Follow the dotted `name` from the module."""
    value: Any = module
    walked = ""
    for part in name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise _no_name(module, value, source, walked, part) from None
        except LabtechError as error:
            raise TargetError(f"'{source}:{name}': {error.message}", hint=error.hint) from None
        except BaseException as error:
            raise blame(error, f"'{source}:{name}'", "when it was looked up", folder) from None
        walked = f"{walked}.{part}" if walked else part
    return value


def _no_name(module: ModuleType, value: Any, source: str, walked: str, part: str) -> TargetError:
    if value is module:
        return TargetError(
            f"'{source}' has no '{part}'", hint=did_you_mean(part, [item.name for item in offers(module)])
        )
    public = [item for item in dir(value) if not item.startswith("_")]
    close = nearest(part, public)
    return TargetError(
        f"'{source}:{walked}' has no '{part}'",
        hint=f"did you mean '{close}'?" if close else f"it is of type {type(value).__qualname__}",
    )


class _Named:
    """What one target names: tasks, or something that makes them."""

    def __init__(self, text: str, value: Any, folder: str) -> None:
        self.text, self.value, self.folder = text, value, folder
        self.single = is_task(value) or is_task_type(value)
        self.signature: Signature | None = None
        if isinstance(value, type) and not is_task_type(value):
            raise TargetError(
                f"'{text}' is a class, but not a task type",
                hint="decorate it with @task, or name tasks made of it",
            )
        if callable(value) and not is_task(value):
            self.signature = signature_of(value)

    def tasks(self, assigned: Assigned, resolve: Callable[[str], Any]) -> list[Any]:
        """The tasks, made with the `assigned` parameters it takes; `TargetError` if there are none."""
        found: list[Any] = []
        if self.signature is None:
            found = self._collected(self.value)
        else:
            for arguments in argument_sets(self.text, self.signature, assigned, resolve):
                found.extend(self._collected(self._call(arguments)))
        if not found:
            raise TargetError(f"'{self.text}' gives no tasks", hint="it is empty: name something that holds tasks")
        return found

    def _call(self, arguments: dict[str, Any]) -> Any:
        assert self.signature is not None
        positional = [arguments.pop(name) for name in self.signature.positional if name in arguments]
        try:
            made = self.value(*positional, **arguments)
        except BaseException as error:
            if isinstance(error, LabtechError) and is_task_type(self.value):
                raise TargetError(f"'{self.text}': {error.message}", hint=error.hint) from None
            raise blame(error, f"'{self.text}'", "when it was called", self.folder) from None
        self.single = is_task(made)
        if made is None:
            raise TargetError(f"'{self.text}' returned None, not tasks", hint="return the tasks it makes")
        return made

    def _collected(self, value: Any) -> list[Any]:
        try:
            return collect(value, self.text)
        except TargetError:
            raise
        except BaseException as error:
            raise blame(error, f"'{self.text}'", "while its tasks were listed", self.folder) from None
