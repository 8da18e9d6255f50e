"""Which results of a storage are to go, by age, status, number and size. Removes nothing itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from labtech_cli.store.records import Row


@dataclass(frozen=True, slots=True)
class Rules:
    """What a storage is to be kept to. A result goes when any rule says so, unless `keep_last` keeps it."""

    before: float | None = None
    """Results that were begun before this time go."""
    stale: Collection[str] | None = None
    """The keys of results that are stale: they go."""
    keep_last: int | None = None
    """So many of each type stay, the newest. When it is the only rule, all others go."""
    max_size: int | None = None
    """The oldest go until what stays is no larger, in bytes.

    The oldest, and not the largest or the cheapest: no storage notes when a result was last used, and
    an order that everybody can foretell is worth more than one that is clever.
    """


@dataclass(slots=True)
class Choice:
    """What the rules come to."""

    remove: list[tuple[Row, str]] = field(default_factory=list)
    """The results that go, oldest first, each with the rule that says so."""
    needed: int = 0
    """How many would go if no live run needed them."""
    left: int = 0
    left_bytes: int = 0


def choose(rows: Sequence[Row], rules: Rules, needed: Collection[str]) -> Choice:
    """The results that `rules` say are to go, but for those that live runs need."""
    ordered = sorted(rows, key=lambda row: row.started_at)
    last = _last(ordered, rules.keep_last)
    found, staying = Choice(), []
    for row in ordered:
        rule = None if row.key in last else _rule(row, rules)
        if rule is None or row.key in needed:
            found.needed += rule is not None
            staying.append(row)
        else:
            found.remove.append((row, rule))
    _fit(found, staying, rules.max_size, {*last, *needed}, needed)
    return found


def _rule(row: Row, rules: Rules) -> str | None:
    if rules.stale is not None and row.key in rules.stale:
        return "stale"
    if rules.before is not None and row.started_at < rules.before:
        return "older-than"
    alone = rules.before is None and rules.stale is None and rules.max_size is None
    return "keep-last" if alone and rules.keep_last is not None else None


def _last(ordered: Sequence[Row], many: int | None) -> set[str]:
    """The keys of the newest results of each type."""
    seen: Counter[str] = Counter()
    found = set()
    for row in reversed(ordered) if many else ():
        seen[row.type] += 1
        if seen[row.type] <= (many or 0):
            found.add(row.key)
    return found


def _fit(
    found: Choice, staying: Sequence[Row], most: int | None, kept: Collection[str], needed: Collection[str]
) -> None:
    """Let the oldest of what stays go, too, until the rest fits."""
    found.left, found.left_bytes = len(staying), sum([row.size for row in staying])
    for row in staying:
        if most is None or found.left_bytes <= most:
            return
        if row.key not in kept:
            found.remove.append((row, "max-size"))
            found.left, found.left_bytes = found.left - 1, found.left_bytes - row.size
        else:
            found.needed += row.key in needed
