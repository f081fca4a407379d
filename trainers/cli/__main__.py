"""`python -m bprop.trainers.cli` is `bprop`."""

import sys

from ..runs.parent_watch import follow_parent
from . import main

if __name__ == "__main__":
    follow_parent()
    sys.exit(main())
