"""`--shard K/N`: the part of the targets that one machine of several plans or runs."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from labtech_cli.core.plan import Policy
    from labtech_cli.core.shard import Shard
    from labtech_cli.lab import Lab
    from labtech_cli.prepared import Prepared
    from labtech_cli.project.targets import Targets

ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="K/N", help="Only the K-th of N parts of the targets: the same on every machine."),
]


def read_shard(text: str | None) -> Shard | None:
    """The shard that the option asks for."""
    if text is None:
        return None
    from labtech_cli.core.shard import parse_shard

    return parse_shard(text)


def prepare(
    lab: Lab, found: Targets, policy: Policy, shard: Shard | None, *, look: bool = False
) -> tuple[Targets, Prepared]:
    """The targets that are this shard's, and their plan (see `Lab.prepare`); says on stderr which part that is."""
    if shard is None:
        return found, lab.prepare(found.tasks, policy, look=look)
    prepared = lab.prepare(found.tasks, policy)
    from labtech_cli.core.shard import split_targets

    graph = prepared.plan.graph
    split = split_targets(prepared.plan, prepared.seconds, shard.of)
    chosen = {number for number, one in zip(graph.targets, split.shards, strict=True) if one == shard.number - 1}
    mine = [task for task in found.tasks if graph.index[task.cache_key] in chosen]
    _tell(shard, len(mine), len(found.tasks), split.seconds[shard.number - 1] if prepared.known else 0.0, split.code)
    return dataclasses.replace(found, tasks=mine), lab.prepare(mine, policy, look=look)


def _tell(shard: Shard, mine: int, of: int, seconds: float, code: str) -> None:
    from labtech_cli.report.words import count, rough

    if mine:
        text = f"{mine:,} of {count(of, 'target')}" + (f", about {rough(seconds)} of work" if seconds >= 1 else "")
    else:
        text = f"nothing to do: {count(of, 'target')} went to other shards"
    print(f"shard {shard}: {text}; all shards of this split say {code}", file=sys.stderr)
