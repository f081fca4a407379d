"""`python -m bprop.trainers.cli` is `bprop`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
