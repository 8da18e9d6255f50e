"""What the words of `labtech cache migrate` mean: names of types, fields and values, as a storage knows them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labtech_cli.cli.catalogue import Catalogue, short
from labtech_cli.cli.filters import Filters, is_key
from labtech_cli.core.codec import encode_value
from labtech_cli.core.key import UnsupportedValue, freeze
from labtech_cli.errors import ConfigError, did_you_mean
from labtech_cli.project.literals import BRACKETS, NOTHING, structured, toml_value
from labtech_cli.store.migrate import Described, enum_members
from labtech_cli.store.records import Row
from labtech_cli.store.reshape import Request

_NAMED = {"None": None, "none": None, "null": None, "True": True, "False": False}
_MEMBER = re.compile(r"(?:[A-Za-z_]\w*\.)+[A-Z]\w*\.[A-Za-z_]\w*(?:\|[A-Za-z_]\w*)*")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*(?:\.\*)?")


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the command line."""

    old: str
    new: str
    set: Sequence[str] = ()
    rename: Sequence[str] = ()
    drop: Sequence[str] = ()
    code_version: tuple[str | None, ...] = ()
    where: Sequence[str] = ()


def read_request(asked: Asked, catalogue: Catalogue, described: Described) -> Request:
    """The request that the words make. Raises `ConfigError` for what the storage does not know."""
    members = enum_members(described)
    types = {kind for kind, _, _ in described.values()}
    old = _old_name(asked.old, types | set(members))
    new = _new_name(asked.new, old, types | set(members))
    enum = old in members and old not in types
    _check_options(asked, old, enum)
    rename = dict(_pairs("--rename", asked.rename, "OLD=NEW"))
    for name in rename if enum else ():
        if name not in members[old]:
            raise ConfigError(
                f"--rename {name}: no stored parameter is {old}.{name}", hint=did_you_mean(name, members[old])
            )
    values = {name: stored_value(text, described, members) for name, text in _pairs("--set", asked.set, "FIELD=VALUE")}
    if old == new and not (values or rename or asked.drop or asked.code_version):
        raise ConfigError(
            "the old name is the new one, and nothing else is to change",
            hint="name another type, or add --set, --rename, --drop or --code-version",
        )
    only = _selected(asked.where, old, catalogue, described) if asked.where else None
    return Request(old, new, values, rename, asked.drop, asked.code_version, only, enum)


def _old_name(text: str, known: Collection[str]) -> str:
    if text in known:
        return text
    if text.endswith(".*"):
        if any(name.startswith(text[:-1]) for name in known):
            return text
        modules = {name.removesuffix("." + short(name)) + ".*" for name in known}
        raise ConfigError(f"the storage has no task of '{text}'", hint=did_you_mean(text, modules))
    found = sorted(name for name in known if name.endswith("." + text))
    if len(found) > 1:
        raise ConfigError(f"'{text}' is ambiguous: {', '.join(found)}", hint="give the full name")
    if found:
        return found[0]
    if any(name.startswith(text + ".") for name in known):
        raise ConfigError(f"'{text}' is not a type", hint=f"write '{text}.*' for all types in it")
    hint = did_you_mean(text, {*known, *map(short, known)})
    raise ConfigError(f"the storage has no task of type '{text}'", hint=hint)


def _new_name(text: str, old: str, known: Collection[str]) -> str:
    """The full new name. One without a module is a known type's, else a class beside the old one."""
    if text.endswith(".*") != old.endswith(".*"):
        raise ConfigError(
            f"'{old}' cannot become '{text}'", hint="give two types, or two modules that both end in '.*'"
        )
    if not _DOTTED.fullmatch(text):
        raise ConfigError(f"'{text}' is not the name of a type", hint="write package.module.Class")
    beside = f"{old.rpartition('.')[0]}.{text}"
    if "." in text or beside in known or old.endswith("." + text):
        return text if "." in text else beside
    found = sorted(name for name in known if name.endswith("." + text))
    if len(found) > 1:
        raise ConfigError(f"'{text}' is ambiguous: {', '.join(found)}", hint="give the full name")
    return found[0] if found else beside


def _check_options(asked: Asked, old: str, enum: bool) -> None:
    """Refuse options that mean nothing for an Enum type or a whole module."""
    given = {"--set": asked.set, "--drop": asked.drop, "--code-version": asked.code_version, "--where": asked.where}
    if old.endswith(".*"):
        given["--rename"] = asked.rename
    elif not enum:
        return
    for option, values in given.items():
        if values:
            what = "an Enum type" if enum else "a whole module"
            hint = "use --rename OLDMEMBER=NEWMEMBER" if enum else "migrate its types one by one"
            raise ConfigError(f"{option} is for one task type, and '{old}' is {what}", hint=hint)


def _pairs(option: str, texts: Sequence[str], form: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        wrong = not name.isidentifier() or not equals or (option == "--rename" and not value.isidentifier())
        if wrong:
            raise ConfigError(f"{option} '{text}' is not {form}", hint=f"write for example {option} {_example(option)}")
        if name in found:
            raise ConfigError(f"{option} names '{name}' twice", hint="give it once")
        found[name] = value
    return list(found.items())


def _example(option: str) -> str:
    return "lr=rate" if option == "--rename" else "momentum=0.9"


def stored_value(text: str, described: Mapping[str, Any], enums: Collection[str]) -> Any:
    """The value that `text` writes, encoded as a storage keeps it.

    TOML or JSON; `package.module.Enum.MEMBER`; `task:KEY`; any other text stands for itself.
    """
    if text.startswith("task:"):
        return {"$task": _task_key(text.removeprefix("task:"), described)}
    kind, _, member = text.rpartition(".")
    if kind in enums or _MEMBER.fullmatch(text):
        return {"$enum": kind, "name": member}
    value = _literal(text)
    try:
        return encode_value(freeze(value, [])[0])
    except UnsupportedValue as error:
        raise ConfigError(f"--set: '{text}' cannot be a parameter", hint=f"quote it as text, or {error.why}") from None


def _literal(text: str) -> Any:
    if text in _NAMED:
        return _NAMED[text]
    for reader in (structured, toml_value):
        value = reader(text)
        if value is not NOTHING:
            return value
    if text[:1] in (*BRACKETS, '"'):
        raise ConfigError(f"--set: '{text}' is neither TOML nor JSON", hint="mind the shell's quotes: --set 'a=[1, 2]'")
    return text


def _task_key(text: str, described: Mapping[str, Any]) -> str:
    found = [key for key in described if key.startswith(text)] if is_key(text) else []
    if len(found) != 1:
        what = f"is ambiguous: {len(found)} tasks" if found else "is no task's key in the storage"
        raise ConfigError(f"task:{text} {what}", hint="see 'labtech cache ls' for the keys")
    return found[0]


def _selected(where: Sequence[str], old: str, catalogue: Catalogue, described: Described) -> set[str]:
    """The tasks of the type on which all conditions hold, those without a result included."""
    filters = Filters(where=where)
    return {
        key
        for key, (kind, version, params) in described.items()
        if kind == old and filters.holds(catalogue, Row(key, kind, version, params, "", 0.0, 0.0, 0))
    }
