"""The cost of derivatives beyond the gradient, in gradients: loss, gradient, jvp, products with the curvature.

Each side runs in a process of its own, float64, one thread, in alternating runs; results are medians over rounds.
Memory is how much the process grew from its gradients to its products with the Hessian, compiled code included.
"""

import json
import statistics
import subprocess
import sys
from importlib.util import find_spec

from .contest import ROOT, make_environment

MODELS = {
    "784-128-128-10, batch 32": ((784, 128, 128, 10), 32),
    "784-256-256-10, batch 128": ((784, 256, 256, 10), 128),
    "784-1200-1200-10, batch 128": ((784, 1200, 1200, 10), 128),
}
COMMON = """
import json, resource, statistics, time
import numpy as np

sizes, batch = {sizes}, {batch}
random = np.random.default_rng(0)
x, target = random.random((batch, sizes[0])), random.integers(0, sizes[-1], batch)
pairs = list(zip(sizes[:-1], sizes[1:]))


def median(function, seconds={seconds}):
    function()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""
BPROP = """
from bprop.modules import Linear, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed, num_threads
from bprop.modules.derivatives import Curvature, jvp

manual_seed(0)
model = Sequential()
for i, o in pairs:
    model.append(Linear(i, o))
    model.append(Tanh())
model = Sequential(*[module.copy() for module in list(model)[:-1]])
loss = SoftmaxCrossEntropy().to("float64")
with num_threads(1):
    c = Curvature(model, loss, x, target)
    v = random.standard_normal(c.size)
    results = {"loss": median(lambda: loss.fprop(c.net.fprop(x), target)), "gradient": median(c.gradient)}
    before = peak()
    results["hvp"] = median(lambda: c.hvp(v))
    results["growth"] = peak() - before
    results["gauss_newton"] = median(lambda: c.gauss_newton(v))
    results["jvp"] = median(lambda: jvp(c.net, x, direction=v))
print(json.dumps(results | {"parameters": c.size * 8 / 2**20}))
"""
TORCH = """
import torch
from torch.func import functional_call, jvp

torch.manual_seed(0)
torch.set_num_threads(1)
layers = [layer for i, o in pairs for layer in (torch.nn.Linear(i, o), torch.nn.Tanh())][:-1]
model = torch.nn.Sequential(*layers).double()
x, target = torch.tensor(x), torch.tensor(target)
weights = list(model.parameters())
v = [torch.randn_like(w) for w in weights]
named = {name: w.detach() for name, w in model.named_parameters()}
along = dict(zip(named, v))


def loss():
    return torch.nn.functional.cross_entropy(model(x), target)


def gradient():
    return torch.autograd.grad(loss(), weights)


def hvp():
    g = torch.autograd.grad(loss(), weights, create_graph=True)
    return torch.autograd.grad(sum((a * b).sum() for a, b in zip(g, v)), weights)


def alone():
    with torch.no_grad():
        return loss()


results = {"loss": median(alone), "gradient": median(gradient)}
before = peak()
results["hvp"] = median(hvp)
results["growth"] = peak() - before
results["jvp"] = median(lambda: jvp(lambda w: functional_call(model, w, (x,)), (named,), (along,)))
print(json.dumps(results | {"parameters": sum(w.numel() for w in weights) * 8 / 2**20}))
"""
SIDES = {"bprop": ("bprop.modules", BPROP), "torch": ("torch", TORCH)}
RATIOS = (("gradient", "loss"), ("jvp", "gradient"), ("hvp", "gradient"), ("gauss_newton", "gradient"))


def measure(side: str, sizes, batch: int, seconds: float, settings: dict[str, str | None]) -> dict[str, float]:
    """Measure one side in a process of its own."""
    code = COMMON.format(sizes=sizes, batch=batch, seconds=seconds) + SIDES[side][1]
    command, environment = [sys.executable, "-c", code], make_environment(1, settings)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def run(rounds: int, seconds: float, only: str, settings: dict[str, str | None]) -> dict[str, dict[str, float]]:
    """For each model, quantity and side, the median: ratios of times, and memory."""
    rows: dict[str, dict[str, float]] = {}
    sides = [side for side, (package, _) in SIDES.items() if find_spec(package)]
    for name, (sizes, batch) in MODELS.items():
        if only not in name:
            continue
        results: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side in sides:
                results[side].append(measure(side, sizes, batch, seconds, settings))
        medians = {
            side: {key: statistics.median(each[key] for each in runs) for key in runs[0]}
            for side, runs in results.items()
        }
        for above, below in RATIOS:
            row = {side: times[above] / times[below] for side, times in medians.items() if above in times}
            rows[f"{name}: {above} / {below}"] = row
        rows[f"{name}: gradient, ms"] = {side: 1e3 * times["gradient"] for side, times in medians.items()}
        rows[f"{name}: MiB that hvp adds, with its code"] = {side: times["growth"] for side, times in medians.items()}
        rows[f"{name}: MiB of parameters"] = {side: times["parameters"] for side, times in medians.items()}
    return rows
