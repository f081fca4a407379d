"""Kohonen's self-organizing map: neurons on a grid, of which the nearest and its neighbours follow a sample."""

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...core.shapes import check_matrix_shape, check_sizes
from ...initializers.initializers import Initializer, Normal
from ...kernels.buffers import reuse, reuse_like
from ..distances import bprop_inputs, bprop_points, compute_directional, compute_squared_distances


class SelfOrganizingMap(Module):
    """Squared distances of samples to neurons on a grid, weighted by how near each neuron is to the winner.

        y[n]           = ½ Σⱼ a[n, j] q[n, j],   q[n, j] = |x[n] - weight[j]|²
        a[n, j]        = exp(-d² / 2 radius²),   d the distance of j to the winner argminⱼ q[n, j] on the grid
        grad_x         = grad_y Σⱼ a[n, j] (x[n] - weight[j])
        grad_weight[j] += Σₙ grad_y[n] a[n, j] (weight[j] - x[n])

    By SGD and the loss MeanOutput it learns as Kohonen's map: the winner and, less, its neighbours move towards the
    sample. The winner counts as given. A schedule shrinks `radius`; at 0 the winner moves alone, which is k-means.

    Shapes: x (N, D), y (N, 1), weight (rows columns, D), one row of the grid after the other.
    Args: in_features: D; rows, columns: of the grid; all at least 1; radius: in steps of the grid, at least 0;
        weight_init: initial values, by default small and normal.
    Errors: ValueError for such settings, and for an x of another shape.
    Source: Kohonen, Self-organized formation of topologically correct feature maps (1982); Géron, Hands-On Machine
        Learning, appendix E.
    """

    def __init__(
        self,
        in_features: int,
        rows: int,
        columns: int,
        radius: float = 1.0,
        *,
        weight_init: Initializer | None = None,
    ):
        super().__init__()
        check_sizes(self, in_features=in_features, rows=rows, columns=columns)
        if not 0 <= radius < np.inf:
            raise ValueError(f"SelfOrganizingMap: radius is {radius}, expected a number of at least 0")
        self.in_features, self.rows, self.columns, self.radius = in_features, rows, columns, float(radius)
        self.weight = Parameter((weight_init or Normal(std=0.1)).sample((rows * columns, in_features)))
        self.y = self.q = self.nearness = self.c = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, (x.shape[0], 1), x.dtype)
        self.q = reuse(self.q, (x.shape[0], self.weight.shape[0]), x.dtype)
        self.nearness = reuse_like(self.nearness, self.q)
        compute_squared_distances(x, self.weight, self.q)
        for n in range(x.shape[0]):
            weigh_by_grid(find_winner(self.q[n]), self.columns, self.radius, self.nearness[n])
            total = x.dtype.type(0)
            for j in range(self.q.shape[1]):
                total += self.nearness[n, j] * self.q[n, j]
            self.y[n, 0] = total / 2
        return self.y

    def bprop(self, grad_y):
        self.c, self.grad_x = reuse_like(self.c, self.q), reuse_like(self.grad_x, self.x)
        for n in range(self.c.shape[0]):
            for j in range(self.c.shape[1]):
                self.c[n, j] = -grad_y[n, 0] * self.nearness[n, j]
        if self.needs_grad_parameters:
            bprop_points(self.c, self.x, self.weight, self.grad_weight, self.accumulate)
        if self.needs_grad_x:
            bprop_inputs(self.c, self.x, self.weight, self.grad_x, False)
        return self.grad_x

    def jvp(self, v):
        """Σⱼ a <x - weight, v - v_weight>"""
        terms, out = np.empty(self.q.shape, v.dtype), np.zeros((v.shape[0], 1), v.dtype)
        compute_directional(self.x, self.weight, v, self.v_weight, terms)
        for n in range(terms.shape[0]):
            for j in range(terms.shape[1]):
                out[n, 0] += self.nearness[n, j] * terms[n, j]
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = Σⱼ a (r_grad_y (x - weight) + grad_y (v - v_weight))"""
        c, turn, out = np.empty(self.q.shape, v.dtype), np.empty(self.q.shape, v.dtype), np.empty(v.shape, v.dtype)
        for n in range(c.shape[0]):
            for j in range(c.shape[1]):
                c[n, j], turn[n, j] = -grad_y[n, 0] * self.nearness[n, j], -r_grad_y[n, 0] * self.nearness[n, j]
        bprop_points(turn, self.x, self.weight, self.grad_weight, True)
        bprop_points(c, v, self.v_weight, self.grad_weight, True)
        bprop_inputs(turn, self.x, self.weight, out, False)
        bprop_inputs(c, v, self.v_weight, out, True)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_matrix_shape(self, input_shape, self.in_features), 1

    def extra_repr(self) -> str:
        return f"{self.in_features} -> {self.rows} x {self.columns}, radius={self.radius:g}"

    # -- the trained map -----------------------------------------------------------------------------------------------

    def locate(self, x, rank: int = 0) -> np.ndarray:
        """Compute the places (N, 2) of the winners of x (N, D), row and column; of rank 1, of those that come second.

        Errors: ValueError for another shape, and a rank that the grid does not have.
        """
        self.output_shape(np.shape(x))
        if not 0 <= rank < self.rows * self.columns:
            raise ValueError(f"{self.label()}: rank is {rank}, expected 0 to {self.rows * self.columns - 1}")
        x, weight = np.asarray(x, np.float64), vars(self)["weight"].astype(np.float64)
        q = np.array([((weight - row) ** 2).sum(axis=1) for row in x])
        winners = np.argsort(q, axis=1, kind="stable")[:, rank]
        return np.stack(np.divmod(winners, self.columns), axis=1)

    def topographic_error(self, x) -> float:
        """Compute the share of samples whose nearest two neurons are no neighbours, straight or diagonal.

        Source: Kiviluoto, Topology preservation in self-organizing maps (1996).
        """
        apart = np.abs(self.locate(x) - self.locate(x, 1)).max(axis=1)
        return float((apart > 1).mean())


def find_winner(q):
    """The place of the smallest distance, the first of equal ones."""
    winner = 0
    for j in range(1, q.size):
        if q[j] < q[winner]:
            winner = j
    return winner


def weigh_by_grid(winner, columns, radius, out):
    """out[j] = exp(-d² / 2 radius²), d the distance of j to the winner on the grid; radius 0: of the winner alone."""
    for j in range(out.size):
        down, across = j // columns - winner // columns, j % columns - winner % columns
        if j == winner:
            out[j] = 1
        elif radius == 0:
            out[j] = 0
        else:  # in this order, so that no radius is too small
            d = np.sqrt(float(down * down + across * across)) / radius
            out[j] = np.exp(out.dtype.type(-d * d / 2))
