"""How the row of a result names its parts: small ones are bytes beside it, large ones files in a folder of its own.

The text has a line per part: name, size, checksum and, for a file, the folder `results/ab/KEY.xx`. Its last line is the
seal; texts that an older labtech wrote have none.
"""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path
from typing import Any

from labtech_cli.errors import CacheError, DamagedResult
from labtech_cli.store.blobs import Blob, Stored, check_name
from labtech_cli.store.links import link_on_the_way
from labtech_cli.store.seals import UNTRUSTED, seal, unsealed

_HOME = re.compile(r"results/[^/\0.]{1,2}/[^/\0.][^/\0]{0,64}")


def new_home(key: str) -> str:
    """A folder for the large parts of one result: a rerun gets another one, so that readers are not disturbed."""
    return f"results/{key[:2]}/{key}.{uuid.uuid4().hex[:8]}"


def write_parts(stored: Stored, home: str) -> tuple[str, bytes]:
    """The text that describes the parts, and the bytes of the small ones."""
    blobs = stored.blobs
    inline = b"".join([blob.data for blob in blobs if blob.data is not None])
    lines = [f"{blob.name}\t{blob.size}\t{blob.digest}\t{home if blob.data is None else ''}" for blob in blobs]
    return "\n".join([*lines, seal(stored)]), inline


def read_parts(folder: Path, parts: str, data: bytes) -> tuple[tuple[Blob, ...], str]:
    """The parts, and the seal where there is one. Raises `DamagedResult`, `CacheError` or ValueError where the text
    names anything else."""
    found = []
    position = 0
    lines = parts.split("\n")
    sealed = "" if "\t" in lines[-1] else lines.pop()
    for line in lines:
        name, size, digest, home = line.split("\t")
        check_name(name)
        if not home:
            found.append(Blob(name, int(size), digest, data[position : position + int(size)], None))
            position += int(size)
        elif is_home(home):
            found.append(Blob(name, int(size), digest, None, _inside(folder, home, name)))
        else:
            raise DamagedResult(f"the storage names a folder outside its results: {home!r}")
    return tuple(found), sealed


def read_stored(folder: Path, format: Any, parts: Any, data: bytes, signature: Any) -> Stored:
    """The result of a row, whatever is in the row: where that cannot be what was written, it is a damaged one."""
    try:
        blobs, sealed = read_parts(folder, _text(parts), data)
        return unsealed(Stored(_text(format), blobs, _text(signature or "")), sealed)
    except (CacheError, ValueError):  # such a name is not followed
        return Stored(str(format), (UNTRUSTED,))


def _text(value: Any) -> str:
    """A column of a row, which another program may have filled. Raises ValueError where it is no text."""
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


def lacks_files(folder: Path, parts: str) -> bool:
    """Whether a file of a result is gone or has another size; none of them is read."""
    try:
        blobs, _ = read_parts(folder, parts, b"")
        return any([blob.path is not None and os.stat(blob.path).st_size != blob.size for blob in blobs])
    except (CacheError, ValueError, OSError):
        return True


def homes(parts: object) -> list[str]:
    """The folders that the text of a result's parts names; what is no text names none."""
    lines = parts.split("\n") if isinstance(parts, str) else ()
    return list({home for line in lines if is_home(home := line.rpartition("\t")[2])})


def folder_size(folder: str) -> int:
    """How many bytes the files of one folder have."""
    return sum([item.stat(follow_symlinks=False).st_size for item in os.scandir(folder)])


def is_home(folder: str) -> bool:
    """Whether this is the name of a result's folder, inside `results/`."""
    return _HOME.fullmatch(folder) is not None


def _inside(folder: Path, home: str, name: str) -> str:
    """The file of a part. A link, of the folder or the file, could lead anywhere: it is not followed."""
    if (link := link_on_the_way(folder, f"{home}/{name}")) is not None:
        raise DamagedResult(f"'{link}' is a link")
    return str(folder / home / name)
