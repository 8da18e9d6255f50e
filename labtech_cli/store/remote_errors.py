"""What a storage without a database says when something is wrong, instead of what its file system raises."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from labtech_cli.errors import LabtechError, StorageError
from labtech_cli.store.manifests import SCHEMA
from labtech_cli.store.remote_remove import FULL
from labtech_cli.store.storage import Storage

VERSION = "labtech.json"
"""The object that says which layout a storage has."""
P = ParamSpec("P")
S = TypeVar("S", bound=Storage)
T = TypeVar("T")


def told(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """What a place raises, whatever it is, becomes a `StorageError` that says where."""

    @functools.wraps(method)
    def telling(self: S, /, *arguments: P.args, **options: P.kwargs) -> T:
        try:
            return method(self, *arguments, **options)
        except LabtechError:
            raise
        except Exception as error:
            raise _error(self.describe(), error) from None

    return telling


def check_version(where: str, data: bytes) -> None:
    """Raise `StorageError` unless this is a layout that we know."""
    try:
        found = json.loads(data)
        ours, version = found["program"] == "labtech", int(found["schema"])
    except (ValueError, TypeError, KeyError):
        ours, version = False, 0
    if not ours:
        raise StorageError(
            f"storage '{where}': its {VERSION} is damaged or not labtech's",
            hint="move the file away, or choose another storage",
        )
    if version > SCHEMA:
        raise StorageError(
            f"storage '{where}' was written by a newer labtech (format {version}; this one knows {SCHEMA})",
            hint="upgrade labtech, or choose another storage",
        )


def _error(where: str, error: Exception) -> StorageError:
    """What went wrong, for the person."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = reason.splitlines()[0]
    hint = "check that it can be reached and written to, or choose another with --storage"
    if getattr(error, "errno", None) in FULL:
        hint = "make room; what was saved before is safe"
    elif "redentials" in reason:
        hint = "give the credentials as the service expects them, for example in the environment"
    return StorageError(f"storage '{where}': {reason[:1].lower()}{reason[1:]}", hint=hint)
