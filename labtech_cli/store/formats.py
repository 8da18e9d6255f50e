"""How one result is written: cache formats turn a value into named files, and back.

Extend `BaseCache` with `KEY_PREFIX` (the format's name), `save_result` and `load_result`; both get an
object with `file_handle(key, filename, mode=...)`. Which storage the files end in is not their concern.
"""

from __future__ import annotations

import pickle
import struct
import sys
from typing import Any, ClassVar

from labtech_cli.core.present import render
from labtech_cli.core.task import DEFAULT_CACHE, TaskType
from labtech_cli.errors import CacheError, LabtechError, type_and_words
from labtech_cli.names import canonical_module
from labtech_cli.store.blobs import INLINE_MAX, PartFolder, Stored, StoredFiles

_ALIGN = 64  # what numpy and SIMD code like
_MAGIC = b"LTBUF\x00\x00\x01"


class BaseCache:
    """A cache format to extend."""

    KEY_PREFIX: ClassVar[str] = ""
    keeps_nothing: ClassVar[bool] = False

    def save_result(self, storage: Any, task: Any, result: Any) -> None:
        """Write `result` through `storage.file_handle(task.cache_key, filename, mode='wb')`."""
        raise NotImplementedError(f"{type(self).__name__} does not define save_result")

    def load_result(self, storage: Any, task: Any) -> Any:
        """The result, read through `storage.file_handle(task.cache_key, filename, mode='rb')`."""
        raise NotImplementedError(f"{type(self).__name__} does not define load_result")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class NullCache(BaseCache):
    """Keep no result beyond the run; `cache=None` means the same."""

    KEY_PREFIX = "null__"
    keeps_nothing = True


class PickleCache(BaseCache):
    """Pickle, with large buffers (numpy, pandas) kept apart and aligned, so that they can be mapped.

    `result.pickle` is an ordinary pickle where no buffer is large. `buffers.bin` holds the others: the
    8 bytes of `_MAGIC`, their number, their sizes, then each at a multiple of 64 bytes.
    """

    KEY_PREFIX = "pickle__"

    def save_result(self, storage: Any, task: Any, result: Any) -> None:
        _dump(storage, task.cache_key, result)

    def load_result(self, storage: Any, task: Any) -> Any:
        return _undump(storage, task.cache_key, type(task).__module__)


class JoblibCache(BaseCache):
    """`joblib.dump`, compressed when `compress` is not 0 (see joblib's documentation for its values)."""

    KEY_PREFIX = "joblib__"

    def __init__(self, compress: int | bool | str | tuple[str, int] = 0) -> None:
        self.compress = compress

    def save_result(self, storage: Any, task: Any, result: Any) -> None:
        import joblib

        with storage.file_handle(task.cache_key, "result.joblib", mode="wb") as file:
            joblib.dump(result, file, compress=self.compress)

    def load_result(self, storage: Any, task: Any) -> Any:
        import joblib

        with storage.file_handle(task.cache_key, "result.joblib", mode="rb") as file:
            return joblib.load(file)

    def __repr__(self) -> str:
        return f"JoblibCache(compress={self.compress!r})" if self.compress else "JoblibCache()"


_DEFAULT = PickleCache()
_BUILT_IN: dict[str, BaseCache] = {"pickle": _DEFAULT, "joblib": JoblibCache()}


def format_name(cache: Any) -> str:
    """The name a format is recorded under: its `KEY_PREFIX` without underscores, else its class's name."""
    return str(cache.KEY_PREFIX).rstrip("_") or type(cache).__name__


def format_of(kind: TaskType) -> Any:
    """The cache format results of a task type are written in, also when they are kept for the run only."""
    return _DEFAULT if kind.cache is DEFAULT_CACHE or kind.keeps_nothing else kind.cache


def save(task: Any, result: Any, spool: str) -> Stored:
    """Write `result` in the format of its task type. Whatever goes wrong, nothing half-written is left."""
    cache = format_of(type(task).__labtech__)
    folder = PartFolder(spool)
    try:
        cache.save_result(folder, task, result)
        if not folder.blobs:
            raise CacheError(f"{cache!r} wrote no file for the result")
    except BaseException:
        folder.discard()
        raise
    return Stored(format_name(cache), tuple(folder.blobs))


def load(task: Any, stored: Stored) -> Any:
    """The value of a stored result, in the format it was written in. Verify it first."""
    cache = format_of(type(task).__labtech__)
    if format_name(cache) != stored.format:
        if stored.format not in _BUILT_IN:
            raise CacheError(
                f"the result of {type(task).__labtech__.label} was written in the format '{stored.format}'",
                hint=f"give its task type that cache format again, or rerun it (now: {cache!r})",
            )
        cache = _BUILT_IN[stored.format]
    try:
        return cache.load_result(StoredFiles(stored), task)
    except LabtechError:
        raise
    except Exception as error:
        raise CacheError(
            f"the result of {render(task, 100)} cannot be loaded: {type_and_words(error)}",
            hint="what it was made of may have changed; 'labtech run --rerun-targets' computes it again",
        ) from error


def save_value(value: Any, spool: str) -> Stored:
    """Write a value that belongs to no task, such as one of the context."""
    folder = PartFolder(spool)
    try:
        _dump(folder, "", value)
    except BaseException:
        folder.discard()
        raise
    return Stored("pickle", tuple(folder.blobs))


def load_value(stored: Stored) -> Any:
    """The reverse of `save_value`; large buffers are mapped, not read."""
    return _undump(StoredFiles(stored), "", "__main__")


def _dump(files: Any, key: str, value: Any) -> None:
    buffers: list[memoryview] = []

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes <= INLINE_MAX:
            return True
        buffers.append(view)
        return False

    data = pickle.dumps(value, protocol=5, buffer_callback=in_band)
    with files.file_handle(key, "result.pickle", mode="wb") as file:
        file.write(data)
    if buffers:
        with files.file_handle(key, "buffers.bin", mode="wb") as file:
            _write_buffers(file, buffers)


def _undump(files: Any, key: str, home: str) -> Any:
    with files.file_handle(key, "result.pickle", mode="rb") as file:
        buffers = _read_buffers(files.view("buffers.bin")) if "buffers.bin" in files else None
        return _Unpickler(file, home, buffers).load()


class _Unpickler(pickle.Unpickler):
    """Finds classes of a script or notebook by either of its names (see `names.canonical_module`)."""

    def __init__(self, file: Any, home: str, buffers: list[memoryview] | None) -> None:
        super().__init__(file, buffers=buffers)
        self._home = home

    def find_class(self, module: str, name: str) -> Any:
        if module == "__main__" and not hasattr(sys.modules["__main__"], name.partition(".")[0]):
            module = self._home
        elif module not in sys.modules and module == canonical_module("__main__"):
            module = "__main__"
        return super().find_class(module, name)


def _write_buffers(file: Any, buffers: list[memoryview]) -> None:
    sizes = [view.nbytes for view in buffers]
    header = _MAGIC + struct.pack(f"<{len(sizes) + 1}Q", len(sizes), *sizes)
    file.write(header)
    position = len(header)
    for view in buffers:
        padding = -position % _ALIGN
        file.write(b"\0" * padding)
        file.write(view)
        position += padding + view.nbytes


def _read_buffers(view: memoryview) -> list[memoryview]:
    if bytes(view[:8]) != _MAGIC:
        raise CacheError("the buffers of the result are in an unknown format", hint="a newer labtech wrote them")
    (count,) = struct.unpack_from("<Q", view, 8)
    sizes = struct.unpack_from(f"<{count}Q", view, 16)
    position = 16 + 8 * count
    found = []
    for size in sizes:
        position += -position % _ALIGN
        found.append(view[position : position + size])
        position += size
    return found
