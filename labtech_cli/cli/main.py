"""The command line: its commands, loaded when they are used, and how it ends."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from labtech_cli.cli.coerce import lighten
from labtech_cli.errors import LabtechError, did_you_mean, nearest
from labtech_cli.run.ending import was_interrupted

COMMANDS: dict[str, dict[str, str]] = {
    "Run": {
        "run": "Run targets and what they depend on; cached results are used.",
        "plan": "Show what a run would do, and why. Runs and writes nothing.",
        "why": "Say why a task would run again or not, and what changed.",
        "tasks": "List the task types and targets of a module.",
    },
    "Look": {
        "results": "Show cached results as a table, beside their parameters.",
        "diagram": "Draw the task types and how they depend on each other.",
        "cache": "List, show and look after cached results.",
        "runs": "List past runs, show how they ended and what they printed.",
    },
    "Set up": {
        "init": "Start a project: a commented labtech.toml and a small experiments.py.",
        "config": "Show the configuration, and where each value came from.",
    },
}
EXAMPLES = """\
Examples:
  labtech init demo                                  start a project
  labtech run experiments.py:evaluation              run a target on all cores
  labtech run experiments.py:Train --grid lr=0.1,0.2 run a parameter grid
  labtech plan experiments.py:evaluation --tasks     what would run, and why
  labtech cache ls --where 'lr>0.1'                  find results

'labtech COMMAND --help' shows the options of a command."""
_UsageError: Any = typer.BadParameter.__base__
_ClickError: Any = _UsageError.__base__


class Group(TyperGroup):
    """The commands above, each imported when it is named; `--help` imports none of them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for group in COMMANDS.values() for name in group]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            raise _UsageError(f"there is no command '{cmd_name}'; {did_you_mean(cmd_name, self.list_commands(ctx))}")
        module = importlib.import_module(f"labtech_cli.cli.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        lighten(command)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, group in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl(list(group.items()))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        formatter.write_paragraph()
        for line in EXAMPLES.splitlines():
            formatter.write_text(line) if not line.startswith(" ") else formatter.write(line + "\n")


app = typer.Typer(cls=Group, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=True)


@app.callback(invoke_without_command=True)
def labtech(
    ctx: typer.Context,
    version: bool = typer.Option(False, "--version", "-V", help="Show the version and exit."),
    traceback: bool = typer.Option(False, "--traceback", help="Show a traceback for every error."),
) -> None:
    """Plan, run, cache and track experiments written as Python tasks."""
    if version:
        from labtech_cli.cli.version import version_text

        print(version_text())
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
        raise typer.Exit(2)


def run(arguments: Sequence[str]) -> int:
    """Run a command line; the exit status. SIGTERM and SIGHUP end it as Ctrl-C does, with statuses of their own."""
    _open_closed_streams()
    if threading.current_thread() is not threading.main_thread():  # Python delivers no signals there
        return _run(arguments)
    came: list[int] = []
    home = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != home:  # a process that a module forked: not ours to keep alive
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        came.append(number)
        raise KeyboardInterrupt

    heard = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        status = _run(arguments)
        return 128 + came[0] if came else status
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(arguments: Sequence[str]) -> int:
    """Errors are drawn here and nowhere else."""
    show_all = "--traceback" in arguments
    arguments = [item for item in arguments if item != "--traceback"] if show_all else list(arguments)
    try:
        command = typer.main.get_command(app)
        lighten(command)
        status = command.main(args=list(arguments), prog_name="labtech", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except LabtechError as error:
        return _draw(error, show_all)
    except _ClickError as error:
        return _draw_usage(error)
    except typer.Exit as error:
        return int(error.exit_code)
    except (KeyboardInterrupt, RuntimeError) as error:
        if not isinstance(error, typer.Abort) and not was_interrupted(error):
            raise
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _drop_stdout()
        return 141
    except OSError as error:
        if error.filename is not None:
            raise  # not a stream of ours: a mistake of ours
        _drop_stdout()
        print(f"error: the output cannot be written: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return 2


def _draw(error: LabtechError, show_all: bool) -> int:
    theirs = getattr(error, "user_traceback", "")
    if theirs:
        print(theirs.rstrip(), file=sys.stderr)
    if show_all:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    print(f"error: {error}", file=sys.stderr)
    return error.exit_status


def _draw_usage(error: Any) -> int:
    context = getattr(error, "ctx", None)
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":
        print(context.get_help(), file=sys.stderr)
        return 2
    print(f"error: {_usage_message(error, context)}", file=sys.stderr)
    if context is not None:
        print(f"usage: {context.get_usage().removeprefix('Usage: ')}", file=sys.stderr)
        print(f"try '{context.command_path} --help'", file=sys.stderr)
    return 2


def _usage_message(error: Any, context: Any) -> str:
    """What is wrong with the command line, with the nearest option or command."""
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):  # there is no such option
        known = {name for item in context.command.get_params(context) for name in item.opts} if context else set()
        close = nearest(option, known)
        return f"there is no option '{option}'" + (f"; did you mean '{close}'?" if close else "")
    message = str(error.format_message()).rstrip(".")
    unknown = re.fullmatch(r"No such command '(.*?)'.*", message, re.DOTALL)
    if unknown and context is not None:
        return f"there is no command '{unknown[1]}'; {did_you_mean(unknown[1], context.command.list_commands(context))}"
    return message[:1].lower() + message[1:]


def _open_closed_streams() -> None:
    """Streams that were closed before we came (`>&-`) lead to nowhere, instead of to the next file opened."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _drop_stdout() -> None:
    """The reader of stdout went away: let nothing be written to it at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
