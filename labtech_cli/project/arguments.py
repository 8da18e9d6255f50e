"""`-p` and `--grid`: which arguments a function or task type takes, and the sets of them that are given."""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from labtech_cli.errors import TargetError, did_you_mean
from labtech_cli.project.annotations import expectation
from labtech_cli.project.grids import expand_grid
from labtech_cli.project.values import Resolve, convert


@dataclass(frozen=True, slots=True)
class Assigned:
    """The `-p` and `--grid` options as texts by parameter name, in the order given."""

    params: Mapping[str, str]
    grids: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.params, *self.grids)


def read_assigned(params: Sequence[str], grids: Sequence[str]) -> Assigned:
    """Take `name=VALUE` texts apart. Raises `TargetError` for one without `=` or a name given twice."""
    assigned = Assigned(_by_name("-p", params), _by_name("--grid", grids))
    for name in assigned.params:
        if name in assigned.grids:
            raise TargetError(f"parameter '{name}' is given by -p and by --grid", hint="keep one of them")
    return assigned


def _by_name(option: str, texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            example = "seed=1" if option == "-p" else "seed=1,5,10"
            raise TargetError(f"{option} takes name=VALUE, not '{text}'", hint=f"for example {option} {example}")
        if name in found:
            more = "" if option == "--grid" else f", or write --grid {name}=VALUE,VALUE for several values"
            raise TargetError(f"parameter '{name}' is given twice by {option}", hint=f"keep one{more}")
        found[name] = value
    return found


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a function or task type: annotation by name, and which of them must be given."""

    annotations: Mapping[str, Any]
    required: tuple[str, ...]
    positional: tuple[str, ...]
    any_name: bool
    """Whether it takes parameters of every name (`**kwargs`)."""

    def takes(self, name: str) -> bool:
        return self.any_name or name in self.annotations


def signature_of(made_by: Callable[..., Any]) -> Signature:
    """What `made_by`, a function or a task type, takes. Annotations that cannot be resolved are `Any`."""
    try:
        parameters = inspect.signature(made_by).parameters.values()
    except (ValueError, TypeError):  # some built-in functions do not tell
        return Signature({}, (), (), any_name=True)
    hints = _hints(made_by)
    named = [item for item in parameters if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]
    annotations = {}
    for item in named:
        hint = hints.get(item.name, Any)
        annotations[item.name] = typing.Optional[hint] if item.default is None else hint  # noqa: UP045
    return Signature(
        annotations,
        tuple(item.name for item in named if item.default is item.empty),
        tuple(item.name for item in named if item.kind is item.POSITIONAL_ONLY),
        any(item.kind is item.VAR_KEYWORD for item in parameters),
    )


def return_annotation(function: Callable[..., Any]) -> Any:
    """What `function` says it returns; `Any` where it does not say."""
    return _hints(function).get("return", Any)


def _hints(made_by: Any) -> dict[str, Any]:
    while isinstance(made_by, functools.partial):
        made_by = made_by.func
    if isinstance(made_by, type):
        found: dict[str, Any] = {}
        for base in reversed(made_by.__mro__):
            names = getattr(sys.modules.get(base.__module__), "__dict__", {})
            found.update(_resolved(base, names, dict(vars(base))))
        return found
    function = inspect.unwrap(made_by)
    function = getattr(function, "__func__", function)
    return _resolved(function, getattr(function, "__globals__", {}), {})


def _resolved(owner: Any, names: Mapping[str, Any], local: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of `owner`, each resolved by itself, so that one wrong name spoils no other."""
    try:
        raw = inspect.get_annotations(owner)
    except Exception:
        return {}
    found = {}
    for name, annotation in raw.items():
        try:
            alone = SimpleNamespace(__annotations__={name: annotation})
            found[name] = typing.get_type_hints(alone, dict(names), dict(local), include_extras=True)[name]
        except Exception:
            found[name] = Any
    return found


def check_taken(assigned: Assigned, signatures: Mapping[str, Signature | None]) -> None:
    """Refuse a parameter that no target takes; `signatures` by target, None where there is nothing to set."""
    takers = {text: signature for text, signature in signatures.items() if signature is not None}
    for name in assigned.names:
        if any(signature.takes(name) for signature in takers.values()):
            continue
        option = "-p" if name in assigned.params else "--grid"
        if not takers:
            raise TargetError(
                f"{option} {name}=...: there is nothing to set in {_listed(signatures)}",
                hint="parameters are for functions and task types; these are tasks already made",
            )
        known = dict.fromkeys(key for signature in takers.values() for key in signature.annotations)
        raise TargetError(f"{_listed(takers)} has no parameter '{name}'", hint=did_you_mean(name, known))


def _listed(texts: Mapping[str, Any]) -> str:
    return " or ".join(f"'{text}'" for text in texts)


def argument_sets(text: str, signature: Signature, assigned: Assigned, resolve: Resolve) -> Iterator[dict[str, Any]]:
    """The arguments to make the target `text` with: one set, or one for each point of the grid."""
    _check_complete(text, signature, assigned)
    fixed = {
        name: convert(value, signature.annotations.get(name, Any), resolve, name=name)
        for name, value in assigned.params.items()
        if signature.takes(name)
    }
    axes = {
        name: expand_grid(value, signature.annotations.get(name, Any), resolve, name=name)
        for name, value in assigned.grids.items()
        if signature.takes(name)
    }
    for point in itertools.product(*axes.values()):
        yield {**fixed, **dict(zip(axes, point, strict=True))}


def _check_complete(text: str, signature: Signature, assigned: Assigned) -> None:
    missing = [name for name in signature.required if name not in assigned.names]
    if not missing:
        return
    asked = ", ".join(f"'{name}' ({expectation(signature.annotations[name])})" for name in missing)
    raise TargetError(
        f"'{text}' needs a value for {asked}", hint="add " + " ".join(f"-p {name}=VALUE" for name in missing)
    )
