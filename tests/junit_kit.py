"""Reads JUnit XML as its consumers do: against a schema, and with a library that others use."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import junitparser
from lxml import etree

XSD = Path(__file__).parent / "data" / "junit.xsd"


@cache
def schema() -> Any:
    return etree.XMLSchema(etree.parse(XSD))


def suite_of(file: Path) -> Any:
    """The one suite of a file that is as the schema says, after its counts were checked against its cases."""
    schema().assertValid(etree.parse(file, etree.XMLParser(huge_tree=True)))
    told, counted = (next(iter(junitparser.JUnitXml.fromfile(str(file)))) for _ in range(2))
    counted.update_statistics()
    for name in ("tests", "failures", "errors", "skipped"):
        assert getattr(told, name) == getattr(counted, name)
    return told


def by_name(suite: Any) -> dict[str, Any]:
    """The test cases by name, which none shares with another."""
    cases = list(suite)
    found = {case.name: case for case in cases}
    assert len(found) == len(cases)
    return found
