"""The kind of file system that a folder lies on, as far as Linux tells: SQLite's locks hold on local ones only."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

_KINDS = """
nfs nfs4 cifs smb smb3 smbfs ncpfs afs coda lustre gpfs mmfs ceph beegfs beegfs_nodev glusterfs panfs orangefs pvfs2
ocfs2 gfs2 9p vboxsf vmhgfs prl_fs davfs sshfs s3fs gcsfuse rclone goofys blobfuse blobfuse2 mfs moosefs lizardfs
juicefs mount-s3 vmhgfs-fuse
"""
_NETWORK = frozenset(_KINDS.split())
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_file_system(folder: Path) -> str | None:
    """The kind of network file system that `folder` lies on; None for a local one, or where nobody tells."""
    with suppress(OSError):
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        kind, point = mounted(text, os.path.realpath(folder))
        if is_network(kind, point):
            return kind
    return None


def mounted(mountinfo: str, path: str) -> tuple[str, str]:
    """The kind of file system that `path` lies on, and where that is mounted, both empty where the text does not say.

    `mountinfo` is the text of `/proc/self/mountinfo`. Of several mounts on one point the last one shows.
    """
    found = "", ""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5 or not after:
            continue
        point = _OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(found[1]):
            found = after.split(" ")[0], point
    return found


def is_network(kind: str, point: str) -> bool:
    """Whether other machines may see a file system of this kind, mounted there.

    A root of kind 9p is the disk of a sandbox or a virtual machine, which nobody shares.
    """
    if kind == "9p" and point == "/":
        return False
    return kind.removeprefix("fuse.") in _NETWORK
