"""Which progress a stream gets."""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping
from typing import Literal, TextIO

from labtech_cli.report.base import Reporter
from labtech_cli.report.plain import PlainReporter, QuietReporter
from labtech_cli.report.summary import LogCommand

Mode = Literal["auto", "live", "plain", "none"]


def make_progress(
    mode: Mode,
    stream: TextIO,
    *,
    rerun_command: str | None = None,
    log_command: LogCommand | None = None,
    environ: Mapping[str, str] | None = None,
) -> Reporter:
    """The reporter that shows a run on `stream`.

    `auto` is `live` on a terminal and `plain` elsewhere, in CI and on a dumb terminal. `none` shows
    warnings and, at the end, failures. `rerun_command` is what the summary offers after a failure.
    """
    env = os.environ if environ is None else environ
    if mode == "auto":
        mode = "live" if _can_live(stream, env) else "plain"
    if mode == "live":
        return _live(stream, env, rerun_command, log_command)
    kind = PlainReporter if mode == "plain" else QuietReporter
    return kind(
        stream,
        rerun_command=rerun_command,
        log_command=log_command,
        colour=use_colour(stream, env),
        guarded=env.get("GITHUB_ACTIONS") == "true",
    )


def use_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether text on `stream` may be coloured. `NO_COLOR` is stronger than `FORCE_COLOR`."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0", "false"):
        return True
    return stream.isatty() and environ.get("TERM", "") != "dumb"


def _can_live(stream: TextIO, environ: Mapping[str, str]) -> bool:
    in_ci = environ.get("CI", "").lower() not in ("", "0", "false")
    dumb = environ.get("TERM", "") in ("dumb", "unknown")
    return stream.isatty() and not in_ci and not dumb and _is_utf8(stream)


def _is_utf8(stream: TextIO) -> bool:
    """Whether the bars of the display can be written."""
    try:
        return codecs.lookup(stream.encoding or "ascii").name.startswith("utf")
    except LookupError:
        return False


def _live(
    stream: TextIO, environ: Mapping[str, str], rerun_command: str | None, log_command: LogCommand | None
) -> Reporter:
    from rich.console import Console

    from labtech_cli.report.console import LiveReporter

    console = Console(
        file=stream,
        force_terminal=True,
        no_color=bool(environ.get("NO_COLOR")),
        highlight=False,
        legacy_windows=False,
        _environ=environ,
    )
    return LiveReporter(console, rerun_command=rerun_command, log_command=log_command)
