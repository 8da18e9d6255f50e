"""Objects in any file system that fsspec knows: S3, GCS, Azure, SFTP, memory.

fsspec is imported when such a place is first used, and its file system is made in the process that uses
it: those that keep a connection or an event loop do not survive a fork. Of asynchronous ones many objects
are read and written at once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from labtech_cli.errors import StorageError
from labtech_cli.store.owners import born, this_host
from labtech_cli.store.places import Place, Stamp, each, parent

_AT_ONCE = 32
_BATCH = 500  # objects read at a time: bounds memory
_TEMPORARY = "labtech-remote"
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
R = TypeVar("R")


class ObjectPlace(Place):
    """Objects below a URL. Large ones are downloaded once, into a local folder that goes when it is closed."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url, self._options = url, dict(options)
        self._fs: Any = None
        self._root = ""
        self._pid = 0
        self._local: str | None = None
        self._exclusive: bool | None = None

    # -- the file system -------------------------------------------------------------------------

    @property
    def fs(self) -> Any:
        """The file system of this process; one made before a fork is never touched."""
        if self._fs is None or self._pid != os.getpid():
            if self._pid != os.getpid():
                self._local = None  # the other process's
            self._fs, self._root = _open(self.url, self._options)
            self._pid = os.getpid()
        return self._fs

    def path(self, name: str) -> str:
        """The path of an object, as the file system names it."""
        _ = self.fs
        return f"{self._root}/{name}"

    @property
    def exclusive(self) -> bool:
        """Tried once: not every file system minds the mode."""
        if self._exclusive is None:
            name = f"probe/{uuid.uuid4().hex}.json"
            try:
                self._exclusive = self._create(name, b"1") and not self._create(name, b"2")
            except (TypeError, ValueError, NotImplementedError):
                self._exclusive = False
            finally:
                self.remove([name])
        return self._exclusive

    def _each(self, action: Callable[[str], R], names: Iterable[str]) -> list[R]:
        return each(action, names, at_once=_AT_ONCE if getattr(self.fs, "async_impl", False) else 1)

    # -- objects ---------------------------------------------------------------------------------

    def make(self, spool: str) -> None:
        """Nothing: a bucket or a folder that is missing is made when something is written into it."""

    def find(self, folder: str) -> dict[str, Stamp]:
        path = self.path(folder)
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(path, detail=True)
        except FileNotFoundError:
            return {}
        start = len(path.rstrip("/")) - len(folder)
        return {name[start:]: _stamp(info) for name, info in found.items() if info.get("type") != "directory"}

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        wanted = list(names)
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), _BATCH):
            some = wanted[start : start + _BATCH]
            found.update({name: data for name, data in self._read(some) if data is not None})
        return found

    def _read(self, names: list[str]) -> list[tuple[str, bytes | None]]:
        if not getattr(self.fs, "async_impl", False) or any(mark in self._root for mark in "*?["):
            return list(zip(names, self._each(self._read_one, names), strict=True))
        paths = {self.path(name): name for name in names}
        answers = self.fs.cat(list(paths), on_error="return").items()
        for _, answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                raise answer
        return [(paths[path], answer) for path, answer in answers if isinstance(answer, bytes)]

    def _read_one(self, name: str) -> bytes | None:
        try:
            return bytes(self.fs.cat_file(self.path(name)))
        except (FileNotFoundError, IsADirectoryError):
            return None

    def put(self, objects: Mapping[str, bytes]) -> None:
        self._each(lambda name: self._into(name, lambda path: self.fs.pipe_file(path, objects[name])), objects)

    def create(self, objects: Mapping[str, bytes]) -> set[str]:
        names = list(objects)
        action = self._create if self.exclusive else self._create_with_luck
        done = self._each(lambda name: action(name, objects[name]), names)
        return {name for name, made in zip(names, done, strict=True) if made}

    def _create(self, name: str, data: bytes) -> bool:
        try:
            self._into(name, lambda path: self.fs.pipe_file(path, data, mode="create"))
        except FileExistsError:
            return False
        return True

    def _create_with_luck(self, name: str, data: bytes) -> bool:
        """Look, write, look again: of two at the same instant, the last to write is the one."""
        if self.fs.exists(self.path(name)):
            return False
        self.put({name: data})
        return self._read_one(name) == data

    def upload(self, files: Mapping[str, str]) -> None:
        self._each(lambda name: self._into(name, lambda path: self.fs.put_file(files[name], path)), files)

    def withdraw(self, files: Mapping[str, str]) -> None:
        self.remove(files)

    def move(self, name: str, new_name: str) -> None:
        with suppress(FileNotFoundError):
            self._into(new_name, lambda path: self.fs.cp_file(self.path(name), path))
            self.remove([name])

    def remove(self, names: Iterable[str]) -> None:
        self._each(self._remove, names)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(self.path(name))

    def _into(self, name: str, action: Callable[[str], object]) -> None:
        """Do `action` on the path of a name, after its folder is made where the file system has folders."""
        try:
            action(self.path(name))
        except FileNotFoundError:
            self.fs.makedirs(parent(self.path(name)), exist_ok=True)
            action(self.path(name))

    # -- local files -----------------------------------------------------------------------------

    def fetch(self, sizes: Mapping[str, int]) -> dict[str, str]:
        names = list(sizes)
        done = self._each(lambda name: self._fetch(name, sizes[name]), names)
        return {name: path for name, path in zip(names, done, strict=True) if path is not None}

    def _fetch(self, name: str, size: int) -> str | None:
        """Downloaded once: data is never written anew under the same name."""
        path = os.path.join(self._folder(), "down", name)
        if os.path.exists(path):
            return path if os.path.getsize(path) == size else None
        os.makedirs(os.path.dirname(path), exist_ok=True)
        beside = f"{path}.{uuid.uuid4().hex[:8]}"
        try:
            if self.fs.size(self.path(name)) != size:
                return None
            self.fs.get_file(self.path(name), beside)
            if os.path.getsize(beside) != size:
                return None
            os.replace(beside, path)
        except FileNotFoundError:
            return None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside)
        return path

    def spool(self, owner: str) -> str:
        path = os.path.join(self._folder(), "up")
        os.makedirs(path, exist_ok=True)
        return path

    def _folder(self) -> str:
        if self._local is None or self._pid != os.getpid():
            _ = self.fs
            pid = os.getpid()
            self._local = tempfile.mkdtemp(prefix=f"{_TEMPORARY}.{pid}.{born(pid)}.", suffix=f".{_here()}")
            weakref.finalize(self, _remove_own, self._local, pid)
        return self._local

    def sweep(self, lives: Callable[[str], bool]) -> None:
        """Local folders of processes of this machine that are dead: the spools of other machines are theirs."""
        for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}.*.{_here()}"):
            _, pid, start, *_ = folder.name.split(".")
            if pid.isdigit() and born(int(pid)) != start:
                shutil.rmtree(folder, ignore_errors=True)

    def leave(self) -> None:
        if self._local is not None and self._pid == os.getpid():
            shutil.rmtree(os.path.join(self._local, "up"), ignore_errors=True)

    def close(self) -> None:
        if self._local is not None and self._pid == os.getpid():
            shutil.rmtree(self._local, ignore_errors=True)
        self._local = None


def _remove_own(folder: str, pid: int) -> None:
    """At the end of the process that made it, not of one that was forked from it."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def _here() -> str:
    """This machine or container, as part of a file name: pids of another one mean nothing here."""
    return "".join(letter if letter.isalnum() else "-" for letter in this_host())[:80]


def _open(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """The file system and the path of a URL. Raises `StorageError` that says what to install."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise StorageError(
            f"storage '{shown(url)}': URLs need the package fsspec",
            hint="pip install 'labtech-cli[remote]', or name a local folder",
        ) from None
    protocol = url.partition("://")[0].rpartition("::")[2]
    quiet = {"use_listings_cache": False, "skip_instance_cache": True}  # a listing must see what others did
    try:
        fs, path = url_to_fs(url, **quiet, **options)
    except ImportError as error:
        package = _PACKAGES.get(protocol) or getattr(error, "name", None) or f"an fsspec package for {protocol}"
        raise StorageError(
            f"storage '{shown(url)}': {protocol}:// needs the package {package}", hint=f"pip install {package}"
        ) from None
    except ValueError as error:
        raise StorageError(
            f"storage '{shown(url)}': {str(error)[:1].lower()}{str(error)[1:]}",
            hint="name a folder, or a URL such as s3://bucket/path or file:///shared/folder",
        ) from None
    return fs, path.rstrip("/")


def shown(url: str) -> str:
    """A URL without the password that may be in it."""
    scheme, separator, rest = url.partition("://")
    user, at, place = rest.partition("@")
    if separator and at and "/" not in user and ":" in user:
        return f"{scheme}://{user.partition(':')[0]}:***@{place}"
    return url


def state_folder(url: str) -> Path:
    """Where this machine's user keeps what belongs to a URL and is not kept there."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state"
    return base / "labtech" / hashlib.blake2b(url.encode(), digest_size=8).hexdigest()


def _stamp(info: Mapping[str, Any]) -> Stamp:
    """What file systems tell of an object differs; whatever of it changes when the object does is its tag."""
    names = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated", "created")
    tag = "|".join(str(info[name]) for name in names if info.get(name) is not None)
    return Stamp(int(info.get("size") or 0), tag, _time(info))


def _time(info: Mapping[str, Any]) -> float:
    for name in ("LastModified", "last_modified", "updated", "mtime", "modified", "created"):
        value = info.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, str):
            with suppress(ValueError):
                return datetime.fromisoformat(value).timestamp()
    return 0.0
