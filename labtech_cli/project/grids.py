"""`--grid name=1,5,10`: one text made into several values of a parameter."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from labtech_cli.errors import TargetError
from labtech_cli.project.annotations import kind_of, plain
from labtech_cli.project.literals import toml_value
from labtech_cli.project.values import Resolve, convert

MOST_IN_RANGE = 1_000_000
_RANGE = re.compile(r"([+-]?\d+)\.\.([+-]?\d+)(?:\.\.([+-]?\d+))?")


def expand_grid(text: str, annotation: Any, resolve_target: Resolve, *, name: str = "value") -> list[Any]:
    """The values that `text` gives a parameter called `name`, in order. Raises `TargetError`.

    Values are separated by commas, except in brackets and quotes; `1..10` and `1..10..2` stand for
    whole numbers, both ends included; a target that names several tasks stands for each of them.
    """
    values: list[Any] = []
    for part in split(text, name):
        for item in _range(part, name):
            values.extend(_values(item, annotation, resolve_target, name))
    return values


def _values(part: str, annotation: Any, resolve: Resolve, name: str) -> list[Any]:
    kind = kind_of(plain(annotation))
    if kind == "str" and part[:1] in ('"', "'"):
        quoted = toml_value(part)
        return [quoted if isinstance(quoted, str) else part]
    if kind != "task":
        return [convert(part, annotation, resolve, name=name)]
    found = resolve(part)
    tasks = found if isinstance(found, list) else [found]
    return [convert(part, annotation, partial(_already, task), name=name) for task in tasks]


def _already(task: Any, text: str) -> Any:
    return task


def split(text: str, name: str) -> list[str]:
    """The parts of `text` between commas that are not in brackets or quotes."""
    parts: list[str] = []
    start, depth, quote = 0, 0, ""
    for position, char in enumerate(text):
        if quote:
            if char == quote and text[position - 1] != "\\":
                quote = ""
        elif char in "\"'" and (depth or not text[start:position].strip()):
            quote = char
        elif char in "[{(":
            depth += 1
        elif char in "]})":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    parts.append(text[start:].strip())
    if quote or depth:
        raise TargetError(
            f"--grid {name}: a {'quote' if quote else 'bracket'} in '{text}' has no partner",
            hint='write a value that holds one in quotes: "..."',
        )
    if "" in parts:
        raise TargetError(f"--grid {name}: there is an empty value in '{text}'", hint='write the empty string as ""')
    return parts


def _range(part: str, name: str) -> list[str]:
    """The texts that a part stands for: the numbers of a range, else itself."""
    found = _RANGE.fullmatch(part)
    if found is None:
        return [part]
    first, last = int(found[1]), int(found[2])
    step = int(found[3]) if found[3] else 1
    numbers = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
    if not numbers:
        hint = f"write {first}..{last}..-1 to count down" if last < first else "the step must lead to the end"
        raise TargetError(f"--grid {name}: the range '{part}' is empty", hint=hint)
    if len(numbers) > MOST_IN_RANGE:
        raise TargetError(
            f"--grid {name}: the range '{part}' has {len(numbers):,} values",
            hint=f"at most {MOST_IN_RANGE:,} are allowed",
        )
    return [str(number) for number in numbers]
