"""Damaged results of a local storage: set aside, listed, discarded.

damaged/KEY.xx/     the parts of one of them
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from labtech_cli.store.blobs import Stored, digest
from labtech_cli.store.links import entries, refuse_links
from labtech_cli.store.parts import folder_size
from labtech_cli.store.records import Aside
from labtech_cli.store.seals import UNTRUSTED

DAMAGED = "damaged"
_PLAIN = re.compile(r"[0-9A-Za-z_-]{1,64}")


def set_aside(root: Path, key: str, stored: Stored) -> None:
    """Move the parts of a result, as far as they are there, to where they harm nobody."""
    refuse_links(root, DAMAGED, str(root))
    name = key if _PLAIN.fullmatch(key) else digest(key.encode("utf-8", "surrogatepass"))  # it names a folder
    folder = root / DAMAGED / f"{name}.{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    for blob in stored.blobs:
        if blob is UNTRUSTED:
            continue
        if blob.data is not None:
            (folder / blob.name).write_bytes(blob.data)
        elif os.path.exists(str(blob.path)):
            os.replace(str(blob.path), folder / blob.name)


def listed(root: Path) -> list[Aside]:
    """See `Storage.aside`."""
    places = [root / DAMAGED / name for name in entries(root, DAMAGED)]
    found = [place for place in places if place.is_dir() and not place.is_symlink()]
    return [Aside(place.name, place.stat().st_mtime, folder_size(str(place))) for place in found]


def discard(root: Path, asides: Iterable[Aside]) -> None:
    """See `Storage.discard`."""
    refuse_links(root, DAMAGED, str(root))
    for item in asides:
        shutil.rmtree(root / DAMAGED / os.path.basename(item.name))
