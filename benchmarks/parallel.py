"""Two ranks of one core each beside one: the time of a step, and that of PyTorch's DistributedDataParallel over gloo.

Each contestant is one process, or mpiexec with two, pinned to a core each, which lives through all rounds; a round asks
each once, one after the other, for the median of some epochs. Efficiency is the time of one rank over twice that of
two. "2 apart" are two processes that know nothing of each other, each of which trains on half a minibatch: what two
cores of the machine can do at best, as they share its memory and as half a minibatch takes more than half the time.
"""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import pairwise

import numpy as np

from .contest import ROOT, make_environment, with_settings
from .workloads import CIFAR, CNN, MNIST, RESNET_8, Layers


def make_mlp(*sizes: int) -> Layers:
    """Layers of a perceptron."""
    layers = [layer for pair in pairwise(sizes) for layer in (("linear", *pair), ("relu",))]
    return tuple(layers[:-1])


NETS = {  # layers, the shape of a sample, samples of a minibatch, minibatches of an epoch
    "MNIST CNN 32-64, batch 64": (CNN, MNIST, 64, 16),
    "ResNet-8 16-32-64, batch 64": (RESNET_8, CIFAR, 64, 12),
    "784-1200-1200-10, batch 128": (make_mlp(784, 1200, 1200, 10), (784,), 128, 48),
    "784-256-256-10, batch 128": (make_mlp(784, 256, 256, 10), (784,), 128, 200),
}
SIDES = {  # package, ranks, shards
    "alone": ("bprop", 1, 0),
    "mpiexec -n 1": ("bprop", 1, -1),
    "2 apart": ("bprop", 2, 0),
    "2 ranks": ("bprop", 2, 2),
    "2 ranks, 8 shards": ("bprop", 2, 8),
    "torch": ("torch", 1, 0),
    "torch DDP": ("torch", 2, 0),
}


def run(rounds: int, only: str, settings: dict[str, str | None]) -> dict[str, dict[str, float]]:
    """Measure all nets: milliseconds of a step by side, and the efficiencies."""
    table = {}
    for name in NETS:
        if only not in name:
            continue
        sides = {side: Contestant(name, *how, settings) for side, how in SIDES.items() if find_spec(how[0])}
        times = {side: [] for side in sides}
        for _ in range(rounds):
            for side, contestant in sides.items():
                times[side].append(contestant.ask())
        for contestant in sides.values():
            contestant.end()
        row = {side: 1e3 * statistics.median(each) for side, each in times.items()}
        row["efficiency"] = row["alone"] / (2 * row["2 ranks"])
        row["of 2 apart"] = row["2 apart"] / row["2 ranks"]
        if "torch DDP" in row:
            row["of DDP"] = row["torch"] / (2 * row["torch DDP"])
        table[name] = row
    return table


class Contestant:
    """A process, or two, that trains one net."""

    def __init__(self, net: str, package: str, ranks: int, shards: int, settings: dict[str, str | None]):
        words = [sys.executable, "-m", "benchmarks.parallel", package, net, str(ranks), str(shards)]
        root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        environment = with_settings(make_environment(1, settings), root)
        copies = 2 if package == "bprop" and ranks > 1 and not shards else 1
        if package == "bprop" and shards:
            words = ["mpiexec", "-n", str(ranks), *words]
            environment["PATH"] = os.path.dirname(sys.executable) + os.pathsep + environment["PATH"]
        elif package == "torch" and ranks > 1:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
            self.other = subprocess.Popen([*words, "1"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        more = [[str(k)] if copies > 1 else [] for k in range(copies)]
        self.processes = [subprocess.Popen([*words, *each], cwd=ROOT, env=environment, **pipes) for each in more]
        for process in self.processes:
            process.stdout.readline()  # it is ready

    def ask(self) -> float:
        """The seconds of a step; of two processes the mean."""
        for process in self.processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        return statistics.mean(json.loads(process.stdout.readline()) for process in self.processes)

    def end(self) -> None:
        """End the processes, by a word, since mpiexec may not hand on that its input has ended."""
        for process in self.processes:
            process.communicate("end\n")


def make_data(net: str) -> tuple[np.ndarray, np.ndarray]:
    """Make the samples of an epoch."""
    _, shape, batch, steps = NETS[net]
    random = np.random.default_rng(0)
    return random.random((batch * steps, *shape), np.float32), random.integers(0, 10, batch * steps)


def work_by_bprop(net: str, ranks: int, shards: int, half: int | None) -> None:
    """Answer each line of input by the seconds of a step, with bprop; `half`: as one of two that are apart."""
    from bprop.modules import Sequential, SoftmaxCrossEntropy, manual_seed
    from bprop.trainers import SGD, Trainer

    from .sides.ours import layer

    manual_seed(0)
    layers, _, batch, steps = NETS[net]
    model, (x, y) = Sequential(*(layer(*each) for each in layers)), make_data(net)
    if half is not None:
        batch = batch // 2
        x, y = x[half::2], y[half::2]
    data = x, y
    trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(lr=0.001, momentum=0.9), quiet=True)
    settings = {"batch_size": batch, "metrics": [], "threads": 1, "shards": shards if shards > 0 else None}
    trainer.fit(data, epochs=2, **settings)
    if ranks == 1 or half is not None:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1 - (half or 0)]})
    group = trainer.ranks
    if group is None or group.is_first:
        print("ready", flush=True)
    while True:
        word = sys.stdin.readline() if group is None or group.is_first else ""
        if (word if group is None else group.from_first(word, "the next round")) != "go\n":
            return
        seconds = [row["seconds"] for row in trainer.fit(data, epochs=5, **settings)[-5:]]
        if group is None or group.is_first:
            print(statistics.median(seconds) / steps, flush=True)


def work_by_torch(net: str, ranks: int, rank: int) -> None:
    """Answer each line of input by the seconds of a step, with PyTorch."""
    import torch
    from torch import distributed

    from .sides.torch import layer

    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1 - rank]})
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers, _, batch, steps = NETS[net]
    model, (x, target) = torch.nn.Sequential(*(layer(*each) for each in layers)), map(torch.from_numpy, make_data(net))
    if ranks > 1:
        distributed.init_process_group("gloo", rank=rank, world_size=ranks)
        model = torch.nn.parallel.DistributedDataParallel(model)
    loss, sgd = torch.nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    share = batch // ranks

    def train() -> float:
        start = time.perf_counter()
        for step in range(steps):
            rows = slice(step * batch + rank * share, step * batch + (rank + 1) * share)
            sgd.zero_grad()
            loss(model(x[rows]), target[rows]).backward()
            sgd.step()
        return (time.perf_counter() - start) / steps

    train()
    if rank == 0:
        print("ready", flush=True)
    while True:
        go = torch.tensor([float(sys.stdin.readline() == "go\n")] if rank == 0 else [0.0])
        if ranks > 1:
            distributed.broadcast(go, 0)
        if not go.item():
            break
        seconds = statistics.median(train() for _ in range(5))
        if rank == 0:
            print(seconds, flush=True)
    if ranks > 1:
        with contextlib.suppress(RuntimeError):
            distributed.destroy_process_group()


if __name__ == "__main__":
    package, net, ranks, shards, *rank = sys.argv[1:]
    if package == "bprop":
        work_by_bprop(net, int(ranks), int(shards), int(rank[0]) if rank else None)
    else:
        work_by_torch(net, int(ranks), int(rank[0]) if rank else 0)
