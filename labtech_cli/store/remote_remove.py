"""Results leave a storage without a database, also one on a disk that is full: who makes room must not need any."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from labtech_cli.store.manifests import Manifest, encode_task, place_of
from labtech_cli.store.places import Place

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a file system says that has no room."""


@contextmanager
def as_room_allows() -> Iterator[None]:
    """Where the disk is full, what is written inside is let go."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise


def remove(place: Place, found: Mapping[str, Manifest], register: Callable[[], None]) -> None:
    """See `Storage.remove`. The descriptions that stay come first; without room for them, once there is some."""
    known = {place_of("tasks", key): encode_task(one.row) for key, one in found.items()}
    with as_room_allows():
        register()
        place.put(known)
        known = {}
    place.remove([place_of("results", key) for key in found])
    place.remove([name for one in found.values() for name in one.objects])
    if known:
        with as_room_allows():
            register()
            place.put(known)
