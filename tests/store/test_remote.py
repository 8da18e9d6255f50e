"""Storages without a database: what is refused, what is passed over, what is said, and what is never made."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storage_kit import LARGE, as_somebody_else, content, files, flip, key, objects, record

from labtech_cli.errors import DamagedResult, StorageError
from labtech_cli.lab import Lab, open_storage
from labtech_cli.store import object_place, remote_sweep
from labtech_cli.store.blobs import verify
from labtech_cli.store.manifests import place_of
from labtech_cli.store.object_place import ObjectPlace, shown
from labtech_cli.store.remote import FsspecStorage

K, A, B = map(key, ("k", "a", "b"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def storage(folder: Path) -> FsspecStorage:
    return FsspecStorage(f"file://{folder}")


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of K behind the storage's back."""
    file = folder / place_of("results", K)
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_reading_where_there_is_nothing_makes_nothing(folder: Path, storage: FsspecStorage) -> None:
    assert storage.present() == {} == storage.described() == storage.load([K]) == storage.codes()
    assert storage.live() == [] == storage.journal() and storage.needed() == set() and storage.alone()
    assert storage.remove([K]) == 0
    storage.set_aside(K)
    storage.leave()
    storage.close()
    assert not folder.exists()


def test_reading_writes_nothing(folder: Path, storage: FsspecStorage) -> None:
    storage.commit([record(storage, K, b"small", LARGE)])
    storage.close()
    before = {name: os.stat(folder / name).st_ctime_ns for name in files(folder)}
    again = FsspecStorage(f"file://{folder}")
    assert set(again.present()) == {K} and content(again.load([K])[K]) == [b"small", LARGE]
    assert again.timings().by_key and again.described() and list(again.rows())
    again.close()
    assert before == {name: os.stat(folder / name).st_ctime_ns for name in files(folder)}


def test_results_are_one_manifest_and_a_file_for_each_large_part(folder: Path, storage: FsspecStorage) -> None:
    storage.commit([record(storage, K, b"small", LARGE)])
    found = storage.load([K])[K]
    assert str(found.blobs[1].path).startswith(f"{folder}/data/{K[:2]}/{K}."), "the file itself, to be mapped"
    storage.close()
    manifest, version = place_of("results", K), "labtech.json"
    assert [name for name in files(folder) if name.count("/") == 3] == [
        os.path.relpath(str(found.blobs[1].path), folder)
    ]
    assert {manifest, version} < set(files(folder))


def test_listings_read_only_what_changed(storage: FsspecStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.commit([record(storage, one, b"1") for one in (A, B)])
    storage.present()
    read: list[str] = []
    real = storage._place.read
    monkeypatch.setattr(storage._place, "read", lambda names: real([read.append(name) or name for name in names]))
    storage.present()
    list(storage.rows())
    assert read == []
    storage.commit([record(storage, B, b"2", took=9.0)])
    read.clear()
    assert storage.present()[B] == 9.0 and read == [place_of("results", B)]


# -- what is not trusted ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "junk",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"key": 1}', b"[" * 100_000, b'{"key":"%b","schema":99}' % K.encode()],
    ids=range(8),
)
def test_what_is_no_manifest_is_passed_over_and_written_over(folder: Path, storage: FsspecStorage, junk: bytes) -> None:
    storage.commit([record(storage, A, b"good"), record(storage, K, b"old")])
    (folder / place_of("results", K)).write_bytes(junk)
    assert set(storage.present()) == {A} and storage.load([K]) == {} and len(storage.stats()) == 1
    made = record(storage, K, b"new")
    made.replace = False
    storage.commit([made])
    assert content(storage.load([K])[K]) == [b"new"]
    (folder / place_of("results", K)).write_bytes(junk)
    storage.set_aside(K)
    assert not (folder / place_of("results", K)).exists() and any(K in name for name in files(folder / "damaged"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", A),
        ("type", None),
        ("params", 3),
        ("duration", "long"),
        ("started_at", [1]),
        ("format", None),
        ("signature", {}),
        ("schema", True),
    ],
)
def test_a_manifest_with_a_wrong_field_is_not_a_result(
    folder: Path, storage: FsspecStorage, field: str, value: object
) -> None:
    storage.commit([record(storage, K, b"1")])
    edit(folder, lambda document: document.update({field: value}))
    assert storage.present() == {} and storage.load([K]) == {}


@pytest.mark.parametrize(
    "part",
    [
        {"path": "/etc/passwd"},
        {"path": "../../etc/passwd", "name": "passwd"},
        {"path": f"data/{K[:2]}/../../../secret", "name": "secret"},
        {"path": f"data/{K[:2]}/{K}.12345678/../part-0"},
        {"path": f"data/{A[:2]}/{K}.12345678/part-0"},
        {"path": f"results/{K[:2]}/{K}.12345678/part-0"},
        {"name": "../part-0"},
        {"name": ""},
        {"name": "a\0b"},
        {"name": "x" * 5000},
        {"name": 7},
        {"size": -1},
        {"size": True},
        {"digest": None},
        {"path": None, "data": "not base64!"},
        {"path": 3},
    ],
    ids=str,
)
def test_a_part_that_leads_elsewhere_makes_the_result_damaged(
    folder: Path, storage: FsspecStorage, part: dict[str, object]
) -> None:
    storage.commit([record(storage, K, LARGE), record(storage, A, b"good")])
    edit(folder, lambda document: document["parts"][0].update(part))
    assert set(storage.present()) == {K, A}
    found = storage.load([K, A])
    with pytest.raises(DamagedResult):
        verify(found[K])
    assert content(found[A]) == [b"good"]
    storage.set_aside(K)
    assert set(storage.present()) == {A}


def test_links_that_lead_out_of_the_storage_are_not_followed(
    folder: Path, storage: FsspecStorage, tmp_path: Path
) -> None:
    storage.commit([record(storage, K, LARGE), record(storage, A, b"1"), record(storage, B, LARGE)])
    outside = tmp_path / "outside"
    outside.write_bytes(LARGE)
    file = Path(str(storage.load([K])[K].blobs[0].path))
    file.unlink()
    file.symlink_to(outside)
    with pytest.raises(DamagedResult):
        verify(storage.load([K])[K])

    data = Path(str(storage.load([B])[B].blobs[0].path)).parent
    data.rename(tmp_path / "moved")
    data.symlink_to(tmp_path / "moved")
    with pytest.raises(DamagedResult):
        verify(storage.load([B])[B])

    manifest = folder / place_of("results", A)
    manifest.rename(tmp_path / "manifest")
    manifest.symlink_to(tmp_path / "manifest")
    assert A not in storage.present() and storage.load([A]) == {}


@pytest.mark.parametrize("name", ["results", "data"])
def test_nothing_is_written_through_a_link_that_leads_out_of_the_storage(
    folder: Path, storage: FsspecStorage, tmp_path: Path, name: str
) -> None:
    (tmp_path / "outside").mkdir()
    storage.check_writable()
    (folder / name).symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError, match=f"its folder '{name}' is a link that leads elsewhere; replace"):
        storage.commit([record(storage, K, LARGE)])
    assert not any((tmp_path / "outside").iterdir())


def test_what_may_not_be_read_never_stops_a_listing(
    folder: Path, storage: FsspecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.commit([record(storage, one, b"1") for one in (K, A, B)])
    foreign = {str(folder / place_of("results", A)), str(folder / "results" / B[:2])}

    def guard(real: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(path: str, *arguments: Any) -> Any:
            if path in foreign:
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, *arguments)

        return guarded

    monkeypatch.setattr(os, "open", guard(os.open))
    monkeypatch.setattr(os, "scandir", guard(os.scandir))
    assert set(FsspecStorage(storage.url).present()) == {K}
    foreign.add(str(folder / "results"))
    with pytest.raises(StorageError, match="permission denied"):
        FsspecStorage(storage.url).present()


def test_damage_is_found(storage: FsspecStorage) -> None:
    storage.commit([record(storage, K, LARGE), record(storage, A, LARGE)])
    flip(Path(str(storage.load([K])[K].blobs[0].path)))
    os.truncate(str(storage.load([A])[A].blobs[0].path), 10)
    for one in (K, A):
        with pytest.raises(DamagedResult):
            verify(storage.load([one])[one])


def test_names_that_are_no_keys_are_refused(storage: FsspecStorage) -> None:
    for name in ("../x", "k", K.upper(), "/etc/passwd", K + "\n"):
        with pytest.raises(StorageError, match="not a cache key"):
            storage.commit([record(storage, name, b"1")])
        assert storage.load([name]) == {} and list(storage.rows([name])) == [] and storage.remove([name]) == 0
        storage.set_aside(name)
    with pytest.raises(StorageError, match="not a digest"):
        storage.keep({"../x": "text"})
    assert storage.documents(["../labtech"]) == {}


# -- what is said ----------------------------------------------------------------------------------


def test_a_newer_storage_is_refused_and_a_foreign_one_too(folder: Path) -> None:
    folder.mkdir()
    for text, words in (('{"program": "labtech", "schema": 2}', "upgrade labtech"), ("{}", "not labtech's")):
        (folder / "labtech.json").write_text(text)
        for action in (FsspecStorage.present, FsspecStorage.check_writable):
            with pytest.raises(StorageError, match=words):
                action(FsspecStorage(f"file://{folder}"))
    assert os.listdir(folder) == ["labtech.json"]


def test_a_folder_that_cannot_be_written_to_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)

    def action() -> None:
        FsspecStorage(f"file://{tmp_path}/shared").check_writable()

    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"not a directory|file exists"):
        FsspecStorage(f"file://{tmp_path}/file/storage").check_writable()
    if os.getuid() == 0:
        told = as_somebody_else(action)
        assert "StorageError" in told and "permission denied; check that it can be reached" in told


def test_urls_choose_the_storage_and_a_lab_takes_them(tmp_path: Path) -> None:
    assert isinstance(open_storage(f"file://{tmp_path}"), FsspecStorage)
    assert isinstance(Lab(storage="s3://bucket/lab").storage, FsspecStorage), "nothing is imported or reached"
    assert shown("ftp://me:secret@host/lab") == "ftp://me:***@host/lab"
    assert FsspecStorage("sftp://me:secret@host/lab").describe() == "sftp://me:***@host/lab"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(StorageError, match=r"protocol not known: nowhere; name a folder"):
        FsspecStorage("nowhere://x").present()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(StorageError, match="needs the package s3fs; pip install s3fs"):
        FsspecStorage("s3://x/y").check_writable()
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(StorageError, match=r"need the package fsspec; pip install 'labtech-cli\[remote\]'"):
        FsspecStorage("memory://x").present()


def test_a_shared_folder_needs_no_fsspec(folder: Path) -> None:
    code = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from labtech_cli.lab import open_storage\n"
        "storage = open_storage(sys.argv[1]); storage.check_writable(); print(storage.present())"
    )
    command = [sys.executable, "-c", code, f"file://{folder}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "{}\n", done.stderr
    assert not files(folder / "runs"), "who ends without closing is gone as well"


# -- other processes -------------------------------------------------------------------------------


def test_a_forked_process_is_another_owner_with_a_file_system_of_its_own(tmp_path: Path) -> None:
    for url in (f"file://{tmp_path}/storage", f"memory://{tmp_path}/storage"):
        storage = FsspecStorage(url)
        storage.enter([])
        storage.commit([record(storage, A, LARGE)])
        spool = storage.spool()

        def action(storage: FsspecStorage = storage, spool: str = spool) -> None:
            assert content(storage.load([A])[A]) == [LARGE]
            assert storage.spool() != spool and len(storage.live()) == 1
            storage.commit([record(storage, B, LARGE)])
            storage.close()

        pid = os.fork()
        if pid == 0:
            try:
                action()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        assert os.path.isdir(spool) and content(storage.load([A])[A]) == [LARGE] and storage.live() == []
        storage.close()
        assert not os.path.exists(spool)


def test_a_forked_process_that_only_reads_and_closes_takes_nothing_away(storage: FsspecStorage) -> None:
    storage.enter([K])
    with storage.claiming() as claim:
        claim(A, True)
    made = record(storage, K, LARGE)
    pid = os.fork()
    if pid == 0:
        try:
            storage.present()
            storage.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert FsspecStorage(storage.url).needed() == {K} and "leases/all.json" in objects(storage)
    storage.commit([made])


def test_large_parts_of_an_object_store_are_downloaded_once_and_go_with_the_storage(tmp_path: Path) -> None:
    storage = FsspecStorage(f"memory://{tmp_path}/storage")
    storage.commit([record(storage, K, LARGE)])
    paths = {str(storage.load([K])[K].blobs[0].path) for _ in range(2)}
    (path,) = paths
    assert os.path.exists(path)
    storage.close()
    assert not os.path.exists(path)


def test_local_folders_of_dead_processes_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_place.tempfile, "gettempdir", lambda: str(tmp_path))
    dead = tmp_path / f"labtech-remote.{os.getpid()}.1.x.{object_place._here()}"
    alive = tmp_path / f"labtech-remote.{os.getpid()}.{object_place.born(os.getpid())}.x.{object_place._here()}"
    elsewhere = tmp_path / "labtech-remote.1.1.x.elsewhere"
    for folder in (dead, alive, elsewhere):
        folder.mkdir()
    ObjectPlace("memory://x", {}).sweep(lambda owner: False)
    assert sorted(tmp_path.iterdir()) == sorted([alive, elsewhere])


def test_rubbish_is_swept_when_it_is_old_and_nobody_else_is_there(
    folder: Path, storage: FsspecStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.commit([record(storage, K, LARGE), record(storage, A, LARGE)])
    (folder / place_of("results", A)).write_text("unreadable, so nobody knows what it names")
    stray = folder / "data" / B[:2] / f"{B}.{'0' * 32}" / "part-0"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(LARGE)
    other = FsspecStorage(f"file://{folder}")
    other.enter([])
    for grace, others, stays in ((0.0, True, True), (3600.0, False, True), (0.0, False, False)):
        monkeypatch.setattr(remote_sweep, "GRACE", grace)
        if not others:
            other.close()
        storage.enter([])
        storage.leave()
        assert stray.exists() is stays
    assert len([name for name in objects(storage) if name.startswith("data/")]) == 2
    assert content(storage.load([K])[K]) == [LARGE]
