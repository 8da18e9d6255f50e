"""Results that get another identity, in a storage without a database: all of them, or none, whatever happens.

    staged/UUID/results/ab/KEY.json   the new manifests (and descriptions in tasks/), before anything changes
    journal/000001.json               what is to be done, how far it is, and who does it

The journal entry decides. Before it is written nothing has happened; once it is, the rewrite is carried
to its end, by its maker or by the next that writes after the maker died: put what is staged into place,
remove what has moved away. Both can be done twice. Data stays where it is: manifests name it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from labtech_cli.errors import StorageError
from labtech_cli.store.manifests import is_key, moved, place_of
from labtech_cli.store.places import Place
from labtech_cli.store.records import Journal, Move, content_of
from labtech_cli.store.remote_leases import JOURNAL, Leases
from labtech_cli.store.remote_runs import Runs

_KINDS = ("results", "tasks")


class Moves:
    """The journal of a storage."""

    def __init__(self, place: Place, runs: Runs, leases: Leases, where: str) -> None:
        self._place, self._runs, self._leases, self._where = place, runs, leases, where

    def journal(self) -> list[Journal]:
        """The rewrites that were done, oldest first."""
        found = []
        for _, entry in sorted(self._entries().items()):
            if entry["state"] != "undoing":
                found.append(_as_journal(entry))
        return found

    def rewrite(self, moves: Sequence[Move], title: str) -> int:
        """See `Storage.rewrite`."""
        with self._alone():
            return self._rewrite(moves, title)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._leases.only(JOURNAL) as alone:
            if not alone:
                raise StorageError(
                    f"storage '{self._where}': another process gives results other identities now",
                    hint="try again when it is done",
                )
            yield

    def _rewrite(self, moves: Sequence[Move], title: str) -> int:
        staged, _ = self._stage(moves)
        before = [asdict(_back(move, old)) for move, old in zip(moves, self._described(moves), strict=True)]
        entry = {"at": time.time(), "title": title, "moves": [asdict(move) for move in moves], "before": before}
        number = max(self._entries(), default=0)
        while True:  # the next number that nobody else takes
            number += 1
            entry |= {"number": number, "state": "begun", "staged": staged, "owner": self._runs.register().id}
            if self._place.create({_name(number): json.dumps(entry).encode()}):
                break
        self._finish(entry)
        return number

    def undo(self, number: int) -> int:
        """See `Storage.undo`."""
        with self._alone():
            return self._undo(number)

    def _undo(self, number: int) -> int:
        entry = self._entries().get(number)
        if entry is None or entry["state"] != "done":
            raise StorageError(
                f"storage '{self._where}' has no rewrite {number} to undo", hint="see which there are in the journal"
            )
        before = _as_journal(entry).before
        contents = [content_of(old.get("parts")) for old in self._described(before)]
        back = [move for move, content in zip(before, contents, strict=True) if move.content in ("", content)]
        staged, count = self._stage(back)
        entry |= {"state": "undoing", "staged": staged, "owner": self._runs.register().id}
        entry["before"] = [asdict(move) for move in back]
        self._write(entry)
        self._finish(entry)
        return count

    def recover(self) -> None:
        """Carry to its end what dead ones began."""
        if not any(self._left_undone()):
            return
        with self._leases.only(JOURNAL) as alone:
            for entry in self._left_undone() if alone else ():
                self._finish(entry)

    def _left_undone(self) -> list[dict[str, Any]]:
        entries = self._entries().values()
        return [one for one in entries if one["state"] != "done" and not self._runs.lives(str(one.get("owner")))]

    # -- steps -----------------------------------------------------------------------------------

    def _stage(self, moves: Sequence[Move]) -> tuple[str, int]:
        """Check the moves and write what they make aside; where that is, and how many results are moved."""
        for key in (key for move in moves for key in (move.key, move.new_key)):
            if not is_key(key):
                raise StorageError(f"storage '{self._where}': '{key[:80]}' is not a key")
        self._check(moves)
        folder = f"staged/{uuid.uuid4().hex}"
        made: dict[str, bytes] = {}
        for kind in _KINDS:
            data = self._place.read([place_of(kind, move.key) for move in moves])
            for move in moves:
                if (old := data.get(place_of(kind, move.key))) is not None:
                    try:
                        made[f"{folder}/{place_of(kind, move.new_key)}"] = moved(old, move, kind)
                    except ValueError:
                        continue  # not a manifest: not a result
        self._place.put(made)
        return folder, len([name for name in made if name.startswith(f"{folder}/results/")])

    def _check(self, moves: Sequence[Move]) -> None:
        leaving = {move.key for move in moves}
        targets = [move.new_key for move in moves]
        there = self._place.read([place_of("results", key) for key in targets if key not in leaving])
        if there or len(set(targets)) < len(targets) or len(leaving) < len(targets):
            raise StorageError(
                f"storage '{self._where}': two results would get the same identity", hint="remove one of them first"
            )
        if needed := self._runs.needed() & (leaving | set(targets)):
            raise StorageError(
                f"storage '{self._where}': a live run needs {len(needed)} of the results", hint="wait until it ends"
            )

    def _described(self, moves: Sequence[Move]) -> list[dict[str, Any]]:
        """What the tasks that are moved are called now."""
        found: dict[str, dict[str, Any]] = {}
        for kind in ("tasks", "results"):
            for data in self._place.read([place_of(kind, move.key) for move in moves]).values():
                try:
                    document = json.loads(data)
                    found[document["key"]] = document
                except (ValueError, TypeError, KeyError):
                    continue
        return [found.get(move.key, {}) for move in moves]

    def _finish(self, entry: dict[str, Any]) -> None:
        """What is staged goes into place, what has moved away goes. May be done again after any interruption."""
        journal = _as_journal(entry)
        moves = journal.before if entry["state"] == "undoing" else journal.moves
        folder = str(entry["staged"])
        targets = {place_of(kind, move.new_key) for kind in _KINDS for move in moves}
        staged = self._place.read([f"{folder}/{name}" for name in targets])
        self._place.put({name[len(folder) + 1 :]: data for name, data in staged.items()})
        self._place.remove([n for kind in _KINDS for move in moves if (n := place_of(kind, move.key)) not in targets])
        if entry["state"] == "undoing":
            self._place.remove([_name(journal.number)])
        else:
            self._write(entry | {"state": "done"})
        self._place.remove(staged)

    def _write(self, entry: dict[str, Any]) -> None:
        self._place.put({_name(entry["number"]): json.dumps(entry).encode()})

    def _entries(self) -> dict[int, dict[str, Any]]:
        """The journal by number; what is not an entry of ours is passed over."""
        found = {}
        for name, data in self._place.read(self._place.find("journal")).items():
            try:
                entry = json.loads(data)
                if name == _name(entry["number"]) and entry["state"] in ("begun", "done", "undoing"):
                    _as_journal(entry)
                    if str(entry["staged"]).removeprefix("staged/").isalnum():
                        found[entry["number"]] = entry
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
        return found


def _as_journal(entry: dict[str, Any]) -> Journal:
    moves, before = (tuple(Move(**move) for move in entry[name]) for name in ("moves", "before"))
    if not all(is_key(key) for move in moves + before for key in (move.key, move.new_key)):
        raise ValueError("not keys")
    return Journal(int(entry["number"]), float(entry["at"]), str(entry["title"]), moves, before)


def _back(move: Move, old: dict[str, Any]) -> Move:
    """The move that leads back."""
    kind, params = old.get("type", move.type), old.get("params", move.params)
    code, signature, content = old.get("code"), old.get("signature", ""), content_of(old.get("parts"))
    return Move(move.new_key, move.key, kind, old.get("code_version"), params, code, signature, content)


def _name(number: int) -> str:
    return f"journal/{number:06d}.json"
