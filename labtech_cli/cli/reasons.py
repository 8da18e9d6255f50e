"""The reason for each action of a plan in words; the storage is asked once, and only for tasks that would run."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from labtech_cli.cli.differing import difference_text
from labtech_cli.core.plan import Action, Why
from labtech_cli.lab import Lab
from labtech_cli.prepared import Prepared
from labtech_cli.recorded import describe
from labtech_cli.store.nearest import Descriptions, Versionless, differences


class Reasons:
    """Puts reasons into words."""

    def __init__(self, lab: Lab, prepared: Prepared) -> None:
        self._lab, self._prepared = lab, prepared

    def __call__(self, number: int) -> str:
        """The reason for what a run does with a task of the plan."""
        plan = self._prepared.plan
        key, why = plan.graph.tasks[number]._labtech_key, plan.whys[number]
        if why is Why.NOT_CACHED:
            return self._absent(key)
        changed = why is Why.CODE_CHANGED or (why is Why.CACHED and self._lab.on_code_change != "ignore")
        if changed and key in self._prepared.staleness.stale:
            what = f"code changed: {describe(self._prepared.staleness.causes(key), kinds=False)}"
            return what if why is Why.CODE_CHANGED else f"{why.value}, {what}"
        return str(why.value)

    def _absent(self, key: str) -> str:
        """Why there is no result."""
        if key in self._described:
            return "result damaged" if key in self._prepared.damaged or key in self._aside else "result removed"
        name = self._names.name(key) if self._by_name else ""
        if name not in self._by_name:
            return Why.NOT_CACHED.value
        first, *more = differences(self._known, self._by_name[name], key)
        return difference_text(first, self._known) + (f" and {len(more)} more" if more else "")

    @cached_property
    def _described(self) -> dict[str, tuple[str, str | None, str]]:
        return self._lab.storage.described()

    @cached_property
    def _aside(self) -> set[str]:
        return {item.key for item in self._lab.storage.aside()}

    @cached_property
    def _known(self) -> Descriptions:
        graph = self._prepared.plan.graph
        return Descriptions(self._described, lambda key: graph.tasks[graph.index[key]] if key in graph.index else None)

    @cached_property
    def _names(self) -> Versionless:
        return Versionless(self._known)

    @cached_property
    def _by_name(self) -> dict[str, str]:
        """The results of the types that run, by what they would be called without versions; the last one counts.

        Only where some task was recorded with another version than its type has now: else none can match.
        """
        plan = self._prepared.plan
        kinds = {type(task).__labtech__ for task in plan.graph.tasks}
        versions = {kind.name: kind.code_version for kind in kinds}
        if all(kind not in versions or versions[kind] == version for kind, version, _ in self._described.values()):
            return {}
        running: set[Any] = {type(plan.graph.tasks[number]).__labtech__.name for number in plan.numbers(Action.RUN)}
        return {
            self._names.name(key): key
            for key, (kind, version, params) in self._described.items()
            if kind in running and key in self._prepared.present and (version != versions[kind] or '"$task"' in params)
        }
