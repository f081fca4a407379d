"""The cost of the locks of models for one thread: a small step, fprop, fprop and bprop, and predict, in two checkouts.

python -m benchmarks.locks --python NEW/.venv/bin/python --python OLD/.venv/bin/python [--rounds 15]

Each interpreter runs the bprop that it has installed. A round measures each once, one after the other; a result is
the median over rounds of the fastest block of a round, since a call is short and whatever disturbs it makes it slower.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

BLOCK, BLOCKS = 200, 30  # calls that are timed together; blocks of a round


def make_calls() -> dict:
    """Make the calls, functions without arguments; the model is 20-32-10 at batch 32, whose step takes some 10 us."""
    import numpy as np
    from bprop.modules import Linear, Sequential, SoftmaxCrossEntropy, Tanh
    from bprop.trainers import SGD, Trainer, compile_step

    model = Sequential(Linear(20, 32), Tanh(), Linear(32, 10))
    random = np.random.default_rng(0)
    x, labels = random.standard_normal((32, 20)).astype(np.float32), random.integers(0, 10, 32)
    grad_y = np.ones((32, 10), np.float32)
    trainer = Trainer(model.copy(), SoftmaxCrossEntropy(), SGD(lr=0.01), quiet=True)
    step, by_hand = compile_step(model.copy(), SoftmaxCrossEntropy(), SGD(lr=0.01)), model.copy()
    return {
        "step": lambda: step(x, labels),
        "fprop": lambda: model.fprop(x),
        "fprop, bprop": lambda: (by_hand.fprop(x), by_hand.bprop(grad_y)),
        "predict": lambda: trainer.predict(x),
    }


def run_worker() -> None:
    """Run the worker: for each line of input, print a line with the seconds of each call."""
    functions = make_calls()
    for function in functions.values():
        function()
    for _ in sys.stdin:
        print(json.dumps({name: measure_fastest(function) for name, function in functions.items()}), flush=True)


def measure_fastest(function) -> float:
    """Measure the seconds of a call in the fastest block."""
    times = []
    for _ in range(BLOCKS):
        start = time.perf_counter()
        for _ in range(BLOCK):
            function()
        times.append((time.perf_counter() - start) / BLOCK)
    return min(times)


def main() -> None:
    """Print the table: a row for each call, a column for each interpreter, the first one's time over the last one's."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--worker", action="store_true")
    arguments = parser.parse_args()
    if arguments.worker:
        return run_worker()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": os.sep}
    command = [os.path.abspath(__file__), "--worker"]  # as a file: so each imports what it has installed
    workers = [
        subprocess.Popen([os.path.abspath(python), *command], **pipes)
        for python in arguments.python or [sys.executable]
    ]
    rounds = []
    for _ in range(arguments.rounds):
        rounds.append([])
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
            rounds[-1].append(json.loads(worker.stdout.readline()))
    for name in rounds[0][0]:
        times = [statistics.median(each[k][name] for each in rounds) for k in range(len(workers))]
        print(f"{name:14s}" + "".join(f"{time * 1e6:9.2f} us" for time in times) + f"   {times[0] / times[-1]:.3f}")
    for worker in workers:
        worker.stdin.close()
        worker.wait()


if __name__ == "__main__":
    main()
