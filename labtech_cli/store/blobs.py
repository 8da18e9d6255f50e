"""The bytes of one result: named parts, small ones in memory, large ones in files.

A cache format sees a folder-like object (`file_handle(key, filename, mode=...)`). What it writes is
held in memory up to `INLINE_MAX` bytes and moves to a file in the spool folder beyond that, so a
small result never touches the file system before it is committed, and a large one is written once.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import xxhash

from labtech_cli.errors import CacheError, DamagedResult

_PIECE = 1 << 20
_STRONG = "blake2b:"
INLINE_MAX = 64 * 1024  # a row of 64 KB costs about as much as a file; smaller ones cost far less


class Blob(NamedTuple):
    """One named part of a result: its bytes, or the file that holds them."""

    name: str
    size: int
    digest: str
    data: bytes | None
    path: str | None


class Stored(NamedTuple):
    """A result as it is kept: the name of its cache format and its parts."""

    format: str
    blobs: tuple[Blob, ...]
    signature: str = ""
    """As `store.signing` makes it; empty where results are not signed."""

    @property
    def size(self) -> int:
        return sum([blob.size for blob in self.blobs])

    @property
    def inline(self) -> bool:
        """Whether all of it is in memory."""
        return all([blob.data is not None for blob in self.blobs])

    def outline(self) -> Stored:
        """The same without the bytes and where they are: to compare results, not to read them."""
        return self._replace(blobs=tuple([blob._replace(data=None, path=None) for blob in self.blobs]))


class Checksum:
    """The checksum of bytes as they come.

    XXH3, 128 bits: against damage, at memory speed. Where results are signed it is BLAKE2, which holds
    against an attacker as well and is named in the text.
    """

    __slots__ = ("_found", "_prefix")

    def __init__(self, strong: bool | None = None) -> None:
        if strong is None:
            strong = bool(os.environ.get("LABTECH_SIGNING_KEY"))
        self._prefix = _STRONG if strong else ""
        self._found: Any = hashlib.blake2b(digest_size=32) if strong else xxhash.xxh3_128()

    def update(self, data: Any) -> None:
        self._found.update(data)

    def text(self) -> str:
        return self._prefix + str(self._found.hexdigest())


def is_strong(checksum: str) -> bool:
    """Whether a checksum holds against an attacker."""
    return checksum.startswith(_STRONG)


def digest(data: bytes | memoryview, strong: bool | None = None) -> str:
    """The checksum of a part."""
    found = Checksum(strong)
    found.update(data)
    return found.text()


def file_digest(path: str, strong: bool | None = None) -> str:
    """The checksum of a file, read in pieces: mapping it would count as memory of this process."""
    found = Checksum(strong)
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as handle:
        while size := handle.readinto(buffer):
            found.update(view[:size])
    return found.text()


def check_name(name: str) -> str:
    """`name` if it is a plain file name. Raises `CacheError`, so that no name leaves its folder."""
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name or len(name) > 128:
        raise CacheError(f"'{name[:140]!s}' is not a plain file name", hint="use a short name without folders")
    return name


class Part(io.BufferedIOBase):
    """A binary file being written: memory first, a file once it is larger than `INLINE_MAX`."""

    def __init__(self, name: str, folder: PartFolder) -> None:
        self.name = name
        self._folder = folder
        self._file: Any = io.BytesIO()
        self._path: str | None = None
        self._digest: Any = None
        """Of what was written to the file, as long as it was written from beginning to end."""

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if self._path is None and self._file.tell() + view.nbytes > INLINE_MAX:
            self._roll_over()
        self._file.write(view)
        if self._digest is not None:
            self._digest.update(view)
        return view.nbytes

    def _roll_over(self) -> None:
        self._path = os.path.join(self._folder.make(), self.name)
        file = open(self._path, "w+b")  # noqa: SIM115 - closed by close()
        start = self._file.getvalue()
        file.write(start)
        if self._file.tell() == len(start):
            self._digest = Checksum()
            self._digest.update(start)
        file.seek(self._file.tell())
        self._file = file

    def close(self) -> None:
        if not self.closed:
            if self._path is None:
                data = self._file.getvalue()
                self._folder.add(Blob(self.name, len(data), digest(data), data, None))
            else:
                self._file.close()
                size = os.path.getsize(self._path)
                found = file_digest(self._path) if self._digest is None else self._digest.text()
                self._folder.add(Blob(self.name, size, str(found), None, self._path))
        super().close()

    def read(self, size: int | None = -1) -> bytes:
        return bytes(self._file.read(size))

    def seek(self, offset: int, whence: int = 0) -> int:
        self._digest = None
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def flush(self) -> None:
        if not self._file.closed:  # the base class flushes once more when it closes
            self._file.flush()


class PartFolder:
    """Where a cache format writes one result. It looks like a storage to `save_result`."""

    def __init__(self, spool: str) -> None:
        self._spool = spool
        self._path: str | None = None
        self.blobs: list[Blob] = []

    def file_handle(self, key: str, filename: str, *, mode: str = "r") -> IO[Any]:
        """A new file of the result, to be closed by the caller."""
        if mode not in ("w", "wb", "wt"):
            raise CacheError(f"a result being saved is written with mode 'w' or 'wb', not '{mode}'")
        if any(blob.name == filename for blob in self.blobs):
            raise CacheError(f"the result already has a file '{filename}'")
        part = Part(check_name(filename), self)
        return part if mode == "wb" else io.TextIOWrapper(part, encoding="utf-8")  # type: ignore[return-value]

    def make(self) -> str:
        if self._path is None:
            self._path = os.path.join(self._spool, uuid.uuid4().hex)
            os.makedirs(self._path)
        return self._path

    def add(self, blob: Blob) -> None:
        self.blobs.append(blob)

    def discard(self) -> None:
        """Remove what was written: the result was not finished."""
        if self._path is not None:
            for name in os.listdir(self._path):
                os.unlink(os.path.join(self._path, name))
            os.rmdir(self._path)
            self._path = None
        self.blobs = []


class StoredFiles:
    """One stored result, to read. It looks like a storage to `load_result`."""

    def __init__(self, stored: Stored) -> None:
        self._blobs = {blob.name: blob for blob in stored.blobs}

    def __iter__(self) -> Iterator[str]:
        return iter(self._blobs)

    def __contains__(self, filename: object) -> bool:
        return filename in self._blobs

    def blob(self, filename: str) -> Blob:
        if filename not in self._blobs:
            raise DamagedResult(f"the stored result has no file '{filename}'")
        return self._blobs[filename]

    def file_handle(self, key: str, filename: str, *, mode: str = "r") -> IO[Any]:
        """A file of the result, open for reading."""
        blob = self.blob(filename)
        if mode not in ("r", "rb", "rt"):
            raise CacheError(f"a stored result is read with mode 'r' or 'rb', not '{mode}'")
        raw: Any = io.BytesIO(blob.data) if blob.data is not None else _open(blob)
        return raw if mode == "rb" else io.TextIOWrapper(raw, encoding="utf-8")

    def view(self, filename: str) -> memoryview:
        """The bytes of a file, mapped copy-on-write where it is a file: writing harms nobody."""
        blob = self.blob(filename)
        if blob.data is not None:
            return memoryview(bytearray(blob.data))
        with open(blob.path, "rb") as handle:  # type: ignore[arg-type]
            return memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_COPY))


def _open(blob: Blob) -> IO[bytes]:
    """A part that is a file. Where results are signed it is read and checked first: what is unpickled is
    what was signed, also if somebody changed the file a moment ago."""
    if not is_strong(blob.digest):
        return open(str(blob.path), "rb")
    data = Path(str(blob.path)).read_bytes()
    if digest(data, strong=True) != blob.digest:
        raise DamagedResult(f"'{blob.name}' does not match its checksum")
    return io.BytesIO(data)


def verify(stored: Stored) -> None:
    """Raise `DamagedResult` unless every part is there, whole, and matches its checksum."""
    for blob in stored.blobs:
        if blob.data is not None:
            found = digest(blob.data, is_strong(blob.digest)) if len(blob.data) == blob.size else "another size"
        else:
            path = str(blob.path)
            try:
                strong = is_strong(blob.digest)
                found = file_digest(path, strong) if os.path.getsize(path) == blob.size else "another size"
            except OSError as error:
                raise DamagedResult(f"'{blob.name}' cannot be read: {error.strerror or error}") from None
        if found != blob.digest:
            raise DamagedResult(f"'{blob.name}' does not match its checksum")
