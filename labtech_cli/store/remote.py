"""Results in a shared folder or an object store, one object each: for places where a database cannot be trusted.

    labtech.json              the version of this layout
    results/ab/KEY.json       a manifest: what is known of one result, its small parts, and where its large
                              ones are. The manifest is the result
    data/ab/KEY.UUID/NAME     the large parts, written before the manifest that names them, never changed
    tasks/ab/KEY.json         what is known of tasks whose result is not kept, or was removed
    documents/ab/DIGEST.json  texts by their digest
    runs/ leases/             who uses the storage, and who computes what (remote_runs, remote_leases)
    journal/ staged/          results that got another identity (remote_moves)
    damaged/                  results that did not match their checksum
    history/                  what happened in each run, where the place is a folder

Order of a commit: data, then manifests. Data without a manifest is rubbish, swept when no other run is
there. An interrupted commit leaves some of its results committed; each of them is whole.
"""

from __future__ import annotations

import json
import os
import weakref
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from labtech_cli.errors import StorageError
from labtech_cli.store import remote_aside
from labtech_cli.store.blobs import Stored
from labtech_cli.store.folder_place import FolderPlace
from labtech_cli.store.links import link_on_the_way
from labtech_cli.store.manifests import SCHEMA, Manifest, is_digest, is_key, place_of
from labtech_cli.store.object_place import ObjectPlace, shown, state_folder
from labtech_cli.store.places import SCHEMES, Place
from labtech_cli.store.records import (
    Aside,
    Claim,
    Journal,
    Move,
    Owner,
    Record,
    Row,
    Timings,
    TypeStats,
    unreadable_row,
)
from labtech_cli.store.remote_commit import Commit
from labtech_cli.store.remote_errors import VERSION, check_version, told
from labtech_cli.store.remote_index import Index
from labtech_cli.store.remote_leases import Leases
from labtech_cli.store.remote_moves import Moves
from labtech_cli.store.remote_remove import as_room_allows, remove
from labtech_cli.store.remote_runs import Runs
from labtech_cli.store.remote_sweep import sweep_data
from labtech_cli.store.storage import Claiming, Storage


class FsspecStorage(Storage):
    """Results at a URL: `file:///shared/folder`, or any other that fsspec knows, such as `s3://bucket/path`.

    `options` go to the file system, such as `endpoint_url=...`. Reading a place that does not exist finds
    nothing and makes nothing.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        scheme, separator, path = url.partition("://")
        folder = separator and scheme in SCHEMES and path
        self._setup(FolderPlace(path) if folder else ObjectPlace(url, options))

    def _setup(self, place: Place) -> None:
        self._place = place
        self._index = Index(place)
        self._runs = Runs(place)
        self._leases = Leases(place, self._runs, self._index)
        self._moves = Moves(place, self._runs, self._leases, self.describe())
        self._checked = False
        self._ready_in = 0
        self._documents: set[str] = set()
        self._farewell: Any = None

    def describe(self) -> str:
        return shown(self.url)

    def history(self) -> Path | None:
        """In the folder itself, unless that is a link; of an object store, in a folder of this machine's user."""
        if isinstance(self._place, FolderPlace):
            root = self._place.root
            return None if link_on_the_way(root, "history") else Path(root) / "history"
        return state_folder(self.describe()) / "history"

    # -- opening and closing ---------------------------------------------------------------------

    def _exists(self) -> bool:
        """Whether there is a storage, of a version that we know."""
        if not self._checked:
            data = self._place.read([VERSION]).get(VERSION)
            if data is None:
                return False
            check_version(self.describe(), data)
            self._checked = True
        return True

    def _open(self) -> None:
        """Make ready to write: registered, and with what dead runs left undone done."""
        if self._ready_in == os.getpid():
            return
        self._leases.forget()
        self._exists()
        self._runs.register()
        if self._farewell is None:
            self._farewell = weakref.finalize(self, _farewell, self._place, self._runs, self._leases)
        if not self._checked:
            self._place.create({VERSION: json.dumps({"program": "labtech", "schema": SCHEMA}).encode()})
            self._exists()
        self._moves.recover()
        self._runs.sweep()
        self._ready_in = os.getpid()

    @told
    def check_writable(self) -> None:
        self._open()
        self._place.now()

    @told
    def spool(self) -> str:
        self._open()
        return self._place.spool(self._runs.register().id)

    def close(self) -> None:
        for step in (self._leases.leave, self._place.close):
            with suppress(Exception):  # what stays is swept by others
                step()
        self._ready_in = 0

    @told
    def exists(self) -> bool:
        return self._exists()

    # -- reading ---------------------------------------------------------------------------------

    def _results(self) -> dict[str, Manifest]:
        return self._index.results.all() if self._exists() else {}

    def _described(self) -> dict[str, Row]:
        return self._index.described() if self._exists() else {}

    @told
    def present(self) -> dict[str, float]:
        return {key: manifest.row.duration for key, manifest in self._results().items()}

    @told
    def incomplete(self, keys: Sequence[str]) -> set[str]:
        return self._index.incomplete(keys) if self._exists() else set()

    @told
    def timings(self) -> Timings:
        rows = self._described().items()
        return Timings.learn((key, row.type, row.duration, row.peak_memory) for key, row in rows)

    @told
    def load(self, keys: Sequence[str]) -> dict[str, Stored]:
        found = self._index.results.some(keys) if self._exists() else {}
        sizes = {part.object: part.size for one in found.values() for part in one.parts or () if part.home}
        paths = self._place.fetch(sizes)
        return {key: manifest.stored(paths) for key, manifest in found.items()}

    @told
    def outlines(self, keys: Sequence[str]) -> dict[str, Stored]:
        found = self._index.results.some(keys) if self._exists() else {}
        return {key: one.stored({}).outline() for key, one in found.items() if one.parts is not None and one.whole}

    @told
    def rows(self, keys: Iterable[str] | None = None) -> Iterator[Row]:
        if keys is None:
            known = sorted([one.row for one in self._results().values()], key=lambda row: row.started_at)
            return iter([*known, *map(unreadable_row, sorted(self._index.results.odd()))])
        wanted = list(keys)
        found = self._index.results.some(wanted) if self._exists() else {}
        return iter([found[key].row for key in wanted if key in found])

    @told
    def described(self) -> dict[str, tuple[str, str | None, str]]:
        return {key: (row.type, row.code_version, row.params) for key, row in self._described().items()}

    @told
    def stats(self) -> list[TypeStats]:
        by: dict[str, list[Row]] = {}
        for manifest in self._results().values():
            by.setdefault(manifest.row.type, []).append(manifest.row)
        return [_totals(kind, rows) for kind, rows in sorted(by.items())]

    @told
    def codes(self) -> dict[tuple[str, str | None], int]:
        return dict(Counter((one.row.type, one.row.code) for one in self._results().values()))

    @told
    def produced_by(self, codes: Collection[str | None]) -> dict[str, str | None]:
        return {key: one.row.code for key, one in self._results().items() if one.row.code in codes}

    @told
    def documents(self, digests: Iterable[str]) -> dict[str, str]:
        names = {place_of("documents", digest): digest for digest in digests if is_digest(digest)}
        found = self._place.read(names) if self._exists() else {}
        return {names[name]: data.decode("utf-8", "surrogatepass") for name, data in found.items()}

    # -- writing ---------------------------------------------------------------------------------

    @told
    def keep(self, documents: Mapping[str, str]) -> None:
        new = {digest: text for digest, text in documents.items() if digest not in self._documents}
        if wrong := [digest for digest in new if not is_digest(digest)]:
            raise StorageError(f"storage '{self.describe()}': '{wrong[0][:80]}' is not a digest")
        if new:
            self._open()
            encoded = {place_of("documents", name): text.encode("utf-8", "surrogatepass") for name, text in new.items()}
            self._place.create(encoded)
            self._documents.update(new)

    @told
    def commit(self, records: Sequence[Record]) -> None:
        self._check_keys([record.key for record in records])
        self._open()
        Commit(self._place, self._runs).write(records)
        with suppress(Exception):  # the results are there; a lease that stays goes when we leave
            self._leases.release([record.key for record in records])

    @told
    def remove(self, keys: Sequence[str]) -> int:
        found = self._index.results.some(keys) if self._exists() else {}
        if found:
            remove(self._place, found, self._open)
        return len(found)

    @told
    def set_aside(self, key: str) -> None:
        if is_key(key) and self._exists() and self._place.read([place_of("results", key)]):
            self._open()
            remote_aside.set_aside(self._place, self._index, key)

    @told
    def aside(self) -> list[Aside]:
        return remote_aside.listed(self._place) if self._exists() else []

    @told
    def discard(self, asides: Iterable[Aside]) -> None:
        with as_room_allows():
            self._open()
        remote_aside.discard(self._place, asides)

    def _check_keys(self, keys: Iterable[str]) -> None:
        for key in keys:
            if not is_key(key):
                raise StorageError(
                    f"storage '{self.describe()}': '{key[:80]}' is not a cache key",
                    hint="a key is 32 digits and letters from a to f",
                )

    # -- other identities ------------------------------------------------------------------------

    @told
    def rewrite(self, moves: Sequence[Move], title: str) -> int:
        self._open()
        return self._moves.rewrite(moves, title)

    @told
    def journal(self) -> list[Journal]:
        return self._moves.journal() if self._exists() else []

    @told
    def undo(self, number: int) -> int:
        if self._exists():
            self._open()
        return self._moves.undo(number)

    # -- other runs ------------------------------------------------------------------------------

    @told
    def enter(self, needs: Collection[str]) -> None:
        self._open()
        self._runs.need(needs)

    @told
    def leave(self) -> None:
        with suppress(Exception):  # it may be that nothing can be written
            if self._runs.owner is None and self._exists() and (self._runs.has_dead() or self._leases.are_left()):
                self._open()
        if self._runs.owner is not None:
            with suppress(Exception):  # rubbish that stays harms nobody
                self._leases.sweep()
                sweep_data(self._place, self._runs, self._index)
                self._runs.sweep()
            self._leases.leave()
            self._place.leave()
            self._ready_in = 0

    @told
    def beat(self) -> None:
        self._open()
        self._runs.beat()
        self._leases.share(now=True)

    @told
    def claiming(self) -> AbstractContextManager[Claiming]:
        self._open()
        claim = self._leases.claiming()
        return nullcontext(lambda key, reuse: self._claimed(claim, key, reuse))

    @told
    def _claimed(self, claim: Claiming, key: str, reuse: bool) -> Claim:
        self._check_keys([key])
        return claim(key, reuse)

    @told
    def release(self, keys: Sequence[str]) -> None:
        self._leases.release(keys)

    @told
    def alone(self) -> bool:
        return not self._exists() or self._leases.alone()

    @told
    def live(self) -> list[Owner]:
        return self._runs.others() if self._exists() else []

    @told
    def needed(self) -> set[str]:
        return self._runs.needed() if self._exists() else set()


def _farewell(place: Place, runs: Runs, leases: Leases) -> None:
    """At the end of the process that registered, not of one that was forked from it."""
    if runs.owner is not None:
        for step in (leases.leave, place.close):
            with suppress(Exception):
                step()


def _totals(kind: str, rows: list[Row]) -> TypeStats:
    began = [row.started_at for row in rows]
    size, seconds = sum([row.size for row in rows]), sum([row.duration for row in rows])
    return TypeStats(kind, len(rows), size, seconds, min(began), max(began))
