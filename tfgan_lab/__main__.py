"""`python -m tfgan_lab` is `tfgan-lab`."""

import os
import sys


def run() -> None:
    """The console script's entry."""
    _open_missing_streams()
    try:
        from tfgan_lab.cli import main
        from tfgan_lab.cli.output import Output

        sys.stdout = Output(sys.stdout)
        sys.exit(main())
    except KeyboardInterrupt:  # while the command line was imported
        print("tfgan-lab: interrupted.", file=sys.stderr)
        sys.exit(130)


def _open_missing_streams() -> None:
    """A closed descriptor would be the next opened file's, and what libraries print would be written into it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free one: this
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


if __name__ == "__main__":
    run()
