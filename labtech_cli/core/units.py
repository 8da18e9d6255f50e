"""Durations and sizes as people write them, `90s`, `2h`, `4GB`, and as they read them, `2 h 4 min`, `1.2 GB`."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
DURATIONS = "write for example 90s, 15m, 2h or 7d"
SIZES = "write for example 500MB, 10GB or 1.5TiB"
MOST_SECONDS = 2**31 - 1
"""68 years: what the timers of every system take."""
MOST_BYTES = 2**63 - 1
"""8 EiB: no file, memory or counter is larger."""


def to_seconds(text: str) -> float:
    """A duration such as `90s`, `15m`, `1h30m`, `7d` in seconds. Raises `ValueError`."""
    lowered = text.strip().lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*", lowered)
    if not parts or "".join(re.split(r"\s+", lowered)) != "".join(number + unit for number, unit in parts):
        raise ValueError(text)
    if any(unit not in _SECONDS for _, unit in parts):
        raise ValueError(text)
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def to_bytes(text: str) -> int:
    """A size such as `500MB`, `10GB`, `1.5TiB` in bytes: powers of 1000, with an i of 1024. Raises `ValueError`."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgtp]?)(i?)b?)\s*", text.lower())
    if found is None or (found[3] and not found[2]):
        raise ValueError(text)
    many = float(found[1]) * (1024 if found[3] else 1000) ** " kmgtp".index(found[2] or " ")
    if many > MOST_BYTES:
        raise ValueError(text)
    return int(many)


def duration(seconds: float) -> str:
    """`40 ms`, `1.2 s`, `3 min 5 s`, `2 h 4 min`, `3 d 1 h`: two units at most. Whole seconds stay whole."""
    seconds = max(0, seconds)
    if isinstance(seconds, int) and seconds < 60:
        return f"{seconds} s"
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, below in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def size(many: float) -> str:
    """`512 B`, `1.2 GB`: powers of 1000, as `memory = "4GB"` means them."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    for unit in units:
        if many < 999.5 or unit == units[-1]:
            break
        many /= 1000
    return f"{many:.1f} {unit}" if many < 9.95 and unit != "B" else f"{many:.0f} {unit}"
