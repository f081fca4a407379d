"""Training steps by learning rules beside backprop, and beside straightforward PyTorch; and an RBM beside scikit-learn.

784-256-256-10, ReLU, 128 samples, momentum SGD, one core: medians over alternating rounds in one process. The PyTorch
versions are what one writes first: autograd where it helps, arithmetic without it elsewhere.
`python -m benchmarks.rules` is the process that measures.
"""

import itertools
import json
import statistics
import sys
import time
from importlib.util import find_spec

import numpy as np

from .contest import run_pinned

SIZES, BATCH = (784, 256, 256, 10), 128
STEPS = 20  # of predictive coding and of equilibrium propagation
RULES = {
    "backprop": "None",
    "FeedbackAlignment": "FeedbackAlignment()",
    "SignSymmetry": "SignSymmetry()",
    "DirectFeedbackAlignment": "DirectFeedbackAlignment()",
    "QuantizedWeights": "QuantizedWeights()",
    "Hebbian": "Hebbian('oja')",
    "DifferenceTargetPropagation": "DifferenceTargetPropagation()",
    "ForwardForward": "ForwardForward()",
    "PredictiveCoding": f"PredictiveCoding(steps={STEPS})",
    "EquilibriumPropagation": f"EquilibriumPropagation(steps={STEPS}, nudged_steps=4)",
}


def make_step(rule: str):
    """Make our step by a rule, a function of the minibatch."""
    from bprop import modules, trainers

    modules.manual_seed(0)
    layers = [modules.Linear(i, o) for i, o in itertools.pairwise(SIZES)]
    net = modules.Sequential(layers[0], modules.ReLU(), layers[1], modules.ReLU(), layers[2])
    chosen = eval(rule, vars(trainers) | {name: getattr(trainers, name) for name in trainers.__all__})
    sgd = trainers.SGD(lr=1e-4, momentum=0.9)
    return trainers.compile_step(net, modules.SoftmaxCrossEntropy(), sgd, rule=chosen)


class TorchNet:
    """The same net in PyTorch, and a step of it by each rule."""

    def __init__(self):
        import torch

        self.torch = torch
        torch.manual_seed(0)
        self.layers = [torch.nn.Linear(i, o) for i, o in itertools.pairwise(SIZES)]
        self.parameters = [each for layer in self.layers for each in layer.parameters()]
        self.sgd = torch.optim.SGD(self.parameters, lr=1e-4, momentum=0.9)
        self.fixed = [torch.randn_like(layer.weight) / layer.in_features**0.5 for layer in self.layers]
        self.direct = [torch.randn(SIZES[-1], layer.in_features) for layer in self.layers]
        self.loss = torch.nn.CrossEntropyLoss()

        class Feedback(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, weight, bias, matrix):
                ctx.save_for_backward(x, matrix)
                return torch.nn.functional.linear(x, weight, bias)

            @staticmethod
            def backward(ctx, grad_y):
                x, matrix = ctx.saved_tensors
                return grad_y @ matrix, grad_y.T @ x, grad_y.sum(0), None

        self.feedback = Feedback.apply

    def update(self, value) -> float:
        self.sgd.zero_grad()
        value.backward()
        self.sgd.step()
        return value.item()

    def chain(self, x, apply):
        for k, layer in enumerate(self.layers):
            x = apply(k, layer, x)
            x = x.relu() if k < 2 else x
        return x

    def backprop(self, x, target):
        return self.update(self.loss(self.chain(x, lambda k, layer, h: layer(h)), target))

    def feedback_alignment(self, x, target):
        y = self.chain(x, lambda k, layer, h: self.feedback(h, layer.weight, layer.bias, self.fixed[k]))
        return self.update(self.loss(y, target))

    def sign_symmetry(self, x, target):
        def apply(k, layer, h):
            return self.feedback(h, layer.weight, layer.bias, layer.weight.detach().sign() / layer.in_features**0.5)

        return self.update(self.loss(self.chain(x, apply), target))

    def direct_feedback_alignment(self, x, target):
        with self.torch.no_grad():
            h = [x]
            for k, layer in enumerate(self.layers):
                h.append(layer(h[-1]).relu() if k < 2 else layer(h[-1]))
            error = h[-1].softmax(1)
            value = self.loss(h[-1], target).item()
            error[self.torch.arange(len(x)), target] -= 1
            error /= len(x)
            for k, layer in enumerate(self.layers):
                grad = error if k == 2 else (error @ self.direct[k + 1]) * (h[k + 1] > 0)
                layer.weight.grad, layer.bias.grad = grad.T @ h[k], grad.sum(0)
            self.sgd.step()
        return value

    def quantized_weights(self, x, target):
        def apply(k, layer, h):
            limit = layer.in_features**-0.5
            weight = layer.weight + (layer.weight.sign() * limit - layer.weight).detach()
            return self.torch.nn.functional.linear(h, weight, layer.bias)

        return self.update(self.loss(self.chain(x, apply), target))

    def predictive_coding(self, x, target):
        torch, layers = self.torch, self.layers
        with torch.no_grad():
            v1 = layers[0](x).relu()
            v2 = layers[1](v1).relu()
        v1.requires_grad_()
        v2.requires_grad_()

        def energy():
            e1, e2 = v1 - layers[0](x).relu(), v2 - layers[1](v1).relu()
            return len(x) * self.loss(layers[2](v2), target) + (e1**2).sum() / 2 + (e2**2).sum() / 2

        for _ in range(STEPS):
            grads = torch.autograd.grad(energy(), [v1, v2])
            with torch.no_grad():
                v1 -= 0.1 * grads[0]
                v2 -= 0.1 * grads[1]
        return self.update(energy() / len(x))

    def forward_forward(self, x, target):
        torch = self.torch
        wrong = (target + torch.randint(1, 10, target.shape)) % 10
        both = torch.cat([x, x])
        both[:, :10] = torch.nn.functional.one_hot(torch.cat([target, wrong]), 10).float()
        sign, total, h = torch.cat([-torch.ones(len(x)), torch.ones(len(x))]), 0.0, both
        for layer in self.layers[:2]:
            out = layer(h).relu()
            total = total + torch.nn.functional.softplus(sign * 10 * ((out**2).mean(1) - 1)).mean()
            h = (out / ((out**2).mean(1, keepdim=True).sqrt() + 1e-4)).detach()
        bare = x.clone()
        bare[:, :10] = 0
        with torch.no_grad():
            for layer in self.layers[:2]:
                bare = layer(bare).relu()
                bare = bare / ((bare**2).mean(1, keepdim=True).sqrt() + 1e-4)
        return self.update(total + self.loss(self.layers[2](bare), target))

    def step_of(self, rule: str):
        """The step by a rule, None where there is none here."""
        return getattr(self, "".join(f"_{c.lower()}" if c.isupper() else c for c in rule).lstrip("_"), None)


def measure(rounds: int, seconds: float, only: str) -> dict[str, dict[str, float]]:
    """Measure the median seconds of a step by each rule, ours and PyTorch's in turn."""
    random = np.random.default_rng(0)
    x, target = random.random((BATCH, SIZES[0]), np.float32), random.integers(SIZES[-1], size=BATCH)
    sides = {rule: {"bprop": (make_step(text), (x, target))} for rule, text in RULES.items() if only in rule}
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        net = TorchNet()
        for rule, each in sides.items():
            if (step := net.step_of(rule)) is not None:
                each["torch"] = step, (torch.from_numpy(x), torch.from_numpy(target))
    times: dict = {rule: {side: [] for side in each} for rule, each in sides.items()}
    for k in range(rounds + 1):
        for rule, each in sides.items():
            for side, (step, batch) in each.items():
                passed, end = [], time.perf_counter() + seconds
                while time.perf_counter() < end or not passed:
                    start = time.perf_counter()
                    step(*batch)
                    passed.append(time.perf_counter() - start)
                if k:  # the first round compiles
                    times[rule][side].append(statistics.median(passed))
    return {rule: {side: statistics.median(t) for side, t in each.items()} for rule, each in times.items()}


def measure_rbm(rounds: int) -> dict[str, float]:
    """Measure the seconds of an epoch of persistent CD on 2,000 binary images of 784 numbers, 256 hidden units."""
    from bprop.modules import RBM, ContrastiveDivergence, manual_seed
    from bprop.trainers import SGD, Trainer
    from sklearn.neural_network import BernoulliRBM

    x = (np.random.default_rng(0).random((2000, 784)) < 0.2).astype(np.float32)
    times: dict[str, list[float]] = {"bprop": [], "sklearn": []}
    for _ in range(rounds):
        manual_seed(0)
        trainer = Trainer(RBM(784, 256, chains=10), ContrastiveDivergence(), SGD(lr=0.01), quiet=True)
        trainer.fit((x, np.zeros(len(x), np.float32)), epochs=1, batch_size=10, metrics=[])
        start = time.perf_counter()
        trainer.fit((x, np.zeros(len(x), np.float32)), epochs=5, batch_size=10, metrics=[])
        times["bprop"].append((time.perf_counter() - start) / 5)
        start = time.perf_counter()
        BernoulliRBM(256, learning_rate=0.01, batch_size=10, n_iter=5, random_state=0).fit(x)
        times["sklearn"].append((time.perf_counter() - start) / 5)
    return {side: statistics.median(each) for side, each in times.items()}


def run(rounds: int, seconds: float, only: str, settings: dict[str, str | None]) -> dict[str, dict[str, float]]:
    """Measure in a process of its own; returns rows of times in ms and of ratios."""
    results = json.loads(run_pinned("benchmarks.rules", [str(rounds), str(seconds), only], settings).splitlines()[-1])
    base = results.get("backprop", {}).get("bprop")
    rows = {}
    for rule, times in results.items():
        rows[rule] = {"ms": 1e3 * times["bprop"]}
        if base and rule not in ("backprop", "RBM"):
            rows[rule]["times backprop"] = times["bprop"] / base
        rows[rule] |= {side: t / times["bprop"] for side, t in times.items() if side != "bprop"}
    return rows


def main() -> None:
    rounds, seconds, only = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    results = measure(rounds, seconds, only)
    if only in "RBM":
        results["RBM"] = measure_rbm(rounds)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
