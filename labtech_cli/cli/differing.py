"""Differences of tasks in words and as JSON: `lr 0.1 -> 0.01`, `classifier: RFTask -> LRTask`."""

from __future__ import annotations

from typing import Any

from labtech_cli.cli.catalogue import short
from labtech_cli.core.codec import present_params, write_params
from labtech_cli.core.present import json_int
from labtech_cli.store.nearest import Descriptions, Difference

_LONGEST = 80


def difference_text(item: Difference, known: Descriptions) -> str:
    """A difference in a few words."""
    if item.kind == "code_version":
        return f"{item.path} {item.before or 'none'} -> {item.after or 'none'}"
    if item.kind == "type":
        before, after = _type_names(item.before, item.after)
        return f"{item.path}: {before} -> {after}" if item.path else f"{before} -> {after}"
    if item.kind == "task":
        return f"{item.path or 'the task'}: {item.before[:12]} -> {item.after[:12]} (not described)"
    if item.kind == "added":
        return f"{item.path} added: {value_text(item.after, known)}"
    if item.kind == "removed":
        return f"{item.path} removed: {value_text(item.before, known)}"
    return f"{item.path} {value_text(item.before, known)} -> {value_text(item.after, known)}"


def difference_json(item: Difference, known: Descriptions) -> dict[str, Any]:
    """A difference as documented: values as JSON has parameters."""
    row: dict[str, Any] = {"path": item.path, "kind": item.kind, "before": item.before, "after": item.after}
    if item.kind in ("value", "added", "removed"):
        row["before"], row["after"] = (_json(value, known) for value in (item.before, item.after))
    return {**row, "text": difference_text(item, known)}


def task_text(key: str, known: Descriptions) -> str:
    """A task by its description: `Train(lr=0.1, fit=Fit(…))`."""
    found = known(key)
    if found is None:
        return f"task {key}"
    return f"{short(found[0])}({', '.join(f'{name}={value_text(value, known)}' for name, value in found[2].items())})"


def value_text(value: Any, known: Descriptions) -> str:
    """An encoded value as Python writes it, in short: a task by its type, an enum member by its name."""
    text = _text(value, known)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _text(value: Any, known: Descriptions) -> str:
    if isinstance(value, list):
        return f"[{', '.join([_text(item, known) for item in value])}]"
    if not isinstance(value, dict):
        return repr(value)
    if "$task" in value:
        found = known(value["$task"])
        return f"{short(found[0])}(…)" if found else f"task {value['$task'][:12]}"
    if "$enum" in value:
        return f"{short(value['$enum'])}.{value['name']}"
    if "$float" in value:
        return str(value["$float"])
    if "$int" in value:
        return str(json_int(int(value["$int"], 16)))
    inner = [f"{name!r}: {_text(item, known)}" for name, item in value.get("$dict", value).items()]
    return "{" + ", ".join(inner) + "}"


def _json(value: Any, known: Descriptions) -> Any:
    def inline(key: str) -> dict[str, Any]:
        found = known(key)
        return {"type": short(found[0]) if found else "unknown", "key": key}

    return present_params(write_params({"": value}), inline)[""]


def _type_names(before: str, after: str) -> tuple[str, str]:
    """Without their modules, where that tells them apart."""
    return (before, after) if short(before) == short(after) else (short(before), short(after))
