"""Where named objects lie: what a storage without a database asks of a shared folder or an object store.

A name is a relative path with `/` between its parts, made by us, never taken unchecked from a listing.
An object is written whole or not at all, and reading one that is written anew gives the old bytes or
the new ones. Nothing else is assumed; what more a place can do, it says (`exclusive`).
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")

SCHEMES = ("file", "local")
"""URLs that mean a folder of this machine's file system."""


class Stamp(NamedTuple):
    """One version of an object: another size, tag or time means other bytes."""

    size: int
    tag: str
    time: float
    """When it was written by the place's own clock, in seconds; 0 where the place does not tell."""


class Place(ABC):
    """Named objects. Reading what is not there finds nothing; only `FileNotFoundError` counts as not there."""

    @property
    @abstractmethod
    def exclusive(self) -> bool:
        """Whether `create` is atomic: of several at once exactly one succeeds."""

    @abstractmethod
    def make(self, spool: str) -> None:
        """Make the place where it is not there. `spool` is this owner's own folder, to write beside in."""

    @abstractmethod
    def find(self, folder: str) -> dict[str, Stamp]:
        """Every object below a folder, by name: one listing. Links are not followed."""

    @abstractmethod
    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of those objects that are there."""

    @abstractmethod
    def put(self, objects: Mapping[str, bytes]) -> None:
        """Write objects, in place of those that are there; each of them atomically."""

    def announce(self, name: str, data: bytes) -> None:
        """Write an object before anything of this owner's is there, its spool included. Where nothing can be
        written at once without a spool, it may be seen empty for an instant."""
        self.put({name: data})

    @abstractmethod
    def create(self, objects: Mapping[str, bytes]) -> set[str]:
        """Write those objects that are not there; which were written."""

    @abstractmethod
    def upload(self, files: Mapping[str, str]) -> None:
        """Make objects of local files, by name. A file of our own spool may be moved."""

    @abstractmethod
    def withdraw(self, files: Mapping[str, str]) -> None:
        """Take `upload` back: the objects are gone and the local files are there."""

    @abstractmethod
    def fetch(self, sizes: Mapping[str, int]) -> dict[str, str]:
        """Local files with the bytes of these objects; an object that is not there, has another size or leads
        out of the place has no file."""

    @abstractmethod
    def move(self, name: str, new_name: str) -> None:
        """Give an object another name. One that is not there is let be."""

    @abstractmethod
    def remove(self, names: Iterable[str]) -> None:
        """Remove objects, and the folders that they leave empty. What is not there is let be."""

    @abstractmethod
    def spool(self, owner: str) -> str:
        """A local folder for files to upload."""

    @abstractmethod
    def sweep(self, lives: Callable[[str], bool]) -> None:
        """Remove the spools of dead owners. An owner that is listed was registered before."""

    @abstractmethod
    def leave(self) -> None:
        """Remove this owner's spool."""

    @abstractmethod
    def close(self) -> None:
        """Let go of local files. The place can be used again."""

    def now(self) -> float:
        """The time by the place's own clock, for ages: whether it can be written to is found out on the way."""
        name = f"probe/{uuid.uuid4().hex}.json"
        try:
            self.put({name: b"{}"})
            found = self.find("probe").get(name)
        finally:
            self.remove([name])
        return found.time if found else 0.0


def each(action: Callable[[T], R], items: Iterable[T], *, at_once: int) -> list[R]:
    """`action` of each item, many at a time: what takes the time is to wait for an answer. An error is raised
    after all have ended, so that nothing goes on behind the caller's back."""
    wanted = list(items)
    if at_once < 2 or len(wanted) < 2:
        return [action(item) for item in wanted]
    with ThreadPoolExecutor(min(at_once, len(wanted))) as pool:
        return list(pool.map(action, wanted))


def parent(name: str) -> str:
    """The folder of a name."""
    return name.rpartition("/")[0]
