"""Results signed when they are written, and refused before anything is unpickled when they are not.

With `LABTECH_SIGNING_KEY` set, each result carries an HMAC over its key, its format and the name, size
and BLAKE2 digest of each of its parts. To change keys, name several, separated by commas or blanks: the
first signs, all are accepted. What it does not prevent: an older result that was signed for the same
key can be put back in the place of a newer one, and what listings say (parameters, times) is not signed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping

from labtech_cli.errors import ConfigError, UntrustedResult
from labtech_cli.store.blobs import Stored, is_strong

VARIABLE = "LABTECH_SIGNING_KEY"
_LEAST = 16  # characters of a key


class Trust:
    """The keys that sign and are accepted; without any, everything is accepted as it is."""

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        for key in keys:
            if len(key) < _LEAST:
                raise ConfigError(
                    f"{VARIABLE}: a key has {len(key)} characters, too few to be safe",
                    hint=f"give at least {_LEAST}, for example what 'openssl rand -hex 32' prints",
                )
        self._keys = {_name(key): key.encode() for key in keys}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Trust:
        """What the environment asks for. Raises `ConfigError` for a key that is too short, or a variable without any:
        a secret that is missing must not turn signing off."""
        if VARIABLE in environ and not environ[VARIABLE].strip(", \t\n"):
            raise ConfigError(f"{VARIABLE} is set, but holds no key", hint="give it a key, or unset it")
        return cls(tuple(part for part in re.split(r"[,\s]+", environ.get(VARIABLE, "")) if part))

    def __bool__(self) -> bool:
        return bool(self._keys)

    def sign(self, key: str, stored: Stored) -> Stored:
        """`stored` with the signature of the first key, where there is one."""
        for name, secret in self._keys.items():
            return stored._replace(signature=f"{name}:{_digest(secret, key, stored)}")
        return stored

    def check(self, key: str, stored: Stored) -> None:
        """Raise `UntrustedResult` unless an accepted key has signed this very result."""
        if not self._keys:
            return
        name, _, found = stored.signature.partition(":")
        if not found:
            raise UntrustedResult(f"the result {key} is not signed", hint=_HINT)
        secret = self._keys.get(name)
        if secret is None:
            raise UntrustedResult(f"the result {key} is signed by another key ({name})", hint=_HINT)
        right = hmac.compare_digest(found.encode(), _digest(secret, key, stored).encode())
        if not right or not all([is_strong(blob.digest) for blob in stored.blobs]):
            raise UntrustedResult(
                f"the signature of the result {key} is wrong: it is not what was signed",
                hint="compute it again with 'labtech run --rerun', or remove it with 'labtech cache rm'",
            )


_HINT = (
    f"name the key that signed it in {VARIABLE} as well, compute it again with 'labtech run --rerun', "
    "or remove it with 'labtech cache rm'"
)


def _digest(secret: bytes, key: str, stored: Stored) -> str:
    parts = [key, stored.format, *[text for blob in stored.blobs for text in (blob.name, str(blob.size), blob.digest)]]
    message = b"".join([b"%d:%b" % (len(data), data) for data in [part.encode() for part in parts]])
    return hmac.new(secret, b"labtech.signature/1" + message, hashlib.sha256).hexdigest()


def _name(key: str) -> str:
    """What a key is called in public: enough to tell keys apart, nothing to find one by."""
    return hashlib.sha256(b"labtech.key-name/1" + key.encode()).hexdigest()[:8]
