"""Names and links in a storage lead nowhere else: what is removed, moved or written lies inside it.

A storage may come from anybody, so neither the names that it records nor its folders are trusted. The storage
itself may be a link, or lie behind one: that is the choice of who named it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from labtech_cli.errors import StorageError


def link_on_the_way(root: str | Path, name: str) -> str | None:
    """The first step of a relative `name` below `root` that is a link, the last one included."""
    path = str(root)
    for step in name.split("/"):
        path = os.path.join(path, step)
        if os.path.islink(path):
            return path
    return None


def refuse_links(root: str | Path, name: str, where: str) -> None:
    """Raise `StorageError` where a link would lead what is written out of the storage."""
    if (link := link_on_the_way(root, name)) is not None:
        raise StorageError(
            f"storage '{where}': its folder '{os.path.relpath(link, root)}' is a link that leads elsewhere",
            hint="replace the link by the folder, or choose another storage",
        )


def remove_tree(root: str | Path, name: str) -> None:
    """Remove a folder of a storage with all that is in it; where a link is on the way, nothing is touched."""
    if link_on_the_way(root, name) is None:
        shutil.rmtree(os.path.join(root, name), ignore_errors=True)


def entries(root: str | Path, name: str) -> list[str]:
    """The names in a folder of a storage; none where there is no such folder, or a link in its place."""
    if link_on_the_way(root, name) is None:
        with suppress(OSError):
            return os.listdir(os.path.join(root, name))
    return []
