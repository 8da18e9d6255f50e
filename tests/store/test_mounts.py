"""Which file systems a local storage is refused on."""

from __future__ import annotations

from pathlib import Path

import pytest

from labtech_cli.errors import StorageError
from labtech_cli.store import database
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.mounts import is_network, mounted, network_file_system

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw,relatime shared:2 - autofs systemd-1 rw
31 30 0:41 / /home rw,relatime shared:3 master:7 - nfs4 server:/home rw,vers=4.2
32 31 8:2 / /home/me/local\\040disk rw - xfs /dev/sdb1 rw
33 22 0:50 / /mnt/a rw - fuse.sshfs me@there:/ rw
34 22 0:51 / /mnt/ab rw - tmpfs tmpfs rw
35 22 0:52 / /over rw - cifs //server/share rw
36 22 0:53 / /over rw - ext4 /dev/sdc1 rw
nonsense
37 22 0:54 / /cut rw -
"""


@pytest.mark.parametrize(
    ("path", "kind", "point"),
    [
        ("/", "ext4", "/"),
        ("/srv/labtech", "ext4", "/"),
        ("/home", "nfs4", "/home"),
        ("/home/me/project", "nfs4", "/home"),
        ("/homer", "ext4", "/"),
        ("/home/me/local disk/x", "xfs", "/home/me/local disk"),
        ("/mnt/a/b", "fuse.sshfs", "/mnt/a"),
        ("/mnt/ab/c", "tmpfs", "/mnt/ab"),
        ("/over/x", "ext4", "/over"),
        ("/cut/x", "ext4", "/"),
    ],
)
def test_the_nearest_and_last_mount_holds_a_path(path: str, kind: str, point: str) -> None:
    assert mounted(MOUNTS, path) == (kind, point)


def test_where_nothing_is_told_nothing_is_known() -> None:
    assert mounted("", "/x") == ("", "") and not is_network("", "")


def test_network_file_systems_are_known() -> None:
    kinds = "nfs nfs4 cifs smb3 lustre gpfs fuse.sshfs fuse.s3fs 9p ceph beegfs"
    for kind in kinds.split():
        assert is_network(kind, "/mnt")


def test_others_are_local() -> None:
    kinds = "ext4 xfs btrfs zfs tmpfs overlay apfs virtiofs fuseblk fuse.ntfs-3g"
    for kind in kinds.split():
        assert not is_network(kind, "/mnt")


def test_the_disk_of_a_sandbox_is_local() -> None:
    assert not is_network("9p", "/") and is_network("nfs", "/")


def test_this_folder_is_on_a_local_disk(tmp_path: Path) -> None:
    assert network_file_system(tmp_path) is None


def test_a_storage_is_read_there_but_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LocalStorage(tmp_path / "s").check_writable()
    monkeypatch.setattr(database, "network_file_system", lambda folder: "nfs4")
    storage = LocalStorage(tmp_path / "s")
    assert storage.present() == {}
    with pytest.raises(StorageError, match=rf"network file system \(nfs4\).*use file://{tmp_path}/s as the storage"):
        storage.check_writable()
    monkeypatch.setenv("LABTECH_TRUST_LOCKS", "0")
    with pytest.raises(StorageError, match="LABTECH_TRUST_LOCKS=1 allows it"):
        storage.check_writable()
    monkeypatch.setenv("LABTECH_TRUST_LOCKS", "1")
    storage.check_writable()
    storage.close()
