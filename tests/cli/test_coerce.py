"""Option values converted without pydantic: the same rules for every command."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import pytest
import typer

from labtech_cli.cli.coerce import lighten


class Colour(enum.Enum):
    RED = "red"


def call(*arguments: str) -> dict[str, object]:
    """What a command with one parameter of each type is called with."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    seen: dict[str, object] = {}

    @app.command()
    def main(
        names: Annotated[list[str], typer.Argument(metavar="NAME...")],
        number: Annotated[int, typer.Option("--number", min=1)] = 1,
        maybe: Annotated[int | None, typer.Option("--maybe")] = None,
        share: Annotated[float | None, typer.Option("--share")] = None,
        path: Annotated[Path | None, typer.Option("--path")] = None,
        several: Annotated[list[str] | None, typer.Option("--several")] = None,
        flag: Annotated[bool, typer.Option("--flag")] = False,
        tri: Annotated[bool | None, typer.Option("--tri/--no-tri")] = None,
        colour: Annotated[Colour, typer.Option("--colour")] = Colour.RED,
    ) -> None:
        seen.update(locals())

    command = typer.main.get_command(app)
    lighten(command)
    lighten(command)  # a second time changes nothing
    command.main(args=list(arguments), standalone_mode=False)
    seen.pop("seen")
    return seen


def test_defaults_are_what_the_command_says() -> None:
    assert call("a") == {
        "names": ["a"],
        "number": 1,
        "maybe": None,
        "share": None,
        "path": None,
        "several": None,
        "flag": False,
        "tri": None,
        "colour": Colour.RED,
    }


def test_values_are_converted() -> None:
    given = call(
        *("a", "b", "--number", "3", "--maybe", "-2", "--share", "0.5", "--path", "x/y"),
        *("--several", "1", "--several", "", "--flag", "--no-tri", "--colour", "red"),
    )
    assert given["names"] == ["a", "b"]
    assert (given["number"], given["maybe"], given["share"]) == (3, -2, 0.5)
    assert given["path"] == Path("x/y")
    assert given["several"] == ["1", ""]
    assert (given["flag"], given["tri"]) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "--number", "x"], "'x' is not a whole number"),
        (["a", "--number", "1.5"], "'1.5' is not a whole number"),
        (["a", "--number", "0"], "0 is less than 1"),
        (["a", "--share", "half"], "'half' is not a number"),
        ([], "missing argument NAME"),
        (["a", "--nmber", "1"], "--nmber"),
    ],
)
def test_a_wrong_value_is_a_usage_error(arguments: list[str], said: str) -> None:
    with pytest.raises(typer.BadParameter.__base__) as caught:  # type: ignore[arg-type]
        call(*arguments)
    assert said in caught.value.format_message()
