"""One contestant in a process of its own: `python -m benchmarks.worker SIDE THREADS`, commands as JSON lines."""

import contextlib
import io
import json
import statistics
import sys
import time

from .sides import SIDES
from .workloads import WORKLOADS


def set_threads(side: str, threads: int) -> None:
    """Pin the number of threads of the libraries that take it at run time; the rest is in the environment."""
    if side.startswith("torch"):
        import torch

        torch.set_num_threads(threads)


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
    set_threads(side, threads)
    function = None
    for line in sys.stdin:
        command = json.loads(line)
        with contextlib.redirect_stdout(io.StringIO()):
            if "workload" in command:
                function = SIDES[side](WORKLOADS[command["workload"]])
                start = time.perf_counter()
                function()
                answer = {"first": time.perf_counter() - start}
                measure(function, command["warm_up"])
            else:
                answer = measure(function, command["seconds"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
