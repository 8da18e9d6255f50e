"""Option values converted without pydantic, which typer would import for it: 0.2 s of every command."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import typer

_UsageError: Any = typer.BadParameter.__base__
_PLAIN: dict[Any, Callable[[Any], Any]] = {str: str, Path: Path, int: int, float: float, bool: bool}


def lighten(command: Any) -> None:
    """Give every parameter of `command`, and of its subcommands, our own conversion.

    A parameter of any other type than text, number, path, flag or a list of these keeps typer's.
    """
    all_params = command.get_params

    def get_params(context: Any) -> list[Any]:
        found: list[Any] = all_params(context)  # with --help, which is not among `command.params`
        for parameter in found:
            kind, many = _kind(getattr(getattr(parameter, "type_descriptor", None), "annotation", None))
            if kind in _PLAIN and not isinstance(parameter.process_value, _Conversion):
                parameter.process_value = _Conversion(parameter, kind, many)
            if getattr(parameter, "param_type_name", "") == "argument" and parameter.metavar:
                parameter._usage_display_name = functools.partial(str, parameter.metavar)
                parameter.display_type = _nothing
        return found

    command.get_params = get_params
    for inner in getattr(command, "commands", {}).values():
        lighten(inner)


def _nothing(ctx: Any) -> str:
    """What help says of an argument's type: its name tells."""
    return ""


class _Conversion:
    """Stands in for a parameter's `process_value`."""

    def __init__(self, parameter: Any, kind: Any, many: bool) -> None:
        self._parameter, self._kind, self._many = parameter, kind, many

    def __call__(self, context: Any, value: Any) -> Any:
        parameter = self._parameter
        if value is None or (self._many and not value):
            if parameter.required:
                name = parameter.metavar or parameter.name
                raise _UsageError(f"missing argument {name}", ctx=context)
            converted: Any = [] if self._many else None
        elif self._many:
            converted = [self._one(item, context) for item in value]
        else:
            converted = self._one(value, context)
        return converted if parameter.callback is None else parameter.callback(context, parameter, converted)

    def _one(self, value: Any, context: Any) -> Any:
        if isinstance(value, self._kind):
            found = value
        else:
            try:
                found = _PLAIN[self._kind](value)
            except ValueError:
                what = "a whole number" if self._kind is int else "a number"
                raise typer.BadParameter(f"{value!r} is not {what}", ctx=context, param=self._parameter) from None
        least = getattr(self._parameter, "min", None)
        if least is not None and found < least:
            raise typer.BadParameter(f"{found} is less than {least}", ctx=context, param=self._parameter)
        return found


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The plain type of an annotation such as `int | None` or `list[str] | None`, and whether it is a list."""
    choices = [item for item in get_args(annotation) if item is not NoneType]
    if annotation not in _PLAIN and get_origin(annotation) is not list and len(choices) == 1:
        annotation = choices[0]
    if get_origin(annotation) is list:
        return get_args(annotation)[0], True
    return annotation, False
