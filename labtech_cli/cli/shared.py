"""What commands do alike: configuration to lab, targets to tasks, and data to stdout alone."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from labtech_cli.errors import ConfigError
from labtech_cli.project.config import Config, load_config

if TYPE_CHECKING:
    from labtech_cli.lab import Lab
    from labtech_cli.project.targets import Targets

TargetsArgument = Annotated[
    list[str], typer.Argument(metavar="TARGET...", help="FILE.py:NAME, package.module:NAME, or an alias.")
]
ParamOption = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter of a function or task type."),
]
GridOption = Annotated[
    list[str] | None,
    typer.Option("--grid", metavar="NAME=V1,V2|A..B", help="Several values of a parameter; grids multiply out."),
]
WorkersOption = Annotated[int | None, typer.Option("--workers", "-j", metavar="N", min=1, help="Tasks at a time.")]
RunnerOption = Annotated[
    str | None,
    typer.Option("--runner", metavar="NAME", help="process, spawn, fork, fork-per-task, thread or serial."),
]


def read_config(
    config: Path | None, profile: str | None, storage: str | None, sets: Sequence[str] | None, **flags: Any
) -> Config:
    """The configuration, flags included (`workers=4` is `lab.workers`); its warnings go to stderr."""
    overrides = {"lab.storage": storage, **{f"lab.{name}": value for name, value in flags.items()}}
    resolved = load_config(file=config, profile=profile, overrides=overrides, sets=sets or ())
    for warning in resolved.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return resolved


def find_targets(
    texts: Sequence[str], config: Config, params: Sequence[str] | None = None, grids: Sequence[str] | None = None
) -> Targets:
    """Import the modules and make the tasks. Code that runs a lab on import is refused meanwhile."""
    from labtech_cli.project.targets import resolve_targets

    gc.disable()  # making many tasks at once is all growth: collecting finds nothing and costs a fifth
    try:
        with importing(", ".join(texts)):
            return resolve_targets(
                texts,
                params=params or (),
                grids=grids or (),
                aliases=config.targets,
                base=Path.cwd(),
                alias_base=config.root,
            )
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        gc.enable()


def load_module(name: str) -> ModuleType:
    """The user's module that a file or dotted name stands for. Code that runs a lab on import is refused."""
    from labtech_cli.project.modules import import_target_module

    with importing(name):
        return import_target_module(name, Path.cwd())


@contextmanager
def importing(what: str) -> Iterator[None]:
    """While entered, no lab runs in this process: the user's modules are only looked at."""
    from labtech_cli.run import guard

    guard.importing = what
    try:
        yield
    finally:
        guard.importing = None


def make_lab(config: Config, targets: Targets | None = None) -> Lab:
    """The lab of a configuration; loaders are found beside the configuration file, too."""
    from labtech_cli.lab import Lab, lab_arguments

    if config.loaders and str(config.root) not in sys.path:
        sys.path.append(str(config.root))
    lab = Lab(**lab_arguments(config))
    lab.modules = targets.modules if targets else ()
    return lab


@contextmanager
def data_stream(output: Path | None = None) -> Iterator[TextIO]:
    """Where data goes: a file, or the real stdout, while everything else that is printed goes to stderr.

    Descriptor 1 itself leads to stderr meanwhile, so that nothing a user's module or a library prints
    is ever mixed with data. `output` is written when all went well: an error leaves what it had.
    """
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        raise _unwritable(output, "is a directory" if output.is_dir() else "no such file or directory")
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    encoding = sys.stdout.encoding or "utf-8"
    stream: TextIO = io.StringIO()
    if output is None:
        stream = open(real, "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    try:
        yield stream
        stream.flush()
        if isinstance(stream, io.StringIO) and output is not None:
            _write(stream.getvalue(), output)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), real)  # what is still in the buffers goes there
        if isinstance(error, BrokenPipeError):  # the reader went away, as `| head` does: a status of its own
            raise typer.Exit(141) from None
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise ConfigError(f"stdout cannot be written: {str(error.strerror).lower()}") from None
        raise
    finally:
        stream.close()
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)


def confirmed(verb: str) -> bool:
    """Ask on the terminal whether to do it, as "remove". Raises `ConfigError` where there is none."""
    if not sys.stdin.isatty():
        raise ConfigError(f"nothing was {verb}d: there is no terminal to ask on", hint=f"add --yes to {verb}")
    print(f"{verb} them? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _write(text: str, output: Path) -> None:
    try:
        output.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise _unwritable(output, (error.strerror or str(error)).lower()) from None


def _unwritable(output: Path, reason: str) -> ConfigError:
    return ConfigError(f"--output {output}: {reason}", hint="name a file in a folder that exists")
