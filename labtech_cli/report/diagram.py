"""The task types behind some tasks as a Mermaid class diagram: parameters, results, dependencies.

Each distinct task is looked at once, in a loop, so shared and deep dependencies cost nothing extra.
Text that is not plain becomes Mermaid entity codes (`#34;`), so no name or annotation can break out.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from frozendict import frozendict

from labtech_cli.core.task import TaskType, is_task, type_of
from labtech_cli.errors import ConfigError, TaskError, did_you_mean
from labtech_cli.report.annotations import parameter_text, result_text

DIRECTIONS: Final = ("BT", "TB", "LR", "RL")
# fmt: off
_KEYWORDS: Final = frozenset((
    "call", "callback", "class", "classDef", "click", "cssClass", "default", "direction", "end", "href",
    "link", "namespace", "note", "style", "title",
))
# fmt: on


@dataclass(frozen=True, slots=True)
class Linked:
    """A task type in a diagram and the types its parameters hold."""

    kind: TaskType
    links: dict[str, dict[str, bool]]
    """Parameter -> names of the types of its tasks -> whether they come through a collection."""


def build_task_diagram(tasks: Iterable[Any], *, direction: str = "BT") -> str:
    """The Mermaid class diagram of all task types reachable from `tasks`, without a code fence.

    Raises `ConfigError` for a direction other than BT, TB, LR and RL.
    """
    if direction not in DIRECTIONS:
        hint = did_you_mean(str(direction), DIRECTIONS)
        raise ConfigError(f"a diagram cannot have the direction {direction!r}", hint=hint)
    found = survey(tasks)
    labels = _labels([item.kind for item in found.values()])
    ids = _ids(labels)
    classes = [_class_block(item.kind, ids[name], labels[name]) for name, item in found.items()]
    relations = ["\n".join(_relations(item, ids)) for item in found.values()]
    blocks = [f"classDiagram\n    direction {direction}", *classes]
    return "\n\n\n".join(filter(None, ["\n\n".join(blocks), "\n\n".join(filter(None, relations))]))


def display_task_diagram(tasks: Iterable[Any], *, direction: str = "BT") -> None:
    """Show the diagram of `tasks` in a notebook; print its text anywhere else."""
    text = build_task_diagram(tasks, direction=direction)
    if not _in_notebook():
        print(text)
        return
    from IPython.display import Markdown, display

    display(Markdown(f"```mermaid\n{text}\n```"))


def survey(tasks: Iterable[Any]) -> dict[str, Linked]:
    """The task types reachable from `tasks`, breadth first, by name."""
    queue = list(dict.fromkeys(_checked([tasks] if is_task(tasks) else tasks)))
    seen = {item.cache_key for item in queue}
    found: dict[str, Linked] = {}
    for item in queue:  # grows as it goes
        kind = type_of(item)
        links = found.setdefault(kind.name, Linked(kind, {})).links
        for name in kind.parameters:
            members = links.setdefault(name, {})
            for held, many in _held(getattr(item, name)) if item._labtech_deps else ():
                member = type_of(held).name
                members[member] = members.get(member, False) or many
                if held.cache_key not in seen:
                    seen.add(held.cache_key)
                    queue.append(held)
    return found


def _checked(tasks: Iterable[Any]) -> Iterator[Any]:
    for item in tasks:
        if not is_task(item):
            raise TaskError(f"a diagram is made of tasks, not of {type(item).__name__}", hint="pass a list of tasks")
        yield item


def _held(value: Any) -> Iterator[tuple[Any, bool]]:
    """The tasks in a parameter's value, in order, and whether they are inside a collection."""
    stack = [value]
    while stack:
        item = stack.pop()
        if is_task(item):
            yield item, item is not value
        elif isinstance(item, tuple):
            stack.extend(reversed(item))
        elif isinstance(item, frozendict):
            stack.extend(reversed([*item.values()]))


def _class_block(kind: TaskType, ident: str, label: str) -> str:
    title = ident if ident == label else f'{ident}["{_escaped(label)}"]'
    members = [f"{_escaped(parameter_text(kind, name))} {_escaped(name)}" for name in kind.parameters]
    members.append(f"run() {_escaped(result_text(kind))}".rstrip())
    return "\n".join([f"    class {title}", *(f"    {ident} : {member}" for member in members)])


def _relations(item: Linked, ids: Mapping[str, str]) -> Iterator[str]:
    for field, members in item.links.items():
        for member, many in members.items():
            amount = '"many" ' if many else ""
            yield f"    {ids[item.kind.name]} <-- {amount}{ids[member]}: {_escaped(field)}"


def _labels(kinds: list[TaskType]) -> dict[str, str]:
    """What each type is called by people: with its module only where two share a name."""
    uses = Counter(kind.label for kind in kinds)
    return {kind.name: kind.label if uses[kind.label] == 1 else kind.name for kind in kinds}


def _ids(labels: Mapping[str, str]) -> dict[str, str]:
    """A distinct Mermaid identifier for each type: its label, wherever that is one already."""
    wanted = {name: re.sub(r"\W", "_", label) for name, label in labels.items()}
    ids: dict[str, str] = {}
    taken = set(_KEYWORDS)
    for name in sorted(labels, key=lambda name: (wanted[name] != labels[name], name)):
        ids[name] = wanted[name]
        while ids[name] in taken:
            ids[name] += "_"
        taken.add(ids[name])
    return ids


def _escaped(text: str) -> str:
    """Letters, digits and the punctuation of plain annotations; the rest as Mermaid entity codes."""
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return "".join(char if char.isalnum() or char in " _[],.|" else f"#{ord(char)};" for char in text)


def _in_notebook() -> bool:
    """Whether IPython can show more than text: not in its terminal shell."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and type(shell).__name__ != "TerminalInteractiveShell"
