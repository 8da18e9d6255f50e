"""A name becomes a class or a value: built in, by entry point, or by dotted path. The only importer by string."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from labtech_cli.errors import ConfigError, did_you_mean


def load_attribute(path: str, *, what: str) -> Any:
    """The object at `"package.module:attribute"` (attributes may be dotted). Raises `ConfigError`."""
    module_name, separator, attribute = path.partition(":")
    if not separator or not module_name or not attribute:
        raise ConfigError(
            f"{what}: '{path}' is not of the form 'module:attribute'", hint="write for example 'data:load'"
        )
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{what}: cannot import '{module_name}': no module named '{error.name}'",
            hint="it is looked up beside the module of the target and on the Python path",
        ) from None
    for name in attribute.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            known = [item for item in dir(value) if not item.startswith("_")]
            raise ConfigError(f"{what}: '{module_name}' has no '{name}'", hint=did_you_mean(name, known)) from None
    return value


def find_plugin(name: str, *, built_in: Mapping[str, str], group: str, what: str) -> Any:
    """The class called `name`: built in (as a dotted path), an entry point of `group`, or a dotted path itself."""
    if name in built_in:
        return load_attribute(built_in[name], what=what)
    if ":" in name:
        return load_attribute(name, what=what)
    from importlib.metadata import entry_points  # 10 ms: only for names that are not built in

    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    known = [*built_in, *(point.name for point in entry_points(group=group))]
    raise ConfigError(f"unknown {what} '{name}'", hint=did_you_mean(name, known))
