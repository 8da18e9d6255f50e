"""What commands that take results do alike: the listing to choose from, and the statuses that are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from labtech_cli.cli.catalogue import Catalogue, types_of
from labtech_cli.cli.shared import load_module, make_lab
from labtech_cli.errors import ConfigError
from labtech_cli.project.config import Config


def catalogue_of(config: Config, modules: Sequence[str] | None) -> Catalogue:
    """The listing of the lab's storage, with statuses where modules are given to compare with."""
    if not modules:
        return Catalogue(make_lab(config).storage)
    imported = [load_module(name) for name in modules]
    return Catalogue(make_lab(config).storage, types_of(imported), [module.__name__ for module in imported])


def statuses_of(modules: Sequence[str] | None, stale: bool, current: bool = False, orphaned: bool = False) -> list[str]:
    """The statuses that options ask for. They need modules to compare with."""
    wanted = [name for name, on in (("stale", stale), ("current", current), ("orphaned", orphaned)) if on]
    if wanted and not modules:
        raise ConfigError(f"--{wanted[0]} needs the module to compare with", hint="add --module FILE.py")
    return wanted
