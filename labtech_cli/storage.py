"""Storages, under the name that modules written for the labtech library import them by."""

from labtech_cli.store.local import LocalStorage
from labtech_cli.store.remote import FsspecStorage
from labtech_cli.store.storage import NullStorage, Storage

__all__ = ["FsspecStorage", "LocalStorage", "NullStorage", "Storage"]
