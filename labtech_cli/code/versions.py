"""Which installed distribution a module belongs to, and its version.

Read from the names of the `.dist-info` folders beside the module: `importlib.metadata` would cost
20 ms to import and a tenth of a second for the names that are not their distribution's.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache

from labtech_cli.code.places import Place

_OTHERWISE = {
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
}


def distribution_of(place: Place) -> tuple[str, str]:
    """Name and version of the distribution that has the top-level module at `place`."""
    base = place.folders[0] if place.folders else place.file
    folder = os.path.dirname(base)
    known = _distributions(folder)
    name = _plain(_OTHERWISE.get(place.name, place.name))
    if name not in known:
        name = _plain(_declared(folder).get(place.name, ""))
    if name in known:
        return name, known[name]
    version = getattr(sys.modules.get(place.name), "__version__", None)
    return _plain(place.name), version if isinstance(version, str) else "unknown"


@lru_cache(maxsize=64)
def _distributions(folder: str) -> dict[str, str]:
    """Distribution -> version, in one folder of installed packages."""
    found = {}
    for item in _listed(folder):
        if item.endswith((".dist-info", ".egg-info")):
            name, _, version = item.rpartition(".")[0].partition("-")
            found[_plain(name)] = version.partition("-py")[0] or "unknown"
    return found


@lru_cache(maxsize=64)
def _declared(folder: str) -> dict[str, str]:
    """Top-level module -> distribution, as the metadata says: many files, so only for names that need it."""
    found: dict[str, str] = {}
    for item in _listed(folder):
        if item.endswith(".dist-info"):
            for top in _tops(os.path.join(folder, item)):
                found.setdefault(top, item.partition("-")[0])
    return found


def _tops(info: str) -> set[str]:
    """The top-level modules a distribution says it has."""
    for name in ("top_level.txt", "RECORD"):
        try:
            with open(os.path.join(info, name), encoding="utf-8") as file:
                return {line.strip().partition(",")[0].partition("/")[0].removesuffix(".py") for line in file}
        except (OSError, UnicodeDecodeError):
            continue
    return set()


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
