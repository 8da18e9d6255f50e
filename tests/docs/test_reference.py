"""The reference names every command, option, setting and schema that exists, and its JSON is JSON."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import labtech_cli
from labtech_cli.cli.main import COMMANDS, app
from labtech_cli.project.settings import FREE_TABLES, OTHER_VARIABLES, SETTINGS

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
SECTIONS = {
    title: text
    for title, _, text in (part.partition("\n") for part in re.split(r"^##+ ", REFERENCE, flags=re.MULTILINE)[1:])
}
SHARED = ("Options that select the lab", "Options that write data", "Targets and parameters")
SCHEMA = re.compile(r'"(labtech\.[a-z.]+/\d+)"')
NOT_YET = ("LABTECH_SIGNING_KEY",)  # known to the configuration, without an effect so far


def commands() -> Iterator[tuple[str, Any]]:
    for group in COMMANDS.values():
        for name in group:
            module = importlib.import_module(f"labtech_cli.cli.{name}")
            yield from leaves(f"labtech {name}", typer.main.get_command(module.app))


def leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, one in inner.items():
        yield from leaves(f"{name} {word}", one)


def options(command: Any) -> set[str]:
    named = {name for item in command.params if item.param_type_name == "option" for name in item.opts}
    named |= {name for item in command.params if item.param_type_name == "option" for name in item.secondary_opts}
    return named - {"--help", "--install-completion", "--show-completion"}


def names(text: str) -> set[str]:
    """The options that `text` names in code."""
    return {word for code in re.findall(r"`([^`\n]+)`", text) for word in code.split() if word.startswith("-")}


COMMAND_LIST = dict(commands())
SHARED_OPTIONS = {name for title in SHARED for name in names(SECTIONS[title])}


@pytest.mark.parametrize("name", COMMAND_LIST)
def test_every_command_and_option_is_named(name: str) -> None:
    section = SECTIONS[f"`{name}`"]
    own = names(section)
    exist = options(COMMAND_LIST[name])
    inherited = own | (names(SECTIONS["`labtech cache ls`"]) if name == "labtech cache rm" else set())
    assert exist <= inherited | SHARED_OPTIONS
    # What its section names, it has.
    assert {item for item in own if item != "-"} <= exist


def test_the_options_of_labtech_itself_are_named() -> None:
    assert options(typer.main.get_command(app)) <= names(SECTIONS["Commands"])
    assert {"--help", "--install-completion", "--show-completion"} <= names(SECTIONS["Commands"])


def test_no_command_is_named_that_does_not_exist() -> None:
    titles = {title.strip("`") for title in SECTIONS if title.startswith("`labtech ")}
    assert titles == set(COMMAND_LIST)


def test_options_that_select_the_lab_are_where_it_is_said() -> None:
    selecting = names(SECTIONS["Options that select the lab"]) - {"-s"}
    for name, command in COMMAND_LIST.items():
        missing = selecting - options(command)
        if name == "labtech cache show":
            assert missing == {"--set"}
        elif name == "labtech config path":
            assert missing == selecting - {"--config"}
        else:
            assert missing in (set(), selecting), name


def test_every_setting_and_variable_is_named() -> None:
    table = SECTIONS["Configuration"]
    for setting in SETTINGS:
        assert f"| `{setting.key}` |" in table
        assert f"`{setting.variable}`" in table
    for name in FREE_TABLES:
        assert f"`{name}.NAME`" in table
    for variable in OTHER_VARIABLES:
        assert (f"`{variable}`" in SECTIONS["Environment variables"]) is (variable not in NOT_YET)


def emitted() -> set[str]:
    found = set()
    for file in (ROOT / "labtech_cli").rglob("*.py"):
        found |= set(SCHEMA.findall(file.read_text(encoding="utf-8")))
    # What keys and signatures digest, and what a storage keeps for itself: none of it is ever printed.
    inner = ("key", "key-name", "signature", "code", "codes", "origin")
    return found - {f"labtech.{name}/1" for name in inner}


def test_every_schema_has_a_section_and_an_example() -> None:
    assert len(emitted()) >= 8
    for schema in emitted():
        assert f'"schema": "{schema}"' in SECTIONS[schema]
    assert {title for title in SECTIONS if re.fullmatch(r"labtech\.[a-z.]+/\d+", title)} == emitted()


def test_the_examples_are_json() -> None:
    blocks = re.findall(r"^```json\n(.*?)^```$", REFERENCE, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    for block in blocks:
        documents = [block] if block.startswith("{\n") else block.splitlines()
        assert all(json.loads(document)["schema"].startswith("labtech.") for document in documents)


def test_every_public_name_is_explained() -> None:
    python = REFERENCE.partition("\n## Python\n")[2]
    for name in labtech_cli.__all__:
        assert name == "__version__" or re.search(rf"`@?{name}\b", python), name
