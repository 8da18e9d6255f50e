"""Runs that share a local storage: who they are, what they compute, what they need, what they left behind.

All of it is rows of the same database, so that a claim and the look whether it is free are one
transaction, and a commit gives back its claims in the same step in which its results appear.

An owner registers when it first writes. Everything it holds names it: leases of tasks, folders in
`litter`, its spool. When its process is gone, whoever notices takes what it held or sweeps it away.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from labtech_cli.errors import StorageError
from labtech_cli.store.database import Database
from labtech_cli.store.links import entries, remove_tree
from labtech_cli.store.listings import SOUND
from labtech_cli.store.owners import Watch, new_owner
from labtech_cli.store.parts import is_home
from labtech_cli.store.records import Claim, Owner
from labtech_cli.store.storage import Claiming

LISTED = "SELECT (SELECT coalesce(max(id), 0) FROM task), (SELECT count(*) FROM task WHERE format IS NOT NULL)"
_NAME = "typeof({0}) = 'text' AND {0} NOT GLOB '*[^!-~]*'"
_SOUND_OWNER = (
    f"{_NAME.format('id')} AND typeof(host) = 'text' AND typeof(pid) = 'integer' AND pid BETWEEN 1 AND 2147483647 "
    "AND typeof(born) = 'text' AND typeof(began) = 'real' AND typeof(beat) = 'integer' AND typeof(needs) = 'blob'"
)
"""What holds of the row of an owner. A row of another kind is nobody's: it counts as dead."""
_SOUND_LITTER = f"{_NAME.format('folder')} AND typeof(since) = 'real' AND (owner IS NULL OR ({_NAME.format('owner')}))"
# As bytes, since text that another program wrote may be none.
_OWNER = f"SELECT id, CAST(host AS BLOB), pid, CAST(born AS BLOB), began, beat FROM owner WHERE {_SOUND_OWNER}"


_left: set[str] = set()
"""Owners that this process was and is no longer, where a full disk kept it from saying so."""


class Ledger:
    """The owners, leases and litter of a storage, as one process sees and changes them."""

    def __init__(self, folder: Path, database: Database) -> None:
        self._folder, self._database = folder, database
        self._watch = Watch()
        self._me: Owner | None = None
        self._pid = 0
        self._quiet = False  # True: nobody else has written since the plan was made
        self._version = -1
        self.listed = (-1, -1)
        """The largest number of a task, and how many results there were, when they were last listed: where these
        are others now, somebody has written in between."""

    # -- this run ---------------------------------------------------------------------------------

    @property
    def registered(self) -> bool:
        """Whether this process is an owner."""
        return self._me is not None and self._pid == os.getpid()

    def me(self) -> Owner:
        """This process as an owner, registered. After a fork it is another one."""
        if self._me is None or self._pid != os.getpid():
            self._me, self._pid = new_owner(), os.getpid()
            with self._database.transaction() as database:
                database.execute("INSERT INTO owner VALUES (?,?,?,?,?,?,?)", (*self._me, b""))
        return self._me

    def enter(self, needs: Collection[str]) -> None:
        """See `Storage.enter`."""
        me = self.me()
        packed = bytes.fromhex("".join(needs))
        with self._database.transaction() as database:
            left = [
                owner for (owner,) in database.execute(f"SELECT id FROM owner WHERE {_SOUND_OWNER}") if owner in _left
            ]
            _forget(database, left)
            database.execute("UPDATE owner SET needs = ? WHERE id = ?", (packed, me.id))
            self._version = _data_version(database)
            found = database.execute(LISTED).fetchone()
            (others,) = database.execute("SELECT count(*) FROM owner WHERE id != ?", (me.id,)).fetchone()
            self._quiet = found == self.listed and not others
        _left.difference_update(left)

    def leave(self, *, stay: bool) -> None:
        """See `Storage.leave`. To `stay` is to remain the owner of a spool that is still read from.

        Where the storage cannot be written to any more (its disk is full), nothing is raised: this comes after
        the work, whose errors were told. What stays held is free when this process leaves again, or ends.
        """
        with suppress(StorageError):
            self._unregister(stay)
            self.sweep()

    def _unregister(self, stay: bool) -> None:
        me = self._me
        if me is None or self._pid != os.getpid():
            return
        if not stay:
            _left.add(me.id)
            self._me = None
        with self._database.transaction() as database:
            _forget(database, [me.id])
            if stay:
                self._me = me._replace(began=time.time())
                database.execute("INSERT INTO owner VALUES (?,?,?,?,?,?,?)", (*self._me, b""))
        _left.discard(me.id)

    def beat(self) -> None:
        """See `Storage.beat`."""
        me = self.me()
        with self._database.transaction() as database:
            database.execute("UPDATE owner SET beat = beat + 1 WHERE id = ?", (me.id,))

    # -- other runs ---------------------------------------------------------------------------------

    def others(self) -> list[Owner]:
        """The other owners that live."""
        mine = self._me.id if self._me is not None and self.registered else ""
        found = [_owner(row) for row in self._database.select(f"{_OWNER} AND id != ?", (mine,))]
        return [owner for owner in found if self._lives(owner)]

    def _lives(self, owner: Owner) -> bool:
        """Whether an owner still works: this process lives, and owners that it was do not."""
        return owner.id not in _left and self._watch.lives(owner)

    def needed(self) -> set[str]:
        """See `Storage.needed`."""
        found: set[str] = set()
        for owner in self.others():
            for (packed,) in self._database.select("SELECT needs FROM owner WHERE id = ?", (owner.id,)):
                found.update(packed[start : start + 16].hex() for start in range(0, len(packed), 16))
        return found

    # -- leases ---------------------------------------------------------------------------------------

    def alone(self) -> bool:
        """See `Storage.alone`."""
        if self._quiet and self._database.writing():
            self._quiet = _data_version(self._database.connect(write=True)) == self._version
        return self._quiet

    @contextmanager
    def claiming(self) -> Iterator[Claiming]:
        """See `Storage.claiming`. One transaction, begun with the first claim: until it ends nobody else writes."""
        me = self.me()
        mine: list[tuple[str, str]] = []
        database: sqlite3.Connection | None = None
        lives: dict[str, bool] = {}
        alone = False

        def claim(key: str, reuse: bool) -> Claim:
            nonlocal database, alone
            if database is None:
                database = self._database.begin()
                alone = self.alone()
            if not alone:
                if reuse and _has_result(database, key):
                    return Claim.DONE
                if self._holder(database, key, lives) not in (None, me.id):
                    return Claim.HELD
            mine.append((key, me.id))
            return Claim.MINE

        try:
            yield claim
            if database is not None:
                with self._database.errors():
                    database.executemany("INSERT OR REPLACE INTO lease VALUES (?, ?)", mine)
                    database.execute("COMMIT")
        finally:
            if database is not None and database.in_transaction:
                database.execute("ROLLBACK")

    def _holder(self, database: sqlite3.Connection, key: str, lives: dict[str, bool]) -> str | None:
        """Who computes a task, if that owner lives; a dead one loses all it held."""
        row = database.execute("SELECT CAST(owner AS BLOB) FROM lease WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        owner = _text(row[0])
        if owner not in lives:
            known = database.execute(f"{_OWNER} AND id = ?", (owner,)).fetchone()
            lives[owner] = known is not None and self._lives(_owner(known))
            if not lives[owner]:
                _forget(database, [owner])
        return owner if lives[owner] else None

    def release(self, keys: Sequence[str]) -> None:
        """See `Storage.release`."""
        me = self.me()
        with self._database.transaction() as database:
            release(database, keys, me.id)

    # -- rubbish ----------------------------------------------------------------------------------------

    def announce(self, folders: Iterable[str]) -> None:
        """Say, before they are made, which folders are rubbish unless a result comes to name them."""
        me = self.me()
        with self._database.transaction() as database:
            litter(database, folders, me.id)

    def sweep(self) -> None:
        """Remove what dead owners left: their leases, spools and folders; and what no result names any more,
        unless somebody who still reads may have been told of it before."""
        if not self._is_littered() or not os.access(self._folder, os.W_OK):
            return
        with self._database.transaction() as database:
            database.execute(f"DELETE FROM owner WHERE NOT ({_SOUND_OWNER})")
            database.execute(f"DELETE FROM litter WHERE NOT ({_SOUND_LITTER})")
            owners = [_owner(row) for row in database.execute(_OWNER)]
            living = {owner.id for owner in owners if self._lives(owner)}
            _forget(database, [owner.id for owner in owners if owner.id not in living])
            oldest = min([owner.began for owner in owners if owner.id in living and owner != self._me], default=None)
            rows = database.execute("SELECT folder, owner, since FROM litter").fetchall()
            rows = [
                (folder, owner, since) for folder, owner, since in rows if _is_rubbish(owner, since, living, oldest)
            ]
            # Under the lock: what the folder is named by cannot change meanwhile.
            for folder, _, _ in rows:
                if is_home(folder):  # any other name is not ours: its row goes, and nothing is touched
                    remove_tree(self._folder, folder)
            database.executemany("DELETE FROM litter WHERE folder = ?", [row[:1] for row in rows])
            self._sweep_spools(living)

    def _is_littered(self) -> bool:
        """Whether there may be something to sweep: a look that writes nothing."""
        rows = self._database.select("SELECT id FROM owner UNION ALL SELECT folder FROM litter")
        return bool(set(rows) - {(self._me.id if self._me else "",)}) or bool(entries(self._folder, "spool"))

    def _sweep_spools(self, living: Collection[str]) -> None:
        for name in entries(self._folder, "spool"):
            if name not in living:
                remove_tree(self._folder, f"spool/{name}")


def _owner(row: Sequence[Any]) -> Owner:
    """What `_OWNER` tells of one owner."""
    number, host, pid, born, began, beat = row
    return Owner(number, _text(host), pid, _text(born), began, beat)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _is_rubbish(owner: str | None, since: float, living: Collection[str], oldest: float | None) -> bool:
    """Whether what is noted as litter can go: its owner is dead, or nobody is left who may be reading it."""
    return (oldest is None or since < oldest) if owner is None else owner not in living


def litter(database: sqlite3.Connection, folders: Iterable[str], owner: str | None) -> None:
    """Note folders to be removed: by their owner's death, or once nobody can be reading them."""
    rows = [(folder, owner, time.time()) for folder in folders]
    database.executemany("INSERT OR REPLACE INTO litter VALUES (?, ?, ?)", rows)


def release(database: sqlite3.Connection, keys: Sequence[str], owner: str) -> None:
    """Take an owner's leases of these tasks away."""
    database.executemany("DELETE FROM lease WHERE key = ? AND owner = ?", [(key, owner) for key in keys])


def _forget(database: sqlite3.Connection, owners: Sequence[str]) -> None:
    """Owners that left or died hold nothing any more; their folders are found by `sweep`."""
    for owner in owners:
        database.execute("DELETE FROM lease WHERE owner = ?", (owner,))
        database.execute("DELETE FROM owner WHERE id = ?", (owner,))


def _has_result(database: sqlite3.Connection, key: str) -> bool:
    query = f"SELECT 1 FROM task WHERE key = ? AND {SOUND}"
    return database.execute(query, (key,)).fetchone() is not None


def _data_version(database: sqlite3.Connection) -> int:
    """Changes whenever another connection commits; costs no look into the file's pages."""
    (version,) = database.execute("PRAGMA data_version").fetchone()
    return int(version)
