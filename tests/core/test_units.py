"""Durations and sizes are read as people write them; anything else is refused."""

from __future__ import annotations

import pytest

from labtech_cli.core.units import to_bytes, to_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1.5h", 5400), ("2 h", 7200), ("1h30m", 5400), ("7d", 604_800), ("200ms", 0.2), ("1W", 604_800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert to_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "90", "s", "-1s", "1y", "1h x", "1e3s", "h1", "1h30"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        to_seconds(text)


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("1.5TiB", 3 * 2**39), ("10 gb", 10**10), ("64k", 64_000), ("7", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert to_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1XB", "5iB", "1GBs", "9" * 400, "9" * 40 + "GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):
        to_bytes(text)
