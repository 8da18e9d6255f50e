"""How results come into a storage without a database: data first, manifests last, all of it taken back on an error."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from labtech_cli.store.manifests import Manifest, decode, encode, encode_task, place_of
from labtech_cli.store.places import Place
from labtech_cli.store.records import Record
from labtech_cli.store.remote_runs import Runs


class Commit:
    """One commit: its steps, and what it takes to take them back."""

    def __init__(self, place: Place, runs: Runs) -> None:
        self._place, self._runs = place, runs
        self._old: dict[str, bytes] = {}
        """The manifests that were there, by name."""
        self._new: dict[str, bytes] = {}
        self._files: dict[str, dict[str, str]] = {}
        """The local files to upload, by the name of the manifest and of their object."""

    def write(self, records: Sequence[Record]) -> None:
        """Write the records. Raises what the place raises, after everything was taken back."""
        results = {place_of("results", record.key): record for record in records if record.stored is not None}
        self._old = self._place.read(results)
        there = {name: found for name, data in self._old.items() if (found := _manifest(results[name].key, data))}
        wanted = {name: record for name, record in results.items() if record.replace or name not in there}
        for name, record in wanted.items():
            self._prepare(name, record)
        try:
            self._place.upload(_merged(self._files.values()))
            late = self._place_manifests({name for name, record in wanted.items() if not record.replace})
            self._place.put({place_of("tasks", r.key): encode_task(r) for r in records if r.stored is None})
        except BaseException:
            with suppress(Exception):
                self._take_back()
            raise
        with suppress(Exception):  # the results are there; what stays is swept
            self._tidy(records, [found for name, found in there.items() if name in wanted], late)

    def _prepare(self, name: str, record: Record) -> None:
        assert record.stored is not None
        home = f"data/{record.key[:2]}/{record.key}.{uuid.uuid4().hex}"
        self._new[name] = encode(record, home)
        self._files[name] = {f"{home}/{blob.name}": str(blob.path) for blob in record.stored.blobs if blob.data is None}

    def _place_manifests(self, modest: set[str]) -> set[str]:
        """Write the manifests; those of `modest` that another run has written meanwhile are let be and returned.

        An object that is no manifest is written over: it counts as absent for everybody.
        """
        fresh = modest - set(self._old)
        self._place.put({name: data for name, data in self._new.items() if name not in fresh})
        return fresh - self._place.create({name: self._new[name] for name in fresh})

    def _take_back(self) -> None:
        """Manifests first. Only what this commit wrote: that is what has its bytes."""
        ours = [name for name, data in self._place.read(self._new).items() if data == self._new[name]]
        self._place.put({name: self._old[name] for name in ours if name in self._old})
        self._place.remove([name for name in ours if name not in self._old])
        self._place.withdraw(_merged(self._files.values()))

    def _tidy(self, records: Sequence[Record], replaced: Sequence[Manifest], late: set[str]) -> None:
        """Remove what is no longer needed: local files, data of who came late, and data of results that were
        replaced, unless another run may be using it."""
        parts = [blob for record in records if record.stored for blob in record.stored.blobs]
        spool = self._place.spool(self._runs.register().id) + os.sep if any(blob.path for blob in parts) else ""
        for blob in parts:
            if blob.path and blob.path.startswith(spool):
                with suppress(FileNotFoundError):
                    os.unlink(blob.path)
        self._place.remove([name for one in late for name in self._files[one]])
        data = [name for manifest in replaced for name in manifest.objects]
        if data and not self._runs.others():
            self._place.remove(data)


def _merged(files: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {name: path for some in files for name, path in some.items()}


def _manifest(key: str, data: bytes) -> Manifest | None:
    try:
        return decode(key, data)
    except ValueError:
        return None
