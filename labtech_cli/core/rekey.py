"""Cache keys and references found in stored descriptions, without the code of the task types.

A stored description is a type's name, a `code_version`, and the parameters as `core.codec` encodes
them. That says as much as the task itself: the key computed here is the one `core.key` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from labtech_cli.core import key as keys
from labtech_cli.core.codec import Undecodable

UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RecursionError, Undecodable)
"""What reading a description raises that is not as labtech writes them."""
OnTask: TypeAlias = Callable[[str], str]
OnMember: TypeAlias = Callable[[str, str], tuple[str, str]]


def stored_key(type_name: str, code_version: str | None, values: Mapping[str, Any]) -> str:
    """The cache key of a task, from its encoded parameters (see `core.codec.read_params`)."""
    parts: list[bytes] = []
    for name in sorted(values):
        parts += keys.encode_str(name), _digestible(values[name])
    return keys.digest(keys.type_prefix(type_name, code_version), parts)


def _digestible(value: Any) -> bytes:
    """What `core.key.freeze` gives for the value that `value` stands for."""
    atom = keys._ATOMS.get(type(value))
    if atom is not None:
        return atom(value)
    if isinstance(value, list):
        return b"(%d:" % len(value) + b"".join([_digestible(item) for item in value])
    if "$task" in value:
        return b"t" + str(value["$task"]).encode()
    if "$enum" in value:
        return b"e" + keys.encode_str(value["$enum"]) + keys.encode_str(value["name"])
    if "$float" in value:
        return keys._ATOMS[float](float(value["$float"]))
    if "$int" in value:
        return keys._ATOMS[int](int(value["$int"], 16))
    parts = [keys.encode_str(name) + _digestible(item) for name, item in value.get("$dict", value).items()]
    return b"{%d:%b" % (len(parts), b"".join(sorted(parts)))


def rewritten(value: Any, on_task: OnTask, on_member: OnMember) -> Any:
    """Encoded parameters in which tasks and enum members are replaced by what the functions give for them."""
    if isinstance(value, list):
        return [rewritten(item, on_task, on_member) if isinstance(item, (list, dict)) else item for item in value]
    if not isinstance(value, dict):
        return value
    if "$task" in value:
        return {"$task": on_task(value["$task"])}
    if "$enum" in value:
        kind, name = on_member(value["$enum"], value["name"])
        return {"$enum": kind, "name": name}
    if "$float" in value or "$int" in value:
        return value
    if "$dict" in value:
        return {"$dict": {name: rewritten(item, on_task, on_member) for name, item in value["$dict"].items()}}
    return {name: rewritten(item, on_task, on_member) for name, item in value.items()}


def references(values: Mapping[str, Any]) -> tuple[dict[str, None], dict[str, None]]:
    """The keys of the tasks, and the names of the Enum types, in encoded parameters: each once, in order."""
    tasks: dict[str, None] = {}
    enums: dict[str, None] = {}

    def on_task(key: str) -> str:
        tasks[key] = None
        return key

    def on_member(kind: str, name: str) -> tuple[str, str]:
        enums[kind] = None
        return kind, name

    for value in values.values():
        if isinstance(value, (list, dict)):
            rewritten(value, on_task, on_member)
    return tasks, enums
