"""What a storage is: the index of all results, and their bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from labtech_cli.store.blobs import Stored


@dataclass(slots=True)
class Record:
    """A task that was run: described always, with its result where one is to be kept."""

    key: str
    type: str
    code_version: str | None
    params: str
    """As `core.codec.encode_params` writes them."""
    duration: float
    started_at: float
    stored: Stored | None
    replace: bool = True
    """Whether to replace a result that is there. A run that found none leaves alone what another run
    committed meanwhile: its files may be in use."""


@dataclass(slots=True)
class Row:
    """What a storage's listing tells of one result, without its bytes."""

    key: str
    type: str
    code_version: str | None
    params: str
    format: str
    started_at: float
    duration: float
    size: int


@dataclass(frozen=True, slots=True)
class TypeStats:
    """Totals of one task type."""

    type: str
    results: int
    size_bytes: int
    duration_seconds: float
    oldest: float
    newest: float


@dataclass(slots=True)
class Timings:
    """How long tasks took before: by key, else by type."""

    by_key: dict[str, float] = field(default_factory=dict)
    by_type: dict[str, float] = field(default_factory=dict)

    def of(self, task: Any) -> float | None:
        known = self.by_key.get(task._labtech_key)
        return known if known is not None else self.by_type.get(type(task).__labtech__.name)


class Storage(ABC):
    """Where results are kept. An entry exists once it is committed, and is committed last."""

    keeps = True
    """False when nothing is kept: then every task runs each time."""

    @abstractmethod
    def describe(self) -> str:
        """Where it is, for messages."""

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
