"""What `labtech --version` says."""

from __future__ import annotations

import platform

from labtech_cli._version import __version__


def version_text() -> str:
    """The versions that matter in a bug report."""
    from labtech_cli.store.schema import SCHEMA_VERSION

    return f"labtech {__version__} (Python {platform.python_version()}, storage format {SCHEMA_VERSION})"
