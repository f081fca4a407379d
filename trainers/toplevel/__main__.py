"""`python -m bprop` is `bprop`."""

import sys

from bprop.trainers.cli import main
from bprop.trainers.runs.parent_watch import follow_parent

if __name__ == "__main__":
    follow_parent()
    sys.exit(main())
