"""The options that many commands share, declared once: which lab, and how output is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from labtech_cli.errors import ConfigError, nearest

_LAB = "Lab"
_OUTPUT = "Output"

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration file to use.", rich_help_panel=_LAB),
]
ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Profile of the configuration to use.", rich_help_panel=_LAB),
]
StorageOption = Annotated[
    str | None,
    typer.Option("--storage", metavar="WHERE", help="Folder or URL of the results, or none.", rich_help_panel=_LAB),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Set any configuration key.", rich_help_panel=_LAB),
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="How to write the data.", rich_help_panel=_OUTPUT),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Short for --format json.", rich_help_panel=_OUTPUT)]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to a file, not to stdout.", rich_help_panel=_OUTPUT),
]
NamesArgument = Annotated[list[str] | None, typer.Argument(metavar="[TYPE|KEY]...", help="Task types or keys.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="CONDITION", help="Such as 'n_estimators>5'; dotted into dependencies."),
]
OlderOption = Annotated[str | None, typer.Option("--older-than", metavar="AGE", help="Such as 12h or 7d.")]
ModuleOption = Annotated[
    list[str] | None,
    typer.Option("--module", "-m", metavar="FILE", help="Compare with the task types of this module."),
]
StaleOption = Annotated[
    bool, typer.Option("--stale", help="Only results of another code_version or code (needs --module).")
]
CurrentOption = Annotated[bool, typer.Option("--current", help="Only results of the code as it is (needs --module).")]
OrphanedOption = Annotated[
    bool, typer.Option("--orphaned", help="Only results of types that are gone (needs --module).")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be done.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def chosen_format(name: str | None, json: bool, allowed: Sequence[str]) -> str:
    """The format that `--format` and `--json` ask for; the first of `allowed` when they say nothing."""
    if json:
        if name not in (None, "json"):
            raise ConfigError(f"--json and --format {name} contradict each other", hint="give one of them")
        name = "json"
    if name is None:
        return allowed[0]
    if name not in allowed:
        raise unknown_choice("--format", name, allowed)
    return name


def unknown_choice(option: str, value: str, allowed: Sequence[str]) -> ConfigError:
    """The error for an option that takes one of a few words and got another."""
    close = nearest(value, allowed)
    hint = f"did you mean '{close}'?" if close else None
    return ConfigError(f"{option} {value}: must be one of {', '.join(allowed)}", hint=hint)
