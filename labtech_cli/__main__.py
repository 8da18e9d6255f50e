"""`labtech` and `python -m labtech_cli`."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys


def main() -> None:
    """Run the command line and exit with its status."""
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the last thing to be done: nothing can hang now
    if sys.argv[1:] in (["--version"], ["-V"]):  # asked by scripts: no need to import the command line
        from labtech_cli.cli.version import version_text

        print(version_text())
        return
    from labtech_cli.cli.main import run

    status = 130
    with contextlib.suppress(KeyboardInterrupt):  # that comes between two of the last steps
        status = run(sys.argv[1:])
    signal.signal(signal.SIGINT, lambda *_: os._exit(status))  # what comes now changes nothing, and ends what hangs
    sys.exit(status)


if __name__ == "__main__":
    main()
