"""The results that a plan loads, looked at before anything is built on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labtech_cli.core.plan import Action
from labtech_cli.core.present import render
from labtech_cli.errors import DamagedResult
from labtech_cli.prepared import Prepared
from labtech_cli.store.blobs import Stored, verify

if TYPE_CHECKING:
    from labtech_cli.lab import Lab


def verify_inputs(lab: Lab, prepared: Prepared) -> list[str]:
    """Check every result that is to be loaded; what is damaged is set aside, and that and what is gone planned to run.
    What to tell of it. Raises `UntrustedResult`."""
    messages: list[str] = []
    while True:
        graph, before = prepared.plan.graph, len(messages)
        for task, stored in lab.stored([graph.tasks[number] for number in prepared.plan.numbers(Action.LOAD)]):
            if stored is not None:
                lab.trust.check(task._labtech_key, stored)
                if _is_whole(stored) or not _set_aside(lab, task):
                    continue
            prepared.present.pop(task._labtech_key, None)
            what = "is gone" if stored is None else "was damaged: set aside"
            messages.append(f"the result of {render(task, 100)} {what}, computed again")
        if len(messages) == before:
            return messages
        prepared.replan()


def _set_aside(lab: Lab, task: Any) -> bool:
    """Set a damaged result aside, unless another run has put a good one in its place a moment ago."""
    for _, stored in lab.stored([task]):
        if stored is not None and _is_whole(stored):
            return False
        lab.storage.set_aside(task._labtech_key)
    return True


def _is_whole(stored: Stored) -> bool:
    try:
        verify(stored)
    except DamagedResult:
        return False
    return True
