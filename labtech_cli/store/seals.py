"""The seal of a result: a checksum over its format and the list of its parts, kept beside that list.

The checksum of a part tells when its bytes were changed; the seal tells when the list was: a part left out or
renamed, another format. It is no signature: it holds against damage, not against an attacker.
Of a result that an older labtech wrote, which has none, is asked what its format cannot do without.
"""

from __future__ import annotations

from labtech_cli.store.blobs import Blob, Stored, digest

UNTRUSTED = Blob("the list of its files", 0, "none", b"", None)
"""A part that nothing matches: in a result with a list of parts that is not what was written."""
_NEEDS = {"pickle": "result.pickle", "joblib": "result.joblib"}


def seal(stored: Stored) -> str:
    """The seal of a result that is written."""
    lines = [f"{blob.name}\t{blob.size}\t{blob.digest}" for blob in stored.blobs]
    return digest("\n".join([stored.format, *lines]).encode("utf-8", "surrogatepass"), strong=False)


def is_whole(stored: Stored, found: str) -> bool:
    """Whether the list of a result's parts is what was written, going by the seal that was found beside it."""
    names = [blob.name for blob in stored.blobs]
    if not names:
        return False
    return seal(stored) == found if found else _NEEDS.get(stored.format, names[0]) in names


def unsealed(stored: Stored, found: str) -> Stored:
    """A result that is read, with the seal that was found beside it: damaged where that is not its own."""
    return stored if is_whole(stored, found) else stored._replace(blobs=(UNTRUSTED, *stored.blobs))
