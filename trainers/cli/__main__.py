"""`python -m bprop.trainers.cli` is `bprop`."""

import sys

from . import main

sys.exit(main())
