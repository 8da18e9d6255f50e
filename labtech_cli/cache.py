"""Cache formats, under the name that modules written for the labtech library import them by."""

from labtech_cli.store.formats import BaseCache, JoblibCache, NullCache, PickleCache

__all__ = ["BaseCache", "JoblibCache", "NullCache", "PickleCache"]
