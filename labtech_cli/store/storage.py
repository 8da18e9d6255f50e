"""What a storage is: the index of all results, and their bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from labtech_cli.errors import StorageError
from labtech_cli.store.blobs import Stored
from labtech_cli.store.records import Aside, Claim, Journal, Move, Owner, Record, Row, Timings, TypeStats

Claiming: TypeAlias = Callable[[str, bool], Claim]
"""Asks for a task by key; the second argument says whether a result that is there would do."""


class Storage(ABC):
    """Where results are kept. An entry exists once it is committed, and is committed last."""

    keeps = True
    """False when nothing is kept: then every task runs each time."""

    @abstractmethod
    def describe(self) -> str:
        """Where it is, for messages."""

    def history(self) -> Path | None:
        """The folder that keeps the history of runs on this storage; None where nothing does."""
        return None

    @abstractmethod
    def check_writable(self) -> None:
        """Raise `StorageError` unless results can be written; makes the storage where there is none."""

    @abstractmethod
    def spool(self) -> str:
        """A folder for the large parts of results being written, on the storage's own file system."""

    @abstractmethod
    def present(self) -> dict[str, float]:
        """The key of every result, with the seconds it took to compute: one listing."""

    @abstractmethod
    def timings(self) -> Timings:
        """What is known of how long tasks take, results that were removed included."""

    @abstractmethod
    def commit(self, records: Sequence[Record]) -> None:
        """Write all of `records`, or none. Afterwards their results are found, and survive a crash."""

    @abstractmethod
    def load(self, keys: Sequence[str]) -> dict[str, Stored]:
        """The stored results that exist among `keys`; small parts as bytes, large ones as paths."""

    @abstractmethod
    def rows(self, keys: Iterable[str] | None = None) -> Iterator[Row]:
        """The results, or those of `keys`, oldest first. Never unpickles."""

    @abstractmethod
    def described(self) -> dict[str, tuple[str, str | None, str]]:
        """Every task ever recorded: its type, code_version and parameters, by key."""

    @abstractmethod
    def stats(self) -> list[TypeStats]:
        """Totals by task type."""

    @abstractmethod
    def remove(self, keys: Sequence[str]) -> int:
        """Remove results; how many there were. The tasks' descriptions and timings stay."""

    @abstractmethod
    def set_aside(self, key: str) -> None:
        """Take a damaged result out of the way, so that it counts as absent."""

    # What follows has a default that does without: then nothing is known of the code behind results,
    # two runs at once may both compute a task, and results cannot be given other identities.

    def exists(self) -> bool:
        """Whether there is one; where there is none, reading finds nothing and makes nothing."""
        return True

    def alike(self, kind: str, texts: Sequence[str], most: int) -> list[Row]:
        """Results of a type, at most so many: those first whose parameters lack fewest of `texts`, then the newest."""
        found = [row for row in self.rows() if row.type == kind]
        found.sort(key=lambda row: (sum([text not in row.params for text in texts]), -row.started_at))
        return found[:most]

    def incomplete(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` whose result cannot be whole: a file of it is gone, or has another size. Reads no file."""
        return set()

    def outlines(self, keys: Sequence[str]) -> dict[str, Stored]:
        """As `load`, but of each part its name, size and checksum alone: to compare results, not to read them."""
        return {key: stored.outline() for key, stored in self.load(keys).items()}

    def remove_unneeded(self, keys: Sequence[str]) -> int:
        """Remove results, but for those that other live runs need; how many there were."""
        needed = self.needed()
        return self.remove([key for key in keys if key not in needed])

    def compact(self) -> None:
        """Give back the room that removed results took, where the storage does not do so by itself."""

    def faults(self) -> list[str]:
        """What is wrong with what the storage finds its results by, in words; nothing is changed."""
        return []

    def mend(self) -> None:
        """Make anew what the storage finds its results by, as far as it can be made of the results themselves."""

    def aside(self) -> list[Aside]:
        """What was set aside as damaged, and not discarded since."""
        return []

    def discard(self, asides: Iterable[Aside]) -> None:
        """Remove what was set aside."""

    def keep(self, documents: Mapping[str, str]) -> None:
        """Keep texts under their digests, before results that name them are committed. Never changed later."""

    def documents(self, digests: Iterable[str]) -> dict[str, str]:
        """The texts that are kept under these digests; those that are not there are left out."""
        return {}

    def codes(self) -> dict[tuple[str, str | None], int]:
        """How many results there are by type and the digest of the code that produced them: one query."""
        return {}

    def produced_by(self, codes: Collection[str | None]) -> dict[str, str | None]:
        """The results that this code produced: code digests by key."""
        return {}

    def rewrite(self, moves: Sequence[Move], title: str) -> int:
        """Give results other identities: all of `moves`, or none, whatever happens. The number in the journal.

        A move whose key has no result renames the task's description alone. Raises `StorageError` when a
        new key has a result of its own that is not moved away, or a live run needs one of the results.
        """
        raise StorageError(f"storage '{self.describe()}' cannot give results other identities")

    def journal(self) -> list[Journal]:
        """The rewrites that were done and not undone, oldest first."""
        return []

    def undo(self, number: int) -> int:
        """Take a rewrite back; how many results got their identity back. The journal forgets it.

        Results that were computed since stay as they are: other code may have made them.
        """
        raise StorageError(f"storage '{self.describe()}' has no rewrite {number} to undo")

    def enter(self, needs: Collection[str]) -> None:
        """A run begins that needs the results of these keys: nothing removes them until it leaves or dies."""

    def leave(self) -> None:
        """The run is over: what it held is free, and rubbish of dead runs is swept."""

    def beat(self) -> None:
        """Say that the run lives. To be called every few seconds."""

    def claiming(self) -> AbstractContextManager[Claiming]:
        """Ask for tasks, many at a time; claims hold at the latest when the context ends."""
        return nullcontext(lambda key, reuse: Claim.MINE)

    def release(self, keys: Sequence[str]) -> None:
        """Give back claims of tasks that were not computed. A commit gives back its own."""

    def alone(self) -> bool:
        """Whether no other run has used the storage since the last claim: then claims are sure to be granted."""
        return True

    def live(self) -> list[Owner]:
        """The other runs that use the storage now."""
        return []

    def needed(self) -> set[str]:
        """The keys that other live runs need."""
        return set()

    def close(self) -> None:
        """Let go of files. The storage opens again when it is used again."""


class NullStorage(Storage):
    """Keeps nothing: every task runs each time, and its result lives as long as the run."""

    keeps = False

    def __init__(self) -> None:
        self._folder: Any = None

    def describe(self) -> str:
        return "none"

    def check_writable(self) -> None:
        return None

    def spool(self) -> str:
        import tempfile

        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="labtech-")
        return str(self._folder.name)

    def present(self) -> dict[str, float]:
        return {}

    def timings(self) -> Timings:
        return Timings()

    def commit(self, records: Sequence[Record]) -> None:
        return None

    def load(self, keys: Sequence[str]) -> dict[str, Stored]:
        return {}

    def rows(self, keys: Iterable[str] | None = None) -> Iterator[Row]:
        return iter(())

    def described(self) -> dict[str, tuple[str, str | None, str]]:
        return {}

    def stats(self) -> list[TypeStats]:
        return []

    def remove(self, keys: Sequence[str]) -> int:
        return 0

    def set_aside(self, key: str) -> None:
        return None

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
