"""`python -m bprop.trainers.cli` is `bprop`."""

import sys

from ..runs.parent_watchdog import start_parent_watchdog
from . import main

if __name__ == "__main__":
    start_parent_watchdog()
    sys.exit(main())
