"""What a storage without a database lists: manifests and descriptions, read again only when they changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from labtech_cli.store.manifests import Manifest, decode, decode_task, key_of, place_of
from labtech_cli.store.places import Place, Stamp
from labtech_cli.store.records import Row

_BATCH = 500
_GONE = Stamp(-1, "", 0.0)
T = TypeVar("T")


class Folder(Generic[T]):
    """The objects of one folder, one for each key. What is not one of ours is passed over."""

    def __init__(self, place: Place, name: str, decode: Callable[[str, bytes], T], light: Callable[[T], T]) -> None:
        self._place, self._name, self._decode, self._light = place, name, decode, light
        self._known: dict[str, tuple[Stamp, T | None]] = {}

    def all(self) -> dict[str, T]:
        """All of them, without bytes: one listing, and the bytes of those that are new."""
        found = {key: (name, stamp) for name, stamp in self._place.find(self._name).items() if (key := key_of(name))}
        known = self._known
        new = [key for key, (_, stamp) in found.items() if key not in known or known[key][0] != stamp]
        for start in range(0, len(new), _BATCH):
            some = new[start : start + _BATCH]
            data = self._place.read(found[key][0] for key in some)
            for key in some:
                name, stamp = found[key]
                item = self._read(key, data.get(name))
                known[key] = stamp, item if item is None else self._light(item)
        self._known = {key: known[key] for key in found}
        return {key: item for key, (_, item) in self._known.items() if item is not None}

    def odd(self) -> set[str]:
        """Of the last listing, the keys whose objects could not be understood."""
        return {key for key, (_, item) in self._known.items() if item is None}

    def some(self, keys: Iterable[str]) -> dict[str, T]:
        """Those of `keys`, with their bytes, read now."""
        names = {place_of(self._name, key): key for key in keys if key_of(place_of(self._name, key))}
        data = self._place.read(names)
        found = {names[name]: self._read(names[name], data[name]) for name in names if name in data}
        return {key: item for key, item in found.items() if item is not None}

    def _read(self, key: str, data: bytes | None) -> T | None:
        try:
            return None if data is None else self._decode(key, data)
        except ValueError:
            return None


class Index:
    """Results, and the tasks of which no result is kept."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.results: Folder[Manifest] = Folder(place, "results", decode, Manifest.light)
        self.tasks: Folder[Row] = Folder(place, "tasks", decode_task, lambda row: row)

    def incomplete(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` whose manifest or data is not what it was: one listing of the data, where there is any."""
        results = self.results.all()
        found = {key: results[key] for key in keys if key in results}
        wanted = {key: one.parts if one.whole else None for key, one in found.items() if one.parts or not one.whole}
        there = self._place.find("data") if wanted else {}
        return {
            key
            for key, parts in wanted.items()
            if parts is None or any([there.get(part.object, _GONE).size != part.size for part in parts])
        }

    def described(self) -> dict[str, Row]:
        """Every task ever recorded: by what was recorded of it last."""
        found = {key: manifest.row for key, manifest in self.results.all().items()}
        for key, row in self.tasks.all().items():
            if key not in found or row.started_at >= found[key].started_at:
                found[key] = row
        return found
