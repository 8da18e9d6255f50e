"""An exception out of the user's own code, told in one sentence, with the traceback trimmed to that code."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from types import TracebackType

from labtech_cli.errors import LabtechError, RunInterrupted, TargetError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_IMPORTLIB = _LIBRARY + "importlib" + os.sep
LONGEST_MESSAGE = 300  # characters of the user's own exception message that are repeated in ours


class UserCodeError(TargetError):
    """The user's module or function raised; `user_traceback` is the traceback from their first line on."""

    def __init__(self, message: str, *, hint: str | None = None, user_traceback: str = "") -> None:
        super().__init__(message, hint=hint)
        self.user_traceback = user_traceback

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.message, self.hint, self.user_traceback)


def blame(error: BaseException, subject: str, moment: str, folder: str) -> TargetError:
    """What to tell about `error`, raised by the user's code `subject` at the `moment` ("on import").

    `folder` holds the user's project: the line named is the innermost one in it. What is not a
    failure of that code (Ctrl-C, a run that was interrupted) is raised again instead.
    """
    if isinstance(error, (KeyboardInterrupt, RunInterrupted)):
        raise error
    place = location(error, folder)
    at = f" ({place})" if place else ""
    if isinstance(error, LabtechError):
        return TargetError(f"{subject} is wrong{at}: {error.message}", hint=error.hint)
    text = trimmed(error)
    if isinstance(error, SystemExit):
        code = "" if error.code is None else repr(error.code)
        guard = "put that under if __name__ == '__main__'" if moment == "on import" else "raise an exception instead"
        return UserCodeError(f"{subject} called sys.exit({code}) {moment}{at}", hint=guard, user_traceback=text)
    return UserCodeError(
        f"{subject} failed {moment} with {describe(error)}{at}",
        hint=f"correct {place or subject}, or what it calls",
        user_traceback=text,
    )


def describe(error: BaseException) -> str:
    """The type and the first line of the message of an exception."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:
        lines = []
    name = type(error).__name__
    if not lines:
        return name
    cut = "…" if len(lines[0]) > LONGEST_MESSAGE else ""
    return f"{name}: {lines[0][:LONGEST_MESSAGE]}{cut}"


def shown(path: str | Path) -> str:
    """`path` as a person in the working directory would write it."""
    full = os.path.abspath(path)
    try:
        short = os.path.relpath(full)
    except (ValueError, OSError):
        return full
    return full if short.startswith("..") else short


def is_installed(path: str) -> bool:
    """Whether a file or folder belongs to Python or an installed package, not to the user's project."""
    full = os.path.join(os.path.abspath(path), "")
    parts = full.split(os.sep)
    return full.startswith(_LIBRARY) or "site-packages" in parts or "dist-packages" in parts


def trimmed(error: BaseException) -> str:
    """The traceback of `error` from the first frame of the user's code on."""
    return "".join(traceback.format_exception(type(error), error, _first_frame(error.__traceback__))).rstrip("\n")


def location(error: BaseException, folder: str) -> str:
    """`file.py:line` of the innermost frame in the user's project, else of the first frame that is not ours.

    Empty when `error` does not come from code of the user at all.
    """
    frame = best = _first_frame(error.__traceback__)
    root = os.path.join(os.path.abspath(folder), "") if folder else ""
    while frame is not None:
        file = frame.tb_frame.f_code.co_filename
        generated = file.startswith("<")  # the __init__ of a dataclass, say
        file = os.path.abspath(file)
        if root and file.startswith(root) and not generated and not is_installed(file):
            best = frame if not file.startswith(_PACKAGE) else best
        frame = frame.tb_next
    return f"{shown(best.tb_frame.f_code.co_filename)}:{best.tb_lineno}" if best is not None else ""


def _first_frame(frame: TracebackType | None) -> TracebackType | None:
    """The first frame that is not ours and not of the import system."""
    while frame is not None:
        file = frame.tb_frame.f_code.co_filename
        if not file.startswith(("<", _PACKAGE, _IMPORTLIB)):
            return frame
        frame = frame.tb_next
    return None


def _rebuild(message: str, hint: str | None, user_traceback: str) -> UserCodeError:
    return UserCodeError(message, hint=hint, user_traceback=user_traceback)
