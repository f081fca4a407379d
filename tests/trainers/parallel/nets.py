"""Trainings that several processes repeat: `python nets.py` under mpiexec prints the digests of what they give."""

import hashlib
import json
import os
import sys
import time

import numpy as np
from bprop.modules import (
    RNN,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    Graph,
    Linear,
    MeanSquaredError,
    Module,
    Parameter,
    ReLU,
    Sequential,
    Share,
    SoftmaxCrossEntropy,
    Tanh,
    TransformerBlock,
    manual_seed,
)
from bprop.trainers import (
    LBFGS,
    SGD,
    Adam,
    AdamW,
    Callback,
    ConjugateGradient,
    CosineSchedule,
    DifferenceTargetPropagation,
    Flip,
    Group,
    NewtonCG,
    Shift,
    Trainer,
)
from bprop.trainers.parallel import exchange, send_choice
from bprop.trainers.parallel.early_sections import EarlySections
from bprop.trainers.training import shard_sum

random = np.random.default_rng


class Rate(Callback):
    """Changes the learning rate by each minibatch's loss, which all ranks must know."""

    def on_batch_end(self, trainer, row):
        trainer.optimizer.lr = 0.01 + 1e-4 * row["loss"]


class Look(Callback):
    """Looks at the optimizer's state at the first pause within an epoch, when each rank may have a part of it."""

    seen = None

    def is_due(self, trainer):
        return self.seen is None and trainer.position > 0

    def on_pause(self, trainer):
        self.seen = trainer.position, compute_digest(trainer.optimizer.state_dict())


def mlp():
    """Dropout, Adam, class weights and sample weights, an uneven last minibatch, clipping, a schedule of steps."""
    r = random(0)
    data = r.normal(size=(59, 8)), r.integers(0, 4, 59), r.choice([0, 0.5, 1, 3], 59)
    net = Sequential(Linear(8, 12), Tanh(), Dropout(0.3), Linear(12, 4), Dropout(0.1))
    loss = SoftmaxCrossEntropy(class_weights=[1, 2, 0.5, 3])
    more = {"schedules": {"optimizer.lr": CosineSchedule(per="step")}}
    return net, loss, Adam(lr=0.02, clip_norm=0.5), data, {"batch_size": 16, "balance": True}, more


def cnn():
    """Batch norm, augmentation, gradients of two minibatches in one step."""
    r = random(1)
    data = r.normal(size=(70, 1, 6, 6)), r.integers(0, 3, 70)
    net = Sequential(Conv2d(1, 3, 3), BatchNorm2d(3), ReLU(), Flatten(), Linear(48, 6), BatchNorm1d(6), Linear(6, 3))
    settings = {"batch_size": 16, "accumulate": 2, "drop_last": True, "metrics": ["accuracy", "f1_macro"]}
    return net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9), data, settings, {"augment": [Shift(1), Flip()]}


def graph():
    """A graph with shared weights, and a callback that looks at each minibatch."""
    r = random(2)
    data = r.normal(size=(40, 6)), r.integers(0, 3, 40)
    nodes = {
        "one": (Linear(6, 6), "x"),
        "unit": (Tanh(), "one"),
        "two": (Share("one"), "unit"),
        "y": (Linear(6, 3), "two"),
    }
    net = Graph(nodes, outputs="y")
    return net, SoftmaxCrossEntropy(), AdamW(lr=0.01, ema=0.9), data, {"batch_size": 10}, {"callbacks": [Rate()]}


def transformer():
    """A small GPT's block, with dropout in its attention."""
    r = random(3)
    data = r.integers(0, 11, (30, 5)), r.integers(0, 11, (30, 5))
    net = Sequential(Embedding(11, 8), TransformerBlock(8, 2, dropout=0.1, causal=True), Linear(8, 11))
    return net, SoftmaxCrossEntropy(), Adam(lr=0.01), data, {"batch_size": 8}, {}


def wide():
    """A net that is exchanged in slices, whose updates the ranks share; penalties that differ by parameters."""
    r = random(4)
    data = r.normal(size=(44, 8)), r.integers(0, 4, 44)
    net = Sequential(Linear(8, 1000), Tanh(), Linear(1000, 4))
    groups = [Group("2.*", lr_factor=0.5, weight_decay=0.1)]
    adam = Adam(lr=0.01, weight_decay=0.01, l1=1e-4, clip_value=0.1, groups=groups)
    return net, SoftmaxCrossEntropy(), adam, data, {"batch_size": 16}, {}


def wide_sgd():
    """As `wide`, with decoupled decay, and a norm of the whole gradient."""
    net, loss, _, *more = wide()
    return net, loss, SGD(lr=0.1, momentum=0.9, weight_decay=0.1, decoupled_weight_decay=True, clip_norm=0.3), *more


def streams():
    """A state that is carried from minibatch to minibatch; a smaller one at the end moves rows to other ranks."""
    r = random(4)
    data = r.integers(0, 8, (22, 5)), r.integers(0, 8, (22, 5))
    net = Sequential(Embedding(8, 8), RNN(8, 8, streams=8), Linear(8, 8))  # whose rows have the same bits alone
    long = r.integers(0, 8, (64, 5)), r.integers(0, 8, (64, 5))
    return net, SoftmaxCrossEntropy(), SGD(lr=0.5), data, {"batch_size": 8, "shuffle": False}, {"long": long}


def targets():
    """A learning rule with random numbers, and inverses that it learns by itself."""
    r = random(5)
    data = r.normal(size=(40, 6)), r.integers(0, 3, 40)
    net = Sequential(Linear(6, 8), Tanh(), Linear(8, 5), Tanh(), Linear(5, 3))
    rule = DifferenceTargetPropagation(lr=0.1)
    return net, SoftmaxCrossEntropy(), SGD(lr=0.1), data, {"batch_size": 20, "accumulate": 2}, {"rule": rule}


def lbfgs():
    """As `mlp`: dropout, weights, minibatches of which the last one is smaller; each point draws other masks."""
    net, loss, _, data, settings, _ = mlp()
    return net, loss, LBFGS(max_iter=3), data, settings, {}


def conjugate():
    """As `cnn`: batch norm in each evaluation, augmentation."""
    net, loss, _, data, settings, more = cnn()
    return net, loss, ConjugateGradient(max_iter=3), data, settings | {"accumulate": 1}, more


def newton():
    """Products with the Hessian that are exchanged in slices, with dropout."""
    r = random(6)
    data = r.normal(size=(44, 8)), r.integers(0, 4, 44)
    net = Sequential(Linear(8, 1000), Tanh(), Dropout(0.1), Linear(1000, 4))
    newton_cg = NewtonCG(max_iter=2, curvature="hessian", max_products=3)
    return net, SoftmaxCrossEntropy(), newton_cg, data, {"batch_size": 16}, {}


class Log(Module):
    """y = log(x + w), NaN below 0."""

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.ones(1))

    def fprop(self, x):
        self.z = x + self.weight[0]
        return np.log(self.z)

    def bprop(self, grad_y):
        grad_x = grad_y / self.z
        self.grad_weight[0] += grad_x.sum()
        return grad_x


def edge():
    """A line search that meets NaN, which arises in one shard: what the others have drawn by then does not count."""
    x = random(7).uniform(size=(40, 1))
    net = Sequential(Log(), Dropout(0.2))
    return net, MeanSquaredError(), LBFGS(max_iter=4), (x, np.full((40, 1), -9.0)), {"batch_size": 16}, {}


FULL_BATCH = {each.__name__: each for each in (lbfgs, conjugate, newton, edge)}
MINIBATCH = {each.__name__: each for each in (mlp, cnn, graph, transformer, wide, wide_sgd, streams, targets)}
NETS = MINIBATCH | FULL_BATCH


def train(name, shards=8, epochs=2, **more):
    """Train one of the nets; returns the digest of its weights and statistics, and of the last row of metrics."""
    manual_seed(0)
    net, loss, optimizer, data, settings, parts = NETS[name]()
    look = Look()
    callbacks, long = [*parts.pop("callbacks", []), look], parts.pop("long", None)
    trainer = Trainer(net, loss, optimizer, quiet=True, callbacks=callbacks, **parts, **more)
    row = trainer.fit(data, data[:2], epochs=epochs, shards=shards, **settings)[-1]
    row = {key: float(value).hex() for key, value in row.items() if key != "seconds"}
    answer = trainer.predict(data[0])
    evaluated = {} if long is None else evaluate_streams(trainer, long)
    return {
        "evaluated": evaluated,
        "weights": compute_digest(net.state_dict()),
        "optimizer": compute_digest(trainer.optimizer.state_dict()),
        "rule": compute_digest({} if trainer.rule is None else trainer.rule.state_dict()),
        "seen": look.seen,
        "gradients": compute_digest({"": net.flat_gradients}),
        "row": row,
        "counters": sorted(net.counters().items()),
        "answer": hashlib.sha256(answer.tobytes()).hexdigest(),
    }


def evaluate_streams(trainer, data):
    """Evaluate streams, of which each rank has some; returns the metrics, and the digest of the outputs."""
    rows, answer = [], trainer.evaluation._answer
    trainer.evaluation._answer = lambda x: rows.append(len(x)) or answer(x)
    values, outputs = trainer.evaluate(data), trainer.predict(data[0])
    if trainer.ranks is not None and trainer.ranks.size < 8:  # one row alone may have other last bits than among others
        assert sum(rows) < 2 * len(data[0]), f"each rank has evaluated all: {rows}"
    return {name: float(value).hex() for name, value in values.items()}, compute_digest({"": outputs})


def compute_digest(arrays):
    """Hash arrays and numbers, by their names."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def send_early():
    """Let all nets send slices of sections early, in short messages; returns the threads that have sent some."""
    shard_sum.FEWEST = exchange.SMALL = 0
    send_choice.WAYS = (send_choice.Way(early=True, piece=200),)
    begun = set()
    end_step = EarlySections.end_step

    def count(early):
        end = time.monotonic() + 5  # so that the thread begins before the step ends, whatever else the machine does
        while early._covers and len(early._begun) < len(early.exchange.sections) - 1 and time.monotonic() < end:
            time.sleep(0.001)
        found = end_step(early)
        begun.update([early] if found else [])
        return found

    EarlySections.end_step = count
    return begun


if __name__ == "__main__":
    begun = send_early() if os.environ.get("EARLY") else []
    results = {name: train(name) for name in sys.argv[1:]}
    from bprop.trainers.parallel.job import connect

    if connect().is_first:
        print(json.dumps(results | ({"begun": len(begun)} if begun else {})))
