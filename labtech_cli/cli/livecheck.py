"""Whether migrated descriptions are those of the code as it is now: they make live tasks with the same keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from labtech_cli.cli.catalogue import module_of, types_of
from labtech_cli.core.codec import read_params
from labtech_cli.errors import did_you_mean, nearest
from labtech_cli.report.words import count
from labtech_cli.store.migrate import Change, Described
from labtech_cli.store.restore import Restorer


def check_code(described: Described, changes: Sequence[Change], modules: Sequence[ModuleType]) -> tuple[str, list[str]]:
    """A line that says how many of the tasks the code would make, and those that say what is wrong with the others."""
    after = dict(described)
    for change in changes:
        after.pop(change.move.key, None)
    after.update({item.move.new_key: (item.move.type, item.move.code_version, item.move.params) for item in changes})
    made = Restorer(after).tasks([change.move.new_key for change in changes])
    types = types_of(modules)
    wrong: list[str] = []
    seen: set[tuple[str, str | None, frozenset[str]]] = set()
    for change in changes:
        fields = frozenset(read_params(change.move.params))
        what = change.move.type, change.move.code_version, fields
        if what not in seen:
            seen.add(what)
            wrong += _differences(*what, types, {module.__name__ for module in modules})
    return f"{len(made):,} of {count(len(changes), 'task')} would be found by the code as it is", wrong


def _differences(
    name: str, version: str | None, fields: frozenset[str], types: dict[str, Any], modules: set[str]
) -> Iterator[str]:
    """How tasks of one type and shape differ from the class."""
    kind = types.get(name)
    if kind is None:
        if module_of(name) in modules:
            yield f"there is no task type '{name}'; {did_you_mean(name, types)}"
        return
    extra = sorted(fields - set(kind.parameters))
    missing = [field for field in kind.parameters if field not in fields]
    for field in extra:
        close = nearest(field, missing)
        hint = f"--rename {field}={close}" if close else f"--drop {field}, or --rename it"
        yield f"{kind.label} has no field '{field}'; add {hint}"
    for field in missing:
        yield f"{kind.label} has a field '{field}', and the tasks have none; add --set {field}=VALUE"
    if version != kind.code_version:
        has, now = version or "none", kind.code_version or "none"
        option = f"--code-version {kind.code_version}" if kind.code_version else "--no-code-version"
        yield f"the code_version of {kind.label} is {now}, that of the tasks {has}; add {option}"
