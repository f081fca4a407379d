"""The worker process of one side: `python -m benchmarks.worker SIDE THREADS`, commands as JSON lines."""

import contextlib
import io
import json
import statistics
import sys
import time

from .sides import describe_kernels, make_function, use_threads
from .workloads import GROUPS


def measure(function, seconds: float) -> dict[str, float]:
    """Measure the median time of a call, for about `seconds`."""
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
            if "kernels" in command:
                answer = {"kernels": describe_kernels(side)}
            else:
                if "group" in command:
                    function = make_function(side, GROUPS[command["group"]][command["number"]])
                with use_threads(side, threads):
                    answer = measure(function, command["seconds"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
