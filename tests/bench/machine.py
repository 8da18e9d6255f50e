"""What a measurement was made on and with: a number without it means nothing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil

REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def describe() -> dict[str, object]:
    from labtech_cli import __version__

    return {
        "platform": platform.platform(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "versions": {
            "labtech-cli": __version__,
            "sqlite": sqlite3.sqlite_version,
            "typer": importlib.metadata.version("typer"),
        },
        "command": " ".join(["python -m tests.bench", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "load_average": os.getloadavg(),
    }


def peer_versions(python: str) -> dict[str, str | None]:
    """The versions of the peers in their environment; None for one that is not installed."""
    names = [line.split("==")[0] for line in REQUIREMENTS.read_text().splitlines() if "==" in line]
    done = subprocess.run([python, "-c", _VERSIONS, *names], capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


_VERSIONS = """
import importlib.metadata, json, sys
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""
