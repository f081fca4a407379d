"""`python -m bprop` is `bprop`."""

import sys

from bprop.trainers.cli import main
from bprop.trainers.runs.parent_watchdog import start_parent_watchdog

if __name__ == "__main__":
    start_parent_watchdog()
    sys.exit(main())
