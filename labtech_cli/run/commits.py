"""Saving what arrived: all in one transaction; where that fails, each alone, so that only its own task fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labtech_cli.core.codec import encode_params
from labtech_cli.core.events import Failure
from labtech_cli.core.graph import Graph
from labtech_cli.errors import LabtechError
from labtech_cli.run.claims import Claims
from labtech_cli.run.worker import Outcome
from labtech_cli.store.records import Record
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import Storage


@dataclass(slots=True)
class Commits:
    """Puts the results of one run into its storage."""

    graph: Graph
    storage: Storage
    claims: Claims
    replaces: Sequence[int]
    made: Callable[[], tuple[Sequence[str], str | None]]
    trust: Trust

    def save(self, ended: list[Outcome], keep_going: bool) -> list[int]:
        """Save results; those that cannot be saved become failures in `ended`. Of the others, unless it is to go on,
        those are left out and named that need not be tried: one error tells it all, and they run another time."""
        done = [outcome for outcome in ended if outcome.failure is None]
        if not done:
            return []
        kept = any(not type(self.graph.tasks[outcome.number]).__labtech__.keeps_nothing for outcome in done)
        codes, origin = self.made() if kept else ((), None)
        records = [(outcome, self._record(outcome, codes, origin)) for outcome in done]
        try:
            self._commit(records)
        except LabtechError as error:
            if len(records) == 1:
                _fail(ended, records[0][0], error)
                return []
            return self._save_each(ended, records, keep_going)
        return []

    def _save_each(
        self, ended: list[Outcome], records: Sequence[tuple[Outcome, Record]], keep_going: bool
    ) -> list[int]:
        full, left = False, []
        for outcome, record in records:
            if full and not keep_going:
                ended.remove(outcome)
                left.append(outcome.number)
                continue
            try:
                self._commit([(outcome, record)])
            except LabtechError as error:
                _fail(ended, outcome, error)
                full = True
        return left

    def _commit(self, records: Sequence[tuple[Outcome, Record]]) -> None:
        self.storage.commit([record for _, record in records])
        self.claims.committed([outcome.number for outcome, _ in records])

    def _record(self, outcome: Outcome, codes: Sequence[str], origin: str | None) -> Record:
        task = self.graph.tasks[outcome.number]
        kind = type(task).__labtech__
        stored = None if kind.keeps_nothing else outcome.stored
        code = None
        if stored is not None:
            code = codes[outcome.number]
            stored = self.trust.sign(task._labtech_key, stored)
        return Record(
            task._labtech_key,
            kind.name,
            task._labtech_version,
            outcome.params or encode_params(task),
            outcome.duration,
            outcome.started_at,
            stored,
            bool(self.replaces[outcome.number]),
            outcome.peak_memory,
            code,
            origin if stored is not None else None,
        )


def _fail(ended: list[Outcome], outcome: Outcome, error: LabtechError) -> None:
    failure = Failure(type(error).__name__, f"the result could not be saved: {error}", final=True)
    ended[ended.index(outcome)] = outcome._replace(failure=failure, stored=None)
