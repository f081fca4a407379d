"""Models with branches twice: as a Graph, and by hand as straight-line code, as fast as a custom module can be.

By hand, a layer and its activation are one pass, gradients are overwritten, and nothing is copied that need not be.
"""

import numpy as np
from bprop.modules import (
    CAddTable,
    Conv2d,
    CSubTable,
    Flatten,
    Graph,
    JoinTable,
    Linear,
    LossPart,
    MaxPool2d,
    MeanSquaredError,
    Module,
    MultiLoss,
    ReLU,
    Sequential,
    Share,
    SoftmaxCrossEntropy,
    SplitTable,
    Tanh,
)
from bprop.modules.kernels.buffers import reuse, reuse_like


class ByHand(Module):
    """Base of the models by hand: layers overwrite their gradients."""

    def overwrite(self) -> None:
        for inside in self.children().values():
            inside.accumulate = False


def plus(a, b, out):
    """out = a + b, all matrices."""
    for n in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[n, i] = a[n, i] + b[n, i]


# -- residual ----------------------------------------------------------------------------------------------------


def residual_graph() -> Module:
    nodes: dict = {"stem": ([Linear(64, 64), ReLU()], "x")}
    before = "stem"
    for k in range(3):
        nodes[f"block{k}"] = ([Linear(64, 64), ReLU(), Linear(64, 64)], before)
        nodes[f"sum{k}"] = (CAddTable(), [f"block{k}", before])
        before = f"sum{k}"
    nodes["out"] = (Linear(64, 10), before)
    return Graph(nodes, outputs="out")


class ResidualByHand(ByHand):
    def __init__(self):
        super().__init__()
        self.stem, self.unit, self.out = Linear(64, 64), ReLU(), Linear(64, 10)
        self.a0, self.u0, self.b0 = Linear(64, 64), ReLU(), Linear(64, 64)
        self.a1, self.u1, self.b1 = Linear(64, 64), ReLU(), Linear(64, 64)
        self.a2, self.u2, self.b2 = Linear(64, 64), ReLU(), Linear(64, 64)
        self.s0 = self.s1 = self.s2 = self.g0 = self.g1 = self.g2 = np.empty((0, 0))
        self.overwrite()

    def fprop(self, x):
        x = self.stem.fprop_then(self.unit, x)
        self.s0, self.s1, self.s2 = reuse_like(self.s0, x), reuse_like(self.s1, x), reuse_like(self.s2, x)
        plus(self.b0.fprop(self.a0.fprop_then(self.u0, x)), x, self.s0)
        plus(self.b1.fprop(self.a1.fprop_then(self.u1, self.s0)), self.s0, self.s1)
        plus(self.b2.fprop(self.a2.fprop_then(self.u2, self.s1)), self.s1, self.s2)
        return self.out.fprop(self.s2)

    def bprop(self, grad_y):
        g = self.out.bprop(grad_y)
        self.g0, self.g1, self.g2 = reuse_like(self.g0, g), reuse_like(self.g1, g), reuse_like(self.g2, g)
        plus(self.a2.bprop_after(self.u2, self.b2.bprop(g)), g, self.g2)
        plus(self.a1.bprop_after(self.u1, self.b1.bprop(self.g2)), self.g2, self.g1)
        plus(self.a0.bprop_after(self.u0, self.b0.bprop(self.g1)), self.g1, self.g0)
        return self.stem.bprop_after(self.unit, self.g0)


# -- parallel branches -------------------------------------------------------------------------------------------


def inception_graph() -> Module:
    nodes: dict = {
        "narrow": ([Conv2d(8, 8, 1), ReLU()], "x"),
        "middle": ([Conv2d(8, 8, 3, padding=1), ReLU()], "x"),
        "pooled": ([MaxPool2d(3, 1, 1), Conv2d(8, 8, 1), ReLU()], "x"),
        "channels": (JoinTable(), ["narrow", "middle", "pooled"]),
        "out": ([MaxPool2d(2), Flatten(), Linear(24 * 64, 10)], "channels"),
    }
    return Graph(nodes, outputs="out")


class InceptionByHand(ByHand):
    def __init__(self):
        super().__init__()
        self.a, self.ua, self.b, self.ub = Conv2d(8, 8, 1), ReLU(), Conv2d(8, 8, 3, padding=1), ReLU()
        self.pool, self.c, self.uc = MaxPool2d(3, 1, 1), Conv2d(8, 8, 1), ReLU()
        self.half, self.flatten, self.out = MaxPool2d(2), Flatten(), Linear(24 * 64, 10)
        self.y = self.ga = self.gb = self.gc = self.grad_x = np.empty((0, 0, 0, 0))
        self.overwrite()

    def fprop(self, x):
        self.y = reuse(self.y, (x.shape[0], 24, x.shape[2], x.shape[3]), x.dtype)
        put(self.a.fprop_then(self.ua, x), self.y, 0)
        put(self.b.fprop_then(self.ub, x), self.y, 8)
        put(self.c.fprop_then(self.uc, self.pool.fprop(x)), self.y, 16)
        return self.out.fprop(self.flatten.fprop(self.half.fprop(self.y)))

    def bprop(self, grad_y):
        grad = self.half.bprop(self.flatten.bprop(self.out.bprop(grad_y)))
        shape = (grad.shape[0], 8, grad.shape[2], grad.shape[3])
        self.ga, self.gb = reuse(self.ga, shape, grad.dtype), reuse(self.gb, shape, grad.dtype)
        self.gc = reuse(self.gc, shape, grad.dtype)
        take(grad, self.ga, 0)
        take(grad, self.gb, 8)
        take(grad, self.gc, 16)
        from_a, from_b = self.a.bprop_after(self.ua, self.ga), self.b.bprop_after(self.ub, self.gb)
        from_c = self.pool.bprop(self.c.bprop_after(self.uc, self.gc))
        self.grad_x = reuse_like(self.grad_x, from_a)
        out, a, b, c = self.grad_x.reshape(-1), from_a.reshape(-1), from_b.reshape(-1), from_c.reshape(-1)
        for i in range(out.size):
            out[i] = a[i] + b[i] + c[i]
        return self.grad_x


def put(part, whole, first):
    """whole[:, first:] = part, along the channels."""
    for n in range(part.shape[0]):
        source, target = part[n].reshape(-1), whole[n].reshape(-1)
        start = first * (whole.shape[2] * whole.shape[3])
        for i in range(source.size):
            target[start + i] = source[i]


def take(whole, part, first):
    """part = whole[:, first:], along the channels."""
    for n in range(part.shape[0]):
        source, target = whole[n].reshape(-1), part[n].reshape(-1)
        start = first * (whole.shape[2] * whole.shape[3])
        for i in range(target.size):
            target[i] = source[start + i]


# -- shared weights ----------------------------------------------------------------------------------------------


def siamese_graph() -> Module:
    nodes: dict = {
        "tower": ([Linear(64, 64), Tanh(), Linear(64, 16)], "left"),
        "twin": (Share("tower"), "right"),
        "difference": (CSubTable(), ["tower", "twin"]),
        "out": (Linear(16, 2), "difference"),
    }
    return Sequential(SplitTable(2), Graph(nodes, outputs="out", inputs=["left", "right"]))


class SiameseByHand(ByHand):
    def __init__(self):
        super().__init__()
        self.a, self.ua, self.b, self.out = Linear(64, 64), Tanh(), Linear(64, 16), Linear(16, 2)
        self.overwrite()
        self.c, self.uc, self.d = self.a.share(), Tanh(), self.b.share()
        self.c.accumulate = self.d.accumulate = True  # these add to what the others begin
        self.left = self.right = self.difference = self.minus = np.empty((0, 0))
        self.grad_x = np.empty((0, 0, 0))

    def fprop(self, x):
        shape = (x.shape[0], x.shape[2])
        self.left, self.right = reuse(self.left, shape, x.dtype), reuse(self.right, shape, x.dtype)
        for n in range(x.shape[0]):
            for i in range(x.shape[2]):
                self.left[n, i] = x[n, 0, i]
                self.right[n, i] = x[n, 1, i]
        u, v = self.b.fprop(self.a.fprop_then(self.ua, self.left)), self.d.fprop(self.c.fprop_then(self.uc, self.right))
        self.difference = reuse_like(self.difference, u)
        for n in range(u.shape[0]):
            for i in range(u.shape[1]):
                self.difference[n, i] = u[n, i] - v[n, i]
        return self.out.fprop(self.difference)

    def bprop(self, grad_y):
        grad = self.out.bprop(grad_y)
        self.minus = reuse_like(self.minus, grad)
        for n in range(grad.shape[0]):
            for i in range(grad.shape[1]):
                self.minus[n, i] = -grad[n, i]
        left, right = (
            self.a.bprop_after(self.ua, self.b.bprop(grad)),
            self.c.bprop_after(self.uc, self.d.bprop(self.minus)),
        )
        self.grad_x = reuse(self.grad_x, (left.shape[0], 2, left.shape[1]), left.dtype)
        for n in range(left.shape[0]):
            for i in range(left.shape[1]):
                self.grad_x[n, 0, i] = left[n, i]
                self.grad_x[n, 1, i] = right[n, i]
        return self.grad_x


# -- two outputs -------------------------------------------------------------------------------------------------


def two_heads_graph() -> Module:
    nodes: dict = {
        "body": ([Linear(64, 64), Tanh()], "x"),
        "kind": (Linear(64, 10), "body"),
        "size": ([Linear(64, 16), Tanh(), Linear(16, 1)], "body"),
        "both": (JoinTable(), ["kind", "size"]),
    }
    return Graph(nodes, outputs="both")


class TwoHeadsByHand(ByHand):
    def __init__(self):
        super().__init__()
        self.body, self.unit, self.kind = Linear(64, 64), Tanh(), Linear(64, 10)
        self.a, self.ua, self.b = Linear(64, 16), Tanh(), Linear(16, 1)
        self.y = self.grad_kind = self.grad_size = self.total = np.empty((0, 0))
        self.overwrite()

    def fprop(self, x):
        body = self.body.fprop_then(self.unit, x)
        kind, size = self.kind.fprop(body), self.b.fprop(self.a.fprop_then(self.ua, body))
        self.y = reuse(self.y, (x.shape[0], 11), x.dtype)
        for n in range(x.shape[0]):
            for k in range(10):
                self.y[n, k] = kind[n, k]
            self.y[n, 10] = size[n, 0]
        return self.y

    def bprop(self, grad_y):
        self.grad_kind = reuse(self.grad_kind, (grad_y.shape[0], 10), grad_y.dtype)
        self.grad_size = reuse(self.grad_size, (grad_y.shape[0], 1), grad_y.dtype)
        for n in range(grad_y.shape[0]):
            for k in range(10):
                self.grad_kind[n, k] = grad_y[n, k]
            self.grad_size[n, 0] = grad_y[n, 10]
        kind, size = self.kind.bprop(self.grad_kind), self.a.bprop_after(self.ua, self.b.bprop(self.grad_size))
        self.total = reuse_like(self.total, kind)
        plus(kind, size, self.total)
        return self.body.bprop_after(self.unit, self.total)


def both_losses() -> MultiLoss:
    return MultiLoss([LossPart(SoftmaxCrossEntropy(), "0:10", 0), LossPart(MeanSquaredError(), 10, 1)])


SHAPES = {  # as a graph, by hand, the loss
    "residual": (residual_graph, ResidualByHand, SoftmaxCrossEntropy),
    "inception": (inception_graph, InceptionByHand, SoftmaxCrossEntropy),
    "siamese": (siamese_graph, SiameseByHand, SoftmaxCrossEntropy),
    "two heads": (two_heads_graph, TwoHeadsByHand, both_losses),
}
