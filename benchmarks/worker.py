"""One contestant in a process of its own: `python -m benchmarks.worker SIDE THREADS`, commands as JSON lines."""

import contextlib
import io
import json
import statistics
import sys
import time

from .sides import make, using
from .workloads import GROUPS


def measure(function, seconds: float) -> dict[str, float]:
    """Median time of a call over about `seconds`."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return {"median": statistics.median(times), "fastest": min(times), "calls": len(times)}


def main() -> None:
    side, threads = sys.argv[1], int(sys.argv[2])
    answers = sys.stdout
    function = None
    for line in sys.stdin:
        command = json.loads(line)
        with contextlib.redirect_stdout(io.StringIO()):
            if "group" in command:
                function = make(side, GROUPS[command["group"]][command["number"]])
            with using(side, threads):
                answer = measure(function, command["seconds"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
