"""Where a result comes from: host, user, versions, git commit and command line, as one document per run."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from labtech_cli._version import __version__

SCHEMA = "labtech.origin/1"
_GIT_SECONDS = 5.0
_GIT = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]


class Origin:
    """Gathers what a run's results record of where they were made. Git is asked while the run starts."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self._git: subprocess.Popen[bytes] | None = None
        with suppress(OSError):  # there is no git: the results do without
            self._git = subprocess.Popen(
                _GIT,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            )

    def document(self, packages: Mapping[str, str], arguments: Sequence[str]) -> tuple[str, str]:
        """The digest of the document, and its text."""
        commit, dirty = self._commit()
        found: dict[str, Any] = {
            "schema": SCHEMA,
            "host": platform.node(),
            "user": user_name(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "labtech": __version__,
            "packages": dict(sorted(packages.items())),
            "git_commit": commit,
            "git_dirty": dirty,
            "argv": list(arguments),
            "folder": os.getcwd(),
        }
        text = json.dumps(found, ensure_ascii=True, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest(), text

    def _commit(self) -> tuple[str | None, bool | None]:
        """The commit of the user's repository, and whether its files differ from it; None where there is none."""
        if self._git is None:
            return None, None
        try:
            out, _ = self._git.communicate(timeout=_GIT_SECONDS)
        except subprocess.TimeoutExpired:  # a very large repository: better no word than a wait
            self.close()
            return None, None
        text = out.decode().strip()
        if self._git.returncode != 0 or not text:
            return None, None
        return text.removesuffix("-dirty"), text.endswith("-dirty")

    def close(self) -> None:
        """End git, if it still runs."""
        if self._git is not None and self._git.returncode is None:
            self._git.kill()
            self._git.communicate()


def command_line() -> list[str]:
    """How this process was started, the program by its name."""
    return [os.path.basename(sys.argv[0]) if sys.argv else "", *sys.argv[1:]]


def user_name() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this user id, as in some containers
        return str(os.getuid())
