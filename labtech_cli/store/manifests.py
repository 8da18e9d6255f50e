"""What the objects of a storage without a database hold, and what they are called: written, read, checked.

Nothing that is read is trusted: a manifest that is not one, is cut short, or is another key's raises
`ValueError`; one that names a file outside the results' data is a result that is damaged.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from typing import Any

from labtech_cli.errors import CacheError
from labtech_cli.store.blobs import Blob, Stored, check_name
from labtech_cli.store.records import Move, Record, Row
from labtech_cli.store.seals import UNTRUSTED, is_whole, seal

SCHEMA = 1
_MOST = 1 << 63  # what a database takes for a number
_KEY = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9A-Za-z_-]{1,128}")
_HOME = re.compile(r"data/([0-9a-f]{2})/(\1[0-9a-f]{30})\.[0-9a-f]{8,32}")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a result: its bytes, or the name of the object that has them."""

    name: str
    size: int
    digest: str
    data: bytes | None
    home: str | None

    @property
    def object(self) -> str:
        return f"{self.home}/{self.name}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A result. It exists when its manifest does."""

    row: Row
    signature: str
    parts: tuple[Part, ...] | None
    """None when they cannot be read: the result is damaged."""
    whole: bool = True
    """Whether the list of parts is what was written (see `store.seals`)."""

    @property
    def objects(self) -> list[str]:
        """The names of the objects that hold its large parts."""
        return [part.object for part in self.parts or () if part.home]

    def light(self) -> Manifest:
        """Without bytes, to be remembered."""
        return replace(self, parts=self.parts and tuple(part for part in self.parts if part.home))

    def stored(self, paths: dict[str, str]) -> Stored:
        """The result for who loads it; `paths` are local files by the name of their object."""
        row = self.row
        if self.parts is None:
            return Stored(row.format, (UNTRUSTED,), self.signature)
        blobs = [
            Blob(part.name, part.size, part.digest, part.data, paths.get(part.object, "") if part.home else None)
            for part in self.parts
        ]
        return Stored(row.format, tuple(blobs) if self.whole else (UNTRUSTED, *blobs), self.signature)


def is_key(text: object) -> bool:
    """Whether this is a cache key, which is safe in a name."""
    return isinstance(text, str) and _KEY.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether this can be the digest of a document, which is safe in a name."""
    return _DIGEST.fullmatch(text) is not None


def place_of(folder: str, key: str) -> str:
    """The name of a key's object in `results`, `tasks`, `leases` or `documents`."""
    return f"{folder}/{key[:2]}/{key}.json"


def key_of(name: str) -> str | None:
    """The key whose object has this name, if it is one."""
    key = name.rpartition("/")[2].removesuffix(".json")
    return key if is_key(key) and name == place_of(name.partition("/")[0], key) else None


def encode(record: Record, home: str) -> bytes:
    """The manifest of a record whose large parts are in `home`."""
    assert record.stored is not None
    parts = []
    for blob in record.stored.blobs:
        where = {"path": f"{home}/{blob.name}"} if blob.data is None else {"data": b64encode(blob.data).decode()}
        parts.append({"name": blob.name, "size": blob.size, "digest": blob.digest, **where})
    return _dump(
        _description(record)
        | {"format": record.stored.format, "code": record.code}
        | {"origin": record.origin, "signature": record.stored.signature, "parts": parts}
        | {"seal": seal(record.stored)}
    )


def encode_task(record: Record | Row) -> bytes:
    """What is known of a task without its result."""
    return _dump(_description(record))


def _description(record: Record | Row) -> dict[str, Any]:
    names = ("key", "type", "code_version", "params", "duration", "started_at", "peak_memory")
    return {"schema": SCHEMA} | {name: getattr(record, name) for name in names}


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def decode(key: str, data: bytes) -> Manifest:
    """A manifest. Raises `ValueError` unless it is one, whole, and of this key."""
    document = _document(key, data)
    try:
        parts: tuple[Part, ...] | None = tuple(map(_part, document["parts"]))
    except (CacheError, ValueError, TypeError, LookupError, AttributeError):
        parts = None
    size = sum(part.size for part in parts or ())
    row = _row(document, size)
    signature, sealed = document["signature"], document.get("seal", "")
    if not isinstance(signature, str) or not isinstance(sealed, str) or not row.format:
        raise ValueError("not a manifest")
    signature.encode()
    blobs = tuple([Blob(part.name, part.size, part.digest, None, None) for part in parts or ()])
    return Manifest(row, signature, parts, is_whole(Stored(row.format, blobs), sealed))


def decode_task(key: str, data: bytes) -> Row:
    """What is known of a task; the row's format is empty. Raises `ValueError`."""
    return _row(_document(key, data) | dict.fromkeys(("format",), ""), 0)


def moved(data: bytes, move: Move, kind: str) -> bytes:
    """The bytes of a manifest (`kind` results) or a description (tasks) for a result that gets another identity."""
    document = _document(move.key, data)
    document |= {"key": move.new_key, "type": move.type, "code_version": move.code_version, "params": move.params}
    return _dump(document | ({"code": move.code, "signature": move.signature} if kind == "results" else {}))


def _document(key: str, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
        if document["key"] != key or type(document["schema"]) is not int or document["schema"] > SCHEMA:
            raise ValueError("of another key, or of a newer labtech")
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return dict(document)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "type": str,
    "params": str,
    "format": str,
    "code_version": (str, type(None)),
    "code": (str, type(None)),
    "origin": (str, type(None)),
    "peak_memory": (int, type(None)),
    "duration": (int, float),
    "started_at": (int, float),
}


def _row(document: dict[str, Any], size: int) -> Row:
    values: dict[str, Any] = {name: document.get(name) for name in _KINDS}
    for name, value in values.items():
        if not isinstance(value, _KINDS[name]):
            raise ValueError(f"'{name}' is not what it must be")
        if isinstance(value, str):
            value.encode()  # lone surrogates, which no storage of ours writes, raise ValueError
    if not (abs(values["duration"]) < 1e300 and 0 <= values["started_at"] < 2e11):
        raise ValueError("its times are none")
    if not 0 <= (values["peak_memory"] or 0) < _MOST:
        values["peak_memory"] = None
    return Row(key=document["key"], size=min(size, _MOST - 1), **values)


def _part(found: Any) -> Part:
    """One part of a manifest; one that leads out of the data raises `ValueError` or `CacheError`."""
    if not isinstance(found, dict):
        raise ValueError("not a part")
    name, size, digest = found.get("name"), found.get("size"), found.get("digest")
    if not isinstance(name, str) or type(size) is not int or not 0 <= size < _MOST or not isinstance(digest, str):
        raise ValueError("not a part")
    check_name(name)
    (name + digest).encode()
    data, path = found.get("data"), found.get("path")
    if isinstance(data, str) and path is None:
        return Part(name, size, digest, b64decode(data, validate=True), None)
    home, _, last = str(path).rpartition("/")
    if data is not None or last != name or not _HOME.fullmatch(home):
        raise ValueError("leads out of the storage")
    return Part(name, size, digest, None, home)
