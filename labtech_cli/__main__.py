"""`labtech` and `python -m labtech_cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    if sys.argv[1:] in (["--version"], ["-V"]):  # asked by scripts: no need to import the command line
        from labtech_cli.cli.version import version_text

        print(version_text())
        return
    from labtech_cli.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
