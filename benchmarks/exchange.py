"""The constants of the model of docs/parallel_model.md, measured, and steps of two ranks beside the model's times.

    python -m benchmarks exchange --rounds 5

Messages go through shared memory, through TCP over loopback, and between two hosts, if they are there: those of
`benchmarks/two_hosts.sh up 1000`, as root. Each measurement is a job of its own of Open MPI with two ranks of one core
each; a result is the median over rounds of a job's median.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from examples.parallel.simulate import Network, Work, predict

from .contest import ROOT, make_environment, with_settings
from .workloads import CNN, MNIST, Layers

MLP: Layers = (("linear", 784, 256), ("relu",), ("linear", 256, 256), ("relu",), ("linear", 256, 10))
NETS = {"784-256-256-10, batch 128": (MLP, (784,), 128, 64), "MNIST CNN 32-64, batch 64": (CNN, MNIST, 64, 8)}
EARLY = {"MNIST CNN 32-64, batch 64": (0.98, 0.55)}  # of the bytes, of the computation: see examples.parallel.simulate
HOSTS = Path("/run/netns/bprop-a")
TCP = ["--mca", "pml", "ob1", "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo"]
LAUNCHERS = {
    "shared memory": ["mpiexec", "-n", "2"],
    "TCP over loopback": ["env", "BPROP_MPI_SHARED_MEMORY=0", "mpiexec", *TCP, "-n", "2"],
    "two hosts": [str(ROOT / "benchmarks" / "two_hosts.sh"), "2"],
}
SMALL, MIDDLE, LARGE, MANY = 8, 2**18, 2**22, 32  # bytes of messages; how many at once
Row = dict[str, float]


def run(rounds: int, only: str, settings: dict[str, str | None]) -> dict[str, Row]:
    """Measure all: a row for each kind of messages, for each net alone, and for each net on two ranks by each kind."""
    ways = {name: words for name, words in LAUNCHERS.items() if name != "two hosts" or HOSTS.exists()}
    jobs = {f"messages: {way}": (words, ["messages"]) for way, words in ways.items()}
    for net in NETS:
        if only in net:
            jobs |= {f"{net}: alone, {shards} shards": ([], ["steps", net, str(shards)]) for shards in (0, 2)}
            jobs |= {f"{net}: {way}": (words, ["steps", net, "2"]) for way, words in ways.items()}
    found: dict[str, list[Row]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, (launcher, words) in jobs.items():
            found[name].append(run_job(launcher, words, settings))
    table = {
        name: {key: statistics.median(each[key] for each in rows) for key in rows[0]} for name, rows in found.items()
    }
    for net in NETS:
        for way in ways if only in net else ():
            table[f"{net}: {way}"] |= compare(net, way, table)
    return table


def run_job(launcher: list[str], words: list[str], settings: dict[str, str | None]) -> Row:
    """Run a worker on two ranks, or on its own; returns what it prints."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    environment = with_settings(make_environment(1, settings), root)
    environment["PATH"] = os.path.dirname(sys.executable) + os.pathsep + environment["PATH"]
    command = [*launcher, sys.executable, "-m", "benchmarks.exchange", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(net: str, way: str, table: dict[str, Row]) -> Row:
    """The time of a step by the model and the constants (ms), and both efficiencies."""
    messages, alone = table[f"messages: {way}"], table[f"{net}: alone, 0 shards"]
    sharded, measured = table[f"{net}: alone, 2 shards"], table[f"{net}: {way}"]
    speed = 1e9 * messages["messages GB/s"]
    network = Network(
        bandwidth=speed,
        latency=1e-6 * messages["latency us"],
        message=1e-6 * messages["message us"],
        copy=1e9 * messages["copies GB/s"],
        add=1e9 * messages["sums GB/s"],
        per_node=2 if way == "shared memory" else 1,
    )
    update = sharded["update ms"]
    shard = max(0.0, sharded["step ms"] - alone["step ms"]) / 2
    rates = 1e-3 * (alone["step ms"] - update), 1, 1e-3 * update, 1e-3 * shard, messages["jitter"]
    early, hidden = EARLY.get(net, (0.0, 0.0)) if way == "two hosts" else (0.0, 0.0)
    work = Work(int(alone["parameters"]), *rates, early=early, hidden=hidden)
    step = 1e3 * predict(work, network, 2)
    efficiency = {"efficiency": alone["step ms"] / (2 * measured["step ms"])}
    return {"model ms": step} | efficiency | {"of model": alone["step ms"] / (2 * step)}


# -- what a job does ---------------------------------------------------------------------------------------------------


def repeat(call: Callable[[], object], seconds: float = 0.3) -> list[float]:
    """The seconds of a call, of many blocks of them; their number does not depend on a clock of this rank alone."""
    for _ in range(20):
        call()
    from bprop.trainers.parallel.job import find_ranks

    start = time.perf_counter()
    call()
    count = max(30, int(seconds / (time.perf_counter() - start)))
    ranks = find_ranks()
    count = count if ranks is None else ranks.from_first(count, "the number of calls")
    times, together = [], 10  # two ranks that are apart by half of a latency wait long and short in turn
    for _ in range(count // together):
        start = time.perf_counter()
        for _ in range(together):
            call()
        times.append((time.perf_counter() - start) / together)
    return times


def measure_messages() -> Row:
    """Exchanges of two ranks, both ways at once, and what a rank does beside them."""
    from bprop.trainers.parallel.job import connect
    from bprop.trainers.parallel.send_choice import PIECE
    from bprop.trainers.parallel.tree import add_up

    ranks = connect()
    other = 1 - ranks.rank

    def measure(size: int, count: int = 1, piece: int = 0) -> float:
        sent, received = np.zeros((2, count, size), np.uint8)
        lists = [(each, other) for each in sent], [(each, other) for each in received]
        return statistics.median(repeat(lambda: ranks.finish([ranks.begin(*lists, piece=piece)], "a measurement")))

    latency, many = measure(SMALL), measure(SMALL, MANY)
    middle, large = (min(measure(size, piece=piece) for piece in (0, PIECE)) for size in (MIDDLE, LARGE))
    leaves, total = np.zeros((2, LARGE // 4), np.float32), np.zeros(LARGE // 4, np.float32)

    def sum_up() -> None:
        add_up([(0, 0), (1, 1)], leaves, total)

    def copy() -> None:
        total[:] = leaves[0]

    random = np.random.default_rng(0)
    x, weights = random.random((128, 784), np.float32), random.random((784, 784), np.float32)
    times = np.array(repeat(lambda: x @ weights))
    return {
        "latency us": 1e6 * latency,
        "message us": 1e6 * (many - latency) / (2 * (MANY - 1)),
        "messages GB/s": 1e-9 * (LARGE - MIDDLE) / (large - middle),
        "sums GB/s": 1e-9 * 2 * LARGE / statistics.median(repeat(sum_up)),
        "copies GB/s": 1e-9 * LARGE / statistics.median(repeat(copy)),
        "jitter": float(np.quantile(times, 0.84) / np.median(times) - 1),  # of a normal distribution: its deviation
    }


def measure_steps(net: str, shards: int) -> Row:
    """Milliseconds of a training step, and of its parts, on the ranks that there are."""
    from bprop.modules import Sequential, SoftmaxCrossEntropy, manual_seed
    from bprop.trainers import SGD, Trainer

    from .sides.ours import layer

    layers, shape, batch, steps = NETS[net]
    manual_seed(0)
    random = np.random.default_rng(0)
    data = random.random((batch * steps, *shape), np.float32), random.integers(0, 10, batch * steps)
    model = Sequential(*(layer(*each) for each in layers))
    trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(lr=0.001, momentum=0.9), quiet=True)
    settings = {"batch_size": batch, "metrics": [], "threads": 1, "shards": shards or None}
    if trainer.ranks is None:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    trainer.fit(data, epochs=2, **settings)
    rows = trainer.fit(data, epochs=15, **settings)[-9:]  # the first ones try ways to send
    result = {"step ms": 1e3 * statistics.median(row["seconds"] for row in rows) / steps}
    if (sharding := trainer.compiled_step.sharding) is not None:
        parts = sharding.seconds
        result |= {f"{name} ms": 1e3 * seconds / (15 * steps) for name, seconds in parts.items()}
    return result | {"parameters": model.flat_parameters.size}


if __name__ == "__main__":
    what, *more = sys.argv[1:]
    result = measure_messages() if what == "messages" else measure_steps(more[0], int(more[1]))
    from bprop.trainers.parallel.job import find_ranks

    ranks = find_ranks()
    if ranks is None or ranks.is_first:
        print(json.dumps(result), flush=True)
