"""Damaged results of a storage without a database: set aside, listed, discarded.

damaged/KEY.xx/     the manifest and the data of one of them
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from labtech_cli.store.manifests import encode_task, place_of
from labtech_cli.store.places import Place
from labtech_cli.store.records import Aside
from labtech_cli.store.remote_index import Index


def set_aside(place: Place, index: Index, key: str) -> None:
    """See `Storage.set_aside`. What can be read of the task's description stays."""
    found = index.results.some([key]).get(key)
    folder = f"damaged/{key}.{uuid.uuid4().hex[:8]}"
    if found is not None:
        place.put({place_of("tasks", key): encode_task(found.row)})
        place.put({f"{folder}/{part.name}": part.data for part in found.parts or () if part.data is not None})
    place.move(place_of("results", key), f"{folder}/{key}.json")
    for part in (found.parts or ()) if found else ():
        if part.home:
            place.move(part.object, f"{folder}/{part.name}")


def listed(place: Place) -> list[Aside]:
    """See `Storage.aside`."""
    found: dict[str, Aside] = {}
    for name, stamp in place.find("damaged").items():
        folder = name.split("/")[1]
        before = found.get(folder, Aside(folder, 0.0, 0))
        found[folder] = Aside(folder, max(before.at, stamp.time), before.size + stamp.size)
    return list(found.values())


def discard(place: Place, asides: Iterable[Aside]) -> None:
    """See `Storage.discard`."""
    names = {item.name for item in asides}
    place.remove([name for name in place.find("damaged") if name.split("/")[1] in names])
