"""The one tree of exceptions: each says what is wrong, where, and what to do.

Every failure that is ours is a `LabtechError`: a message, an optional hint and the exit status the
command line ends with. Failures of tasks are data (see `core.events`), not exceptions of this tree.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LabtechError(Exception):
    """Something a user can mend: `message` says what and where, `hint` what to do."""

    exit_status = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.hint), self.__dict__


class TaskError(LabtechError):
    """A task type, a task or one of its parameters is not what it must be."""


class LabError(LabtechError):
    """A lab is used where or how it cannot be."""


class ConfigError(LabtechError):
    """A configuration file, environment variable or option has a wrong key or value."""


class TargetError(LabtechError):
    """A target of the command line cannot be found, imported or built."""


class StorageError(LabtechError):
    """The storage cannot be read or written."""


class CacheError(LabtechError):
    """A result cannot be saved or loaded in its cache format."""

    exit_status = 1


class TaskNotFound(CacheError):
    """No result is stored for a task."""


class DamagedResult(CacheError):
    """A stored result does not match its checksum, or a part of it is missing."""


class UntrustedResult(CacheError):
    """A stored result carries no signature of an accepted key."""


class StaleResults(LabError):
    """Results would be used whose code has changed since, and `on_code_change` is 'error'."""


class RunnerError(LabtechError):
    """A runner cannot be started or used."""


class TaskFailed(LabtechError):
    """A run ended with failed tasks, so that a result that was asked for does not exist."""

    exit_status = 1


class TaskDiedError(TaskFailed):
    """The process that ran a task died."""


class RunInterrupted(LabtechError):
    """A run was stopped by a signal; `exit_status` is 128 plus its number."""

    def __init__(self, message: str, *, hint: str | None = None, exit_status: int = 130) -> None:
        super().__init__(message, hint=hint)
        self.exit_status = exit_status


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like `name`, or None when none is like it."""
    known = list(choices)
    lowered = {choice.lower(): choice for choice in known}
    if name.lower() in lowered:
        return lowered[name.lower()]
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(name: str, choices: Iterable[str], *, most: int = 8) -> str:
    """A hint for a wrong `name`: the nearest choice, else the choices (at most `most` of them)."""
    known = sorted(set(choices))
    close = nearest(name, known)
    if close is not None:
        return f"did you mean '{close}'?"
    if not known:
        return "there are none to choose from"
    shown = ", ".join(f"'{choice}'" for choice in known[:most])
    return f"choose from {shown}" + (f" and {len(known) - most} more" if len(known) > most else "")


def words_of(error: BaseException) -> str:
    """What a foreign exception says; it may raise another one when it is asked."""
    try:
        return str(error)
    except Exception as problem:
        return f"(its message cannot be shown: {type(problem).__name__})"


def type_and_words(error: BaseException) -> str:
    """A foreign exception in one line: `ValueError: no`."""
    return f"{type(error).__name__}: {words_of(error)}"


def _rebuild(kind: type[LabtechError], message: str, hint: str | None) -> LabtechError:
    return kind(message, hint=hint)
