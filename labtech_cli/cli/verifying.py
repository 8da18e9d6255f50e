"""`labtech cache verify`: whether results are whole, and with `--load` whether they can be loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple

import typer

from labtech_cli.cli.catalogue import Catalogue, short
from labtech_cli.cli.choosing import catalogue_of, statuses_of
from labtech_cli.cli.filters import Filters
from labtech_cli.cli.meter import meter
from labtech_cli.cli.options import (
    ConfigOption,
    CurrentOption,
    FormatOption,
    JsonOption,
    ModuleOption,
    NamesArgument,
    OlderOption,
    OrphanedOption,
    OutputOption,
    ProfileOption,
    SetOption,
    StaleOption,
    StorageOption,
    WhereOption,
    chosen_format,
)
from labtech_cli.cli.shared import data_stream, make_lab, read_config
from labtech_cli.errors import ConfigError, StorageError, UntrustedResult
from labtech_cli.report.tables import FORMATS
from labtech_cli.report.words import count, one_line, size
from labtech_cli.store.checking import Checked, Problem, check
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import Storage

_LOADED_AT_ONCE = 200


def verify(
    names: NamesArgument = None,
    load: Annotated[
        bool, typer.Option("--load", help="Also load each result (needs --module). Unpickles: only what you trust.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Move damaged results aside, so that a run computes them again; make the index anew."
        ),
    ] = False,
    where: WhereOption = None,
    older_than: OlderOption = None,
    module: ModuleOption = None,
    stale: StaleOption = False,
    current: CurrentOption = False,
    orphaned: OrphanedOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    format: FormatOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Check that results are whole (formats: table, json, jsonl, csv, md). Exits 1 if one is not and stays.

    Reads every byte and compares checksums, and looks at the index; nothing is unpickled without --load.

    Example: labtech cache verify --repair
    """
    resolved = read_config(config, profile, storage, sets)
    chosen = chosen_format(format, json, FORMATS)
    if load and not module:
        raise ConfigError("--load needs the modules that define the task types", hint="add --module FILE.py")
    with data_stream(output) as out:
        from labtech_cli.report.tables import write_rows

        index = _index(make_lab(resolved).storage, repair)  # first: it is what results are listed by
        catalogue = catalogue_of(resolved, module)
        statuses = statuses_of(module, stale, current, orphaned)
        rows = Filters(names or (), where or (), older_than, statuses).select(catalogue)
        found = _Found(catalogue, repair, index)
        with meter("verifying", sum([row.size for row in rows])) as told:
            items = _trusted(check(catalogue.storage, rows))
            for item in _loaded(catalogue, items, found) if load else items:
                found.add(item)
                told(item.row.size)
        if repair:
            catalogue.storage.leave()
        extra = found.document(load)
        write_rows(found.problems, None, chosen, out, schema="labtech.cache.verify/1", key="problems", extra=extra)
    found.tell()
    if found.damaged + found.unloadable > found.repaired or index.faults:
        raise typer.Exit(1)


class _Index(NamedTuple):
    """How what the storage finds its results by was found."""

    mended: list[str]
    """What was wrong and is no longer."""
    faults: list[str]
    """What is wrong."""


def _index(storage: Storage, repair: bool) -> _Index:
    """Look at the index, and make it anew if it is damaged and that is asked for."""
    faults = storage.faults()
    if not faults or not repair:
        return _Index([], faults)
    try:
        storage.mend()
    except StorageError as error:  # it goes on with what can be read
        return _Index([], [*faults, str(error)])
    finally:
        storage.close()
    left = storage.faults()
    return _Index([] if left else faults, left)


class _Found:
    """What was found so far."""

    def __init__(self, catalogue: Catalogue, repair: bool, index: _Index) -> None:
        self._storage, self._repair, self._index = catalogue.storage, repair, index
        self.checked = self.size = self.damaged = self.unloadable = self.repaired = self.unknown = 0
        self.problems: list[dict[str, Any]] = []
        if faults := index.faults or index.mended:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            self._problem("", "", Problem("index", f"{faults[0]}{more}"), set_aside=False)

    def add(self, item: Checked) -> None:
        """Count a result, and move it aside if it is damaged and that is asked for."""
        self.checked += 1
        self.size += item.row.size
        if item.problem is None:
            return
        damaged = item.problem.kind not in ("load", "signature")
        self.damaged += damaged
        self.unloadable += not damaged
        if damaged and self._repair:
            self._storage.set_aside(item.row.key)
            self.repaired += 1
        self._problem(item.row.key, short(item.row.type), item.problem, set_aside=damaged and self._repair)

    def _problem(self, key: str, kind: str, problem: Problem, *, set_aside: bool) -> None:
        message = one_line(problem.message, 500)
        told = {"key": key, "type": kind, "problem": problem.kind, "message": message, "set_aside": set_aside}
        self.problems.append(told)

    def document(self, load: bool) -> dict[str, Any]:
        """The counts, as the JSON document has them."""
        return {
            "storage": self._storage.describe(),
            "checked": self.checked,
            "size_bytes": self.size,
            "damaged": self.damaged,
            "set_aside": self.repaired,
            "loaded": self.checked - self.damaged - self.unloadable - self.unknown if load else 0,
            "unloadable": self.unloadable,
            "not_loaded": self.unknown,
        }

    def tell(self) -> None:
        """The counts, in words."""
        if self._index.mended:
            print("the index of the storage was damaged: made anew", file=sys.stderr)
        if self._index.faults:
            told = "'labtech cache copy' carries what can be read elsewhere"
            told = told if self._repair else "'labtech cache verify --repair' makes it anew"
            print(f"the index of the storage is damaged: {told}", file=sys.stderr)
        said = f"checked {count(self.checked, 'result')}, {size(self.size)}: "
        said += f"{self.damaged:,} damaged" if self.damaged else "all are whole"
        if self.unloadable:
            said += f", {self.unloadable:,} cannot be loaded"
        print(said, file=sys.stderr)
        if self.repaired:
            print(f"moved aside: {count(self.repaired, 'result')}; 'labtech run' computes them again", file=sys.stderr)
        elif self.damaged:
            print("'labtech cache verify --repair' moves them aside, and a run computes them again", file=sys.stderr)
        if self.unloadable:
            told = "what is whole but cannot be loaded stays: mend what is told of it, or 'labtech cache rm KEY'"
            print(told, file=sys.stderr)
        if self.unknown:
            print(f"not loaded: {count(self.unknown, 'result')} that --module does not define", file=sys.stderr)


def _trusted(items: Iterable[Checked]) -> Iterator[Checked]:
    """The results; where they are to be signed, those that are not have that problem."""
    trust = Trust.from_environment()
    for item in items:
        try:
            if item.stored is not None:
                trust.check(item.row.key, item.stored)
            yield item
        except UntrustedResult as error:
            yield item._replace(stored=None, problem=Problem("signature", error.message))


def _loaded(catalogue: Catalogue, items: Iterable[Checked], found: _Found) -> Iterator[Checked]:
    """The results, those that are whole loaded too, some at a time."""
    from labtech_cli.store.restore import Restorer

    restorer = Restorer(catalogue.storage.described())
    batch: list[Checked] = []
    size = 0
    for item in items:
        batch.append(item)
        size += item.row.size
        if len(batch) == _LOADED_AT_ONCE or size > 64 << 20:
            yield from _tried(restorer, batch, found)
            batch, size = [], 0
    yield from _tried(restorer, batch, found)


def _tried(restorer: Any, batch: list[Checked], found: _Found) -> Iterator[Checked]:
    from labtech_cli.run.trial import trials

    whole = [item for item in batch if item.stored is not None]
    tasks = {task._labtech_key: task for task in restorer.tasks([item.row.key for item in whole])}
    pairs = [(tasks[item.row.key], item.stored) for item in batch if item.stored is not None and item.row.key in tasks]
    found.unknown += len(whole) - len(pairs)
    told = {task._labtech_key: message for (task, _), message in zip(pairs, trials(pairs), strict=True)}
    for item in batch:
        message = told.get(item.row.key)
        yield item if message is None else item._replace(problem=Problem("load", message))
