"""`labtech` and `python -m labtech_cli`."""

from __future__ import annotations

import atexit
import os
import signal
import sys

from labtech_cli.run.ending import leave, was_interrupted


def main() -> None:
    """Run the command line and exit with its status."""
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the last thing to be done: nothing can hang now
    if sys.argv[1:] in (["--version"], ["-V"]):  # asked by scripts: no need to import the command line
        from labtech_cli.cli.version import version_text

        print(version_text())
        return
    status = 130
    try:
        from labtech_cli.cli.main import run

        status = run(sys.argv[1:])
    except (KeyboardInterrupt, RuntimeError) as error:  # one that comes before or between the steps that expect it
        if not was_interrupted(error):
            raise
    signal.signal(signal.SIGINT, lambda *_: os._exit(status))  # what comes now changes nothing, and ends what hangs
    leave(status)


if __name__ == "__main__":
    main()
