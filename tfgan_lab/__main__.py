"""`python -m tfgan_lab` is `tfgan-lab`."""

import sys

from tfgan_lab.cli import main


def run() -> None:
    """The console script's entry."""
    sys.exit(main())


if __name__ == "__main__":
    run()
