"""The contestants: each makes, for a workload, a function to be called again and again.

Data for epochs are float32 and in memory for every side; a PyTorch epoch is written by hand as fast as it goes: one
permutation, slices of it as indices, the loss summed as a tensor.
"""

from collections.abc import Callable

import numpy as np

from .workloads import Workload


def bprop(work: Workload) -> Callable[[], object]:
    """This project, through its public interface."""
    from bprop.datasets import ArrayDataset
    from bprop.modules import Linear, ReLU, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed
    from bprop.trainers import SGD, Trainer, compile_step

    manual_seed(0)
    unit = {"relu": ReLU, "tanh": Tanh}[work.activation]
    net = Sequential()
    for k, (i, o) in enumerate(zip(work.sizes[:-1], work.sizes[1:], strict=True)):
        if k:
            net.append(unit())
        net.append(Linear(i, o))
    x, t = work.data()
    loss, sgd = SoftmaxCrossEntropy(), SGD(lr=0.01, momentum=0.9)
    if work.kind == "predict":
        net.eval()
        return lambda: net.fprop(x)
    if work.kind == "epoch":
        trainer, data = Trainer(net, loss, sgd, quiet=True), ArrayDataset(x, t)
        return lambda: trainer.fit(data, epochs=1, batch_size=work.batch, metrics=[])
    step = compile_step(net, loss, sgd)
    return lambda: step(x, t)


def products(work: Workload) -> Callable[[], object]:
    """The limit: the step's matrix products alone, each by the faster of BLAS and our own kernels, in compiled code."""
    import time

    import numba
    from bprop.modules.kernels.products import plain_gemm
    from bprop.modules.kernels.products import product as own

    product = own.compiled_form

    @numba.njit
    def run(tiled, back, xs, ws, gs, ys, grad_ws, grad_xs, repeat):
        for _ in range(repeat):
            for k in range(len(xs)):
                if tiled[k]:
                    product(xs[k], ws[k].T, ys[k], False)
                    product(gs[k].T, xs[k], grad_ws[k], False)
                    if back[k]:
                        product(gs[k], ws[k], grad_xs[k], False)
                else:
                    plain_gemm(xs[k], ws[k].T, ys[k], False)
                    plain_gemm(gs[k].T, xs[k], grad_ws[k], False)
                    if back[k]:
                        plain_gemm(gs[k], ws[k], grad_xs[k], False)

    layers = []
    for n, i, o, _ in work.products():
        shapes = ((n, i), (o, i), (n, o), (n, o), (o, i), (n, i))
        layers.append([np.random.default_rng(0).random(shape, np.float32) for shape in shapes])
    back = np.array([wanted for *_, wanted in work.products()])
    tiled = np.zeros(len(layers), bool)
    for k, arrays in enumerate(layers):
        times = []
        for choice in (False, True):
            flag, one = np.array([choice]), [(array,) for array in arrays]
            run(flag, back[k : k + 1], *one, 1)
            rounds = []
            for _ in range(20):
                start = time.perf_counter()
                run(flag, back[k : k + 1], *one, 3)
                rounds.append(time.perf_counter() - start)
            times.append(min(rounds))
        tiled[k] = times[1] < times[0]
    columns = [tuple(column) for column in zip(*layers, strict=True)]
    steps = work.samples // work.batch if work.kind == "epoch" else 1
    return lambda: run(tiled, back, *columns, steps)


def torch(work: Workload) -> Callable[[], object]:
    """PyTorch eager."""
    return _torch(work)


def torch_loader(work: Workload) -> Callable[[], object]:
    """PyTorch eager with its DataLoader (epochs only)."""
    return _torch(work, loader=True)


def torch_compile(work: Workload) -> Callable[[], object]:
    """PyTorch with torch.compile on forward and loss."""
    return _torch(work, compiled=True)


def _torch(work: Workload, loader: bool = False, compiled: bool = False) -> Callable[[], object]:
    import torch as t

    t.manual_seed(0)
    unit = {"relu": t.nn.ReLU, "tanh": t.nn.Tanh}[work.activation]
    layers = []
    for k, (i, o) in enumerate(zip(work.sizes[:-1], work.sizes[1:], strict=True)):
        layers += ([unit()] if k else []) + [t.nn.Linear(i, o)]
    net, loss = t.nn.Sequential(*layers), t.nn.CrossEntropyLoss()
    sgd = t.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    x, target = (t.from_numpy(array) for array in work.data())
    value_of = t.compile(lambda x, y: loss(net(x), y)) if compiled else lambda x, y: loss(net(x), y)

    def step(x, y):
        sgd.zero_grad()
        value = value_of(x, y)
        value.backward()
        sgd.step()
        return value

    def by_hand():
        total = t.zeros(())
        order = t.randperm(len(x))
        for first in range(0, len(x), work.batch):
            rows = order[first : first + work.batch]
            total += step(x[rows], target[rows]).detach() * len(rows)
        return total.item()

    def by_loader():
        return sum(step(xb, yb).item() for xb, yb in batches)

    if work.kind == "predict":
        net.eval()

        def predict():
            with t.inference_mode():
                return net(x).numpy()

        return predict
    if work.kind == "epoch":
        data = t.utils.data.TensorDataset(x, target)
        batches = t.utils.data.DataLoader(data, batch_size=work.batch, shuffle=True)
        return by_loader if loader else by_hand
    return lambda: step(x, target).item()


def jax(work: Workload) -> Callable[[], object]:
    """JAX, the whole step jitted, with donated parameters."""
    import jax as j
    import jax.numpy as jnp

    random = np.random.default_rng(0)
    unit = {"relu": j.nn.relu, "tanh": jnp.tanh}[work.activation]
    weights = []
    for i, o in zip(work.sizes[:-1], work.sizes[1:], strict=True):
        weights.append((jnp.asarray(random.normal(0, i**-0.5, (i, o)), "float32"), jnp.zeros(o, "float32")))
    speed = j.tree.map(jnp.zeros_like, weights)
    x, target = work.data()

    def forward(weights, x):
        for k, (w, b) in enumerate(weights):
            x = (unit(x) if k else x) @ w + b
        return x

    def value(weights, x, target):
        y = j.nn.log_softmax(forward(weights, x))
        return -jnp.take_along_axis(y, target[:, None], 1).mean()

    def step(weights, speed, x, target):
        loss, grads = j.value_and_grad(value)(weights, x, target)
        speed = j.tree.map(lambda v, g: 0.9 * v + g, speed, grads)
        return j.tree.map(lambda w, v: w - 0.01 * v, weights, speed), speed, loss

    jitted = j.jit(step, donate_argnums=(0, 1))
    state = [weights, speed]
    if work.kind == "predict":
        predict = j.jit(forward)
        return lambda: np.asarray(predict(weights, x))

    def one(x, target):
        state[0], state[1], loss = jitted(state[0], state[1], x, target)
        return loss

    def epoch():
        order = random.permutation(len(x))
        total = 0.0
        for first in range(0, len(x) - work.batch + 1, work.batch):
            rows = order[first : first + work.batch]
            total += one(x[rows], target[rows])
        return float(total)

    return epoch if work.kind == "epoch" else lambda: float(one(x, target))


SIDES = {
    "bprop": bprop,
    "torch": torch,
    "torch.compile": torch_compile,
    "torch DataLoader": torch_loader,
    "jax": jax,
    "products": products,
}
