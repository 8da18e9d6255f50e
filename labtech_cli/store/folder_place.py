"""A folder that several machines share: objects are files, made beside and put into place by rename or link.

    spool/OWNER/     large parts and objects being written by one owner, on the folder's own file system

Assumed of the file system (NFS, SMB, Lustre, a local disk): a rename within it is atomic, and a link to
a name that exists fails. Where there are no links, an object that must not exist yet is opened
exclusively instead. No locks and no clocks are used. See docs/notes/shared-folders.md.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

from labtech_cli.store.links import entries, link_on_the_way, refuse_links, remove_tree
from labtech_cli.store.places import Place, Stamp, each, parent

_MANY = 64
_AT_ONCE = 16  # a server across a network answers many at once
_UNREADABLE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES}
"""What a file that is not there, or is not one of ours, says when it is opened."""
R = TypeVar("R")
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EXDEV, errno.EACCES}


class FolderPlace(Place):
    """Objects as files below a folder. A link below it that leads out of it is not followed."""

    exclusive = True

    def __init__(self, folder: str) -> None:
        self.root = os.path.abspath(os.path.expanduser(folder))
        self._beside = ""
        self._pid = 0
        self._inside: set[str] = set()
        """Folders that are known to be where their names say."""

    def path(self, name: str) -> str:
        """The file of an object."""
        return os.path.join(self.root, name)

    def make(self, spool: str) -> None:
        os.makedirs(self.root, exist_ok=True)
        for name in (f"spool/{spool}", "history"):
            refuse_links(self.root, name, f"file://{self.root}")
        self._beside, self._pid = self.path(f"spool/{spool}"), os.getpid()

    def find(self, folder: str) -> dict[str, Stamp]:
        found: dict[str, Stamp] = {}
        folders = [folder] if self._is_inside(folder) else []
        while folders:
            here = folders.pop()
            try:
                entries = list(os.scandir(self.path(here)))
            except FileNotFoundError:
                continue
            except PermissionError:
                if here == folder:
                    raise
                continue  # somebody else's folder never stops a listing
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{here}/{entry.name}")
                elif entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                    with suppress(FileNotFoundError):
                        found[f"{here}/{entry.name}"] = _stamp(entry.stat(follow_symlinks=False))
        return found

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        wanted = list(names)
        found = zip(wanted, self._each(self._read, wanted), strict=True)
        return {name: data for name, data in found if data is not None}

    def _read(self, name: str) -> bytes | None:
        if not self._is_inside(parent(name)):
            return None
        try:
            number = os.open(self.path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in _UNREADABLE:
                return None
            raise
        with open(number, "rb", buffering=0) as file:
            return file.read() if stat.S_ISREG(os.fstat(number).st_mode) else None

    def put(self, objects: Mapping[str, bytes]) -> None:
        self._each(lambda name: self._put(name, objects[name]), objects)

    def _put(self, name: str, data: bytes) -> None:
        beside = self._write_beside(data)
        try:
            self._into(name, lambda path: os.replace(beside, path))
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(beside)
            raise

    def announce(self, name: str, data: bytes) -> None:
        def write(path: str) -> None:
            with open(path, "xb", buffering=0) as file:
                try:
                    file.write(data)
                except BaseException:
                    os.unlink(path)
                    raise

        self._into(name, write)

    def create(self, objects: Mapping[str, bytes]) -> set[str]:
        done = zip(objects, self._each(lambda name: self._create(name, objects[name]), objects), strict=True)
        return {name for name, made in done if made}

    def _each(self, action: Callable[[str], R], names: Collection[str]) -> list[R]:
        """Few are done one by one: a local disk answers sooner than a thread starts."""
        return each(action, names, at_once=_AT_ONCE if len(names) >= _MANY else 1)

    def _create(self, name: str, data: bytes) -> bool:
        beside = self._write_beside(data)
        try:
            self._into(name, lambda path: os.link(beside, path))
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._create_without_links(name, data)
        finally:
            os.unlink(beside)
        return True

    def _create_without_links(self, name: str, data: bytes) -> bool:
        """Exclusive, though for an instant the object is there and empty: readers take it for a foreign one."""
        try:
            number = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        with open(number, "wb", buffering=0) as file:
            file.write(data)
        return True

    def upload(self, files: Mapping[str, str]) -> None:
        for name, source in files.items():
            if not source.startswith(self._beside + os.sep):  # somebody else's file stays where it is
                source, original = os.path.join(self._make_beside(), uuid.uuid4().hex), source
                shutil.copyfile(original, source)
            self._into(name, lambda path, source=source: os.rename(source, path))  # type: ignore[misc]

    def withdraw(self, files: Mapping[str, str]) -> None:
        for name, source in files.items():
            with suppress(FileNotFoundError):
                if source.startswith(self._beside + os.sep):
                    os.rename(self.path(name), source)
        self.remove(files)

    def fetch(self, sizes: Mapping[str, int]) -> dict[str, str]:
        found = {}
        root = os.path.realpath(self.root)
        for name, size in sizes.items():
            path = os.path.realpath(self.path(name))
            with suppress(OSError):
                if os.path.relpath(path, root) == name and os.stat(path).st_size == size:
                    found[name] = self.path(name)
        return found

    def move(self, name: str, new_name: str) -> None:
        if not self._is_inside(parent(name)):
            return
        with suppress(FileNotFoundError):
            os.stat(self.path(name), follow_symlinks=False)
            self._into(new_name, lambda path: os.rename(self.path(name), path))
            self._tidy(parent(name))

    def remove(self, names: Iterable[str]) -> None:
        folders = set()
        for name in names:
            if not self._is_inside(parent(name)):
                continue
            with suppress(FileNotFoundError):
                os.unlink(self.path(name))
            folders.add(parent(name))
        for folder in folders:
            self._tidy(folder)

    def _tidy(self, folder: str) -> None:
        """Remove a folder that is empty; the upper ones stay, for they are used again."""
        if folder.count("/") >= 2 or folder.startswith("damaged/"):
            with suppress(OSError):
                os.rmdir(self.path(folder))

    def spool(self, owner: str) -> str:
        path = self.path(f"spool/{owner}")
        os.makedirs(path, exist_ok=True)
        return path

    def sweep(self, lives: Callable[[str], bool]) -> None:
        for owner in entries(self.root, "spool"):
            if not lives(owner):
                remove_tree(self.root, f"spool/{owner}")

    def close(self) -> None:
        self.leave()

    def leave(self) -> None:
        if self._beside and self._pid == os.getpid():  # not that of a process that this one was forked from
            shutil.rmtree(self._beside, ignore_errors=True)

    def _make_beside(self) -> str:
        os.makedirs(self._beside, exist_ok=True)
        return self._beside

    def _write_beside(self, data: bytes) -> str:
        path = f"{self._beside}/{uuid.uuid4().hex}"
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:
            self._make_beside()
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with open(number, "wb", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
        except BaseException:
            os.unlink(path)
            raise
        return path

    def _into(self, name: str, action: Callable[[str], None]) -> None:
        """Do `action` on the path of a name, after its folder is made where it is not there yet."""
        path = self.path(name)
        self._check(name)
        try:
            action(path)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            action(path)

    def _check(self, name: str) -> None:
        """Raise `StorageError` when a link would lead what is written out of the storage."""
        folder = parent(name)
        if not self._is_inside(folder):
            refuse_links(self.root, folder, f"file://{self.root}")

    def _is_inside(self, folder: str) -> bool:
        """Whether a folder is where its name says; what lies behind a link is neither read nor touched."""
        if not folder or folder in self._inside:
            return True
        if link_on_the_way(self.root, folder) is not None:
            return False
        if folder.count("/") < 2:  # there are few of those, and many of the others
            self._inside.add(folder)
        return True


def _stamp(found: os.stat_result) -> Stamp:
    """The time of the last change of the inode: unlike the file's own time, nobody sets it, and a rename counts."""
    return Stamp(found.st_size, f"{found.st_ino}.{found.st_ctime_ns}", found.st_ctime)
