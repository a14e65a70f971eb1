"""The command `labkit`: the command line, and a word in place of a traceback for a Ctrl-C while it is loaded."""

import sys


def main() -> None:
    try:
        from labkit.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was done yet\n")
        sys.exit(130)
    run()
