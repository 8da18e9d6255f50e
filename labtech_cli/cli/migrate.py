"""`labtech cache migrate`: results follow types that were moved or renamed, or whose fields changed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from labtech_cli.cli.accept import plan_accept
from labtech_cli.cli.catalogue import Catalogue, utc
from labtech_cli.cli.livecheck import check_code
from labtech_cli.cli.moves import announce, signed, undecided, write_moves
from labtech_cli.cli.options import (
    ConfigOption,
    FormatOption,
    JsonOption,
    OutputOption,
    ProfileOption,
    StorageOption,
    chosen_format,
    unknown_choice,
)
from labtech_cli.cli.recode import Recoder
from labtech_cli.cli.reshaping import Asked, read_request
from labtech_cli.cli.shared import confirmed, data_stream, load_module, make_lab, read_config
from labtech_cli.errors import ConfigError
from labtech_cli.recorded import Recorded
from labtech_cli.report.tables import write_rows
from labtech_cli.report.words import count
from labtech_cli.store.migrate import KEEPS, Change, Migration, plan_migration
from labtech_cli.store.records import Journal
from labtech_cli.store.storage import Storage

FORMATS = ("table", "json", "jsonl", "csv", "md")
_MANY = "repeatable."


def migrate(
    old: Annotated[
        str | None, typer.Argument(metavar="OLD", help="Type, Enum type or module.*; with --undo, a number.")
    ] = None,
    new: Annotated[
        str | None, typer.Argument(metavar="NEW", help="What it is called now; OLD if only fields changed.")
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help=f"The value of a field that was added; {_MANY}"),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="FIELD=NEW", help=f"A field, or a member of an Enum type; {_MANY}"),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", metavar="FIELD", help=f"A field that is gone; {_MANY}")
    ] = None,
    code_version: Annotated[
        str | None, typer.Option("--code-version", metavar="V", help="The code_version that the type has now.")
    ] = None,
    no_code_version: Annotated[bool, typer.Option("--no-code-version", help="The type has none now.")] = False,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="CONDITION", help=f"Only tasks of OLD such as 'lr>0.1'; {_MANY}"),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="WHICH", help="Of results that would share a key: newest or existing."),
    ] = None,
    module: Annotated[
        list[str] | None,
        typer.Option("--module", "-m", metavar="FILE", help="Check against the task types of this module."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Results of the type OLD that other code has made count as current.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="With --accept: all task types of the module.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Migrate although --module finds that the code has other fields.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take a migration back: the last one, or number OLD.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the migrations that can be undone.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    format: FormatOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Let results follow a class that was moved or renamed, or whose fields changed.

    Needs neither the old code nor the new. What depends on the class follows, too.

    Example: labtech cache migrate train.Fit models.Fit --rename lr=rate --dry-run

    Example: labtech cache migrate --accept Fit --module train.py
    """
    chosen = chosen_format(format, json, FORMATS)
    if keep is not None and keep not in KEEPS:
        raise unknown_choice("--keep", keep, KEEPS)
    place = make_lab(read_config(config, profile, storage, None)).storage
    if everything and not accept:
        raise ConfigError("--all is for --accept", hint="write 'module.*' for all types of a module")
    show = chosen if dry_run or format or json or output else None
    if list_:
        _list(place, chosen, output)
    elif undo:
        _undo(place, old, new, dry_run, show, output)
    elif accept:
        shaping: dict[str, Any] = {"--set": set, "--rename": rename, "--drop": drop, "--where": where, "--keep": keep}
        shaping |= {"--code-version": code_version, "--no-code-version": no_code_version}
        for option in [name for name, value in shaping.items() if value]:
            raise ConfigError(f"{option} and --accept contradict each other", hint="migrate first, then accept")
        words = [word for word in (old, new) if word is not None]
        with data_stream(output) as out:
            migration = plan_accept(place, words, module or (), everything)
            title = shlex.join(["--accept", *["--all"] * everything, *words])
            carry_out(place, migration, title, dry_run=dry_run, yes=yes, show=show, out=out)
    else:
        if old is None or new is None:
            raise ConfigError(
                "what is to become what is not said", hint="give the old name and the new one: migrate OLD NEW"
            )
        version = _version(code_version, no_code_version)
        asked = Asked(old, new, set or (), rename or (), drop or (), version, where or ())
        with data_stream(output) as out:
            migration = plan(place, asked, keep, module or (), insist=not dry_run and not force)
            carry_out(place, migration, _title(asked, keep), dry_run=dry_run, yes=yes, show=show, out=out)


def plan(place: Storage, asked: Asked, keep: str | None, modules: Sequence[str], *, insist: bool) -> Migration:
    """What there is to do, once it can be done: conflicts are errors, and doubts are warnings.

    `insist`: tasks that the code of `modules` would not find are an error, too.
    """
    described = place.described()
    if not described:
        raise ConfigError(f"storage '{place.describe()}' has no results", hint="name another with --storage")
    catalogue = Catalogue(place)
    request = read_request(asked, catalogue, described)
    migration = plan_migration(described, catalogue.rows, request, keep)
    if migration.undecided:
        raise undecided(migration, keep)
    if migration.unreadable:
        many = count(len(migration.unreadable), "task")
        print(f"warning: {many} with a damaged or foreign description: left alone", file=sys.stderr)
    if modules:
        _compare(check_code(described, migration.changes, [load_module(name) for name in modules]), insist)
    recoder = Recoder(Recorded(place))
    migration.changes = recoder.follow(migration.changes, request)
    migration.documents = recoder.documents
    return migration


def _compare(found: tuple[str, list[str]], insist: bool) -> None:
    """Say what comparing with the code has found; raise `ConfigError` for what is wrong if `insist`."""
    told, wrong = found
    print(told, file=sys.stderr)
    if wrong and insist:
        hint = "nothing was migrated; --force migrates all the same"
        raise ConfigError(f"the code would not find what is migrated: {'; '.join(wrong)}", hint=hint)
    for line in wrong:
        print(f"warning: {line}", file=sys.stderr)


def carry_out(
    place: Storage, migration: Migration, title: str, *, dry_run: bool, yes: bool, show: str | None, out: TextIO
) -> None:
    """Say what is to be done, ask, do it, and write what was done to `out` in the format `show`, if any."""
    number = None
    if not migration.changes:
        none = "no result was made by other code" if "--accept" in title else "no task would get another identity"
        print(f"nothing to do: {none}", file=sys.stderr)
    else:
        announce(migration)
        if not dry_run:
            if not yes and not confirmed("migrate"):
                raise typer.Exit(1)
            moves = signed(place, migration.moves)
            if migration.documents:
                place.keep(migration.documents)
            number = place.rewrite(moves, title)
            place.leave()
            print(f"done; 'labtech cache migrate --undo {number}' takes it back", file=sys.stderr)
    if show:
        write_moves(place, migration.changes, number, show, out)


def _undo(
    place: Storage, number: str | None, more: str | None, dry_run: bool, show: str | None, output: Path | None
) -> None:
    entry = _entry(place, f"{number} {more}" if more else number)
    present, done = place.present(), {move.new_key: move for move in entry.moves}
    changes = [
        Change(back, done[back.key].type, done[back.key].code_version, (), "undo", back.key in present)
        for back in entry.before
    ]
    many = there = sum(change.result for change in changes)
    if not dry_run:
        many = place.undo(entry.number)
        place.leave()
    stay = f"; {there - many} that were computed since stay as they are" if there > many else ""
    told = f"({count(many, 'result')}{stay})"
    print(f"{'would take' if dry_run else 'took'} back {entry.number}: {entry.title} {told}", file=sys.stderr)
    if show:
        with data_stream(output) as out:
            write_moves(place, changes, None if dry_run else entry.number, show, out)


def _entry(place: Storage, number: str | None) -> Journal:
    """The migration to undo: the last one, or that of a number, unless a later one built upon it."""
    journal = {str(entry.number): entry for entry in place.journal()}
    if not journal:
        raise ConfigError("there is no migration to undo", hint=f"the storage is '{place.describe()}'")
    entry = journal.get(number or list(journal)[-1])
    if entry is None:
        raise ConfigError(f"there is no migration {number}", hint=f"there are {', '.join(journal)}")
    here = {move.key for move in entry.before}
    for later in journal.values():
        if later.number > entry.number and not here.isdisjoint(move.key for move in later.moves):
            raise ConfigError(
                f"migration {entry.number} cannot be taken back before {later.number}, "
                "which moved some of its tasks on",
                hint=f"undo {later.number} first",
            )
    return entry


def _list(place: Storage, chosen: str, output: Path | None) -> None:
    with data_stream(output) as out:
        rows = [
            {"number": item.number, "at": utc(item.at), "tasks": len(item.moves), "title": item.title}
            for item in place.journal()
        ]
        write_rows(rows, None, chosen, out, schema="labtech.cache.migrations/1", key="migrations")
        if not rows:
            print("no migration can be undone", file=sys.stderr)


def _version(code_version: str | None, none: bool) -> tuple[str | None, ...]:
    if none and code_version is not None:
        raise ConfigError("--code-version and --no-code-version contradict each other", hint="give one of them")
    return (None,) if none else (code_version,) if code_version is not None else ()


def _title(asked: Asked, keep: str | None) -> str:
    """The command line again, for the journal."""
    words = [asked.old, asked.new]
    for option, values in (("--set", asked.set), ("--rename", asked.rename), ("--drop", asked.drop)):
        words += [word for value in values for word in (option, value)]
    for version in asked.code_version:
        words += ["--no-code-version"] if version is None else ["--code-version", version]
    words += [word for value in asked.where for word in ("--where", value)]
    return shlex.join([*words, "--keep", keep] if keep else words)
