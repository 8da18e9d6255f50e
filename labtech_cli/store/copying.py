"""Results carried from one storage to another: whole, checked on both sides, and never twice.

Each batch is read, checked, written to the target's spool and committed; then what the target holds is
read and checked again. What is there with the same checksums is let be, so an interrupted copy goes on
where it was. Nothing of the source is changed. Neither storage is held on to between two batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from labtech_cli.core.codec import read_params
from labtech_cli.core.rekey import UNREADABLE, references
from labtech_cli.errors import DamagedResult, StorageError, UntrustedResult
from labtech_cli.store.batches import MOST, batches
from labtech_cli.store.blobs import Blob, PartFolder, Stored, digest, file_digest, is_strong
from labtech_cli.store.checking import Problem, damage, wrong_description
from labtech_cli.store.owners import BEAT_SECONDS
from labtech_cli.store.records import Record, Row, Timings
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import Storage

_PIECE = 1 << 20
Told = Callable[[int], None]
"""Is told of bytes that are done with."""


@dataclass(slots=True)
class Copied:
    """What became of the results that were to be copied."""

    copied: int = 0
    copied_bytes: int = 0
    overwritten: int = 0
    """How many of those took another result's place."""
    there: int = 0
    """How many the target had already."""
    described: int = 0
    """How many other tasks it was told of: those in the parameters of results, and how long tasks took."""
    problems: list[tuple[Row, Problem]] = field(default_factory=list)
    """The results that were not copied: damaged ones, those whose `signature` is not accepted, and each `conflict`
    with another result of that key."""


@dataclass(slots=True)
class Copier:
    """Copies results from `source` to `target`."""

    source: Storage
    target: Storage
    overwrite: bool = False
    """Whether a result takes the place of another one with its key."""
    dry_run: bool = False
    trust: Trust = field(default_factory=Trust)
    """Whose signatures are accepted; what nobody who is trusted has signed stays where it is."""
    told: Told = lambda many: None
    done: Copied = field(default_factory=Copied)
    _beaten: float = 0.0

    def copy(self, rows: Sequence[Row], *, everything: bool = False) -> Copied:
        """Copy the results of `rows`; with `everything`, also what is known of all other tasks."""
        try:
            self._describe(rows, everything)
            for batch in batches(rows):
                self._batch(batch)
                self._let_go()
            self._tell([_known(row) for row, problem in self.done.problems if problem.kind == "checksum"])
        finally:
            self._let_go()
        return self.done

    def _let_go(self) -> None:
        """What was fetched from afar, and what was spooled, goes."""
        self.source.close()
        self.target.close()

    # -- results -----------------------------------------------------------------------------------

    def _batch(self, rows: Sequence[Row]) -> None:
        keys = [row.key for row in rows]
        have, theirs = self.source.outlines(keys), self.target.outlines(keys)
        wanted = []
        for row in rows:
            if row.key in have and row.key in theirs and same(have[row.key], theirs[row.key]):
                self.done.there += 1
            elif (problem := wrong_description(row) or self._untrusted(row.key, have.get(row.key))) is not None:
                self.done.problems.append((row, problem))
            elif row.key in theirs and not self.overwrite:
                self.done.problems.append((row, Problem("conflict", "the target has another result of this task")))
            else:
                wanted.append(row)
                continue
            self.told(row.size)
        if wanted and self.dry_run:
            self._count(wanted, theirs)
        elif wanted:
            self._carry(wanted, theirs)

    def _untrusted(self, key: str, stored: Stored | None) -> Problem | None:
        """Going by names, sizes, checksums and the signature alone: the bytes are compared with those later."""
        try:
            if stored is not None:
                self.trust.check(key, stored)
        except UntrustedResult as error:
            return Problem("signature", error.message)
        return None

    def _count(self, rows: Sequence[Row], replaced: Iterable[str]) -> None:
        there = set(replaced)
        self.done.copied += len(rows)
        self.done.copied_bytes += sum([row.size for row in rows])
        self.done.overwritten += sum([row.key in there for row in rows])

    def _carry(self, rows: Sequence[Row], theirs: Iterable[str]) -> None:
        found = self.source.load([row.key for row in rows])
        records = []
        for row in rows:
            stored = self._spooled(row, found.pop(row.key, None))
            if stored is not None:
                records.append((row, self._record(row, stored)))
        self._keep([row for row, _ in records])
        self.target.commit([record for _, record in records])
        self._count(list(self._proven(records)), theirs)

    def _spooled(self, row: Row, stored: Stored | None) -> Stored | None:
        """The result written to the target's spool, checked on the way; None where that cannot be."""
        for attempt in range(2):  # a run may put another result in its place while it is read
            if stored is None:
                return None  # removed meanwhile
            folder = PartFolder(self.target.spool())
            try:
                self._write(folder, stored)
            except DamagedResult as error:
                folder.discard()
                problem = Problem("checksum", str(error))
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                hint = "what was copied before is safe: copy again to go on"
                raise StorageError(f"storage '{self.target.describe()}': {reason}", hint=hint) from None
            else:
                untrusted = self._untrusted(row.key, stored)
                if untrusted is None:
                    return stored._replace(blobs=tuple(folder.blobs))
                folder.discard()
                problem = untrusted
            stored = self.source.load([row.key]).get(row.key) if not attempt else stored
        self.done.problems.append((row, problem))
        return None

    def _write(self, folder: PartFolder, stored: Stored) -> None:
        for blob in stored.blobs:
            with folder.file_handle("", checked_name(blob), mode="wb") as file:
                for piece in pieces(blob):
                    file.write(piece)
                    self.told(len(piece))
                    self._beat()
            if (folder.blobs[-1].size, _sum_like(folder.blobs[-1], blob.digest)) != (blob.size, blob.digest):
                raise DamagedResult(f"'{blob.name}' does not match its checksum")
            folder.blobs[-1] = folder.blobs[-1]._replace(digest=blob.digest)

    def _beat(self) -> None:
        """A large result takes a while: other machines are to see that we live."""
        if time.monotonic() - self._beaten > BEAT_SECONDS:
            self._beaten = time.monotonic()
            self.target.beat()

    def _record(self, row: Row, stored: Stored) -> Record:
        return Record(
            row.key,
            row.type,
            row.code_version,
            row.params,
            row.duration,
            row.started_at,
            stored,
            self.overwrite,
            row.peak_memory,
            row.code,
            row.origin,
        )

    def _keep(self, rows: Sequence[Row]) -> None:
        """The texts that results name come before them."""
        digests = {name for row in rows for name in (row.code, row.origin) if name is not None}
        documents = self.source.documents(sorted(digests)) if digests else {}
        if documents:
            self.target.keep(documents)

    def _proven(self, records: Sequence[tuple[Row, Record]]) -> Iterator[Row]:
        """The results that the target gives back as they were written."""
        found = self.target.load([row.key for row, _ in records])
        for row, record in records:
            stored = found.pop(row.key, None)
            problem = _unlike(row, stored, record.stored)
            if problem is None:
                yield row
                continue
            if problem.kind != "conflict":
                self.target.set_aside(row.key)
            self.done.problems.append((row, problem))

    # -- descriptions --------------------------------------------------------------------------------

    def _describe(self, rows: Sequence[Row], everything: bool) -> None:
        """Tell the target of the tasks in the parameters of `rows`, so that they can be listed there too."""
        described, known = self.source.described(), {*self.target.described(), *[row.key for row in rows]}
        wanted = described if everything else nested(rows, described)
        missing = [key for key in wanted if key in described and key not in known]
        known_of = self.source.timings() if missing else Timings()
        seconds, peaks = known_of.by_key, known_of.memory_by_key
        self.done.described = len(missing)
        self._tell(
            [
                Record(key, *described[key], seconds.get(key, 0.0), 0.0, None, peak_memory=peaks.get(key))
                for key in missing
            ]
        )

    def _tell(self, records: Sequence[Record]) -> None:
        """Tell the target of tasks whose results it does not get."""
        whole = [] if self.dry_run else [record for record in records if wrong_description(record) is None]
        for start in range(0, len(whole), MOST):
            self.target.commit(whole[start : start + MOST])


def nested(rows: Iterable[Row], described: dict[str, tuple[str, str | None, str]]) -> dict[str, None]:
    """The keys of the tasks in the parameters of `rows`, and in theirs, however deep: each once."""
    found: dict[str, None] = {}
    texts = [row.params for row in rows]
    while texts:
        text = texts.pop()
        if '"$task"' not in text:
            continue
        try:
            keys = references(read_params(text))[0]
        except UNREADABLE:
            continue
        new = [key for key in keys if isinstance(key, str) and key not in found and key in described]
        found.update(dict.fromkeys(new))
        texts += [described[key][2] for key in new]
    return found


def same(one: Stored, other: Stored) -> bool:
    """Whether two results are the same bytes in the same format, going by their checksums."""
    return one.format == other.format and _sums(one) == _sums(other)


def _sums(stored: Stored) -> list[tuple[str, int, str]]:
    return sorted((blob.name, blob.size, blob.digest) for blob in stored.blobs)


def _sum_like(written: Blob, checksum: str) -> str:
    """The checksum of what was written, of the same kind as `checksum`: a signature is made of one kind."""
    strong = is_strong(checksum)
    if is_strong(written.digest) == strong:
        return written.digest
    return digest(written.data, strong) if written.data is not None else file_digest(str(written.path), strong)


def checked_name(blob: Blob) -> str:
    """The name of a part that there is. Raises `DamagedResult` for one whose bytes cannot be found."""
    if blob.data is None and not blob.path:
        raise DamagedResult(f"'{blob.name}' cannot be read")
    return blob.name


def pieces(blob: Blob) -> Iterator[bytes]:
    """The bytes of a part, no more than it is to have. Raises `DamagedResult` where they cannot be read."""
    if blob.data is not None:
        yield blob.data
        return
    left = blob.size + 1  # one more, so that a file that is too long is found out
    try:
        with open(str(blob.path), "rb", buffering=0) as file:
            while left and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece
    except OSError as error:
        raise DamagedResult(f"'{blob.name}' cannot be read: {error.strerror or error}") from None


def _unlike(row: Row, found: Stored | None, written: Stored | None) -> Problem | None:
    """What tells a result that the target gives back from the one that was written."""
    if found is None or written is None:
        return Problem("checksum", "it was not there after it was written")
    if not same(found, written):
        return Problem("conflict", "another run has committed another result of this task")
    problem = damage(row, found)
    return problem and problem._replace(message=f"after it was written: {problem.message}")


def _known(row: Row) -> Record:
    """What is known of a task without its result."""
    return Record(row.key, row.type, row.code_version, row.params, row.duration, row.started_at, None)
