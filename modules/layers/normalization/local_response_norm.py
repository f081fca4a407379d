"""Local response normalisation: strong responses damp their neighbours among the channels."""

import numpy as np

from ...core.module import Module
from ...core.shapes import check_sizes
from ...kernels.buffers import flat, reuse_like


class LocalResponseNorm(Module):
    """Divides each number by a power of its neighbouring channels' energy.

        s[c]      = k + alpha / size Σ x[j]² over the channels c - ⌊size/2⌋ <= j <= c + ⌊(size - 1)/2⌋
        y[c]      = x[c] s[c]^-beta
        grad_x[c] = grad_y[c] s[c]^-beta - 2 alpha beta / size x[c] Σ grad_y[j] y[j] / s[j] over the j that count c

    at each place of each sample by itself; channels that are not there count 0. alpha / size x² must not overflow.

    Shapes: x and y (N, C, ...).
    Args: size: how many channels are neighbours; alpha, beta: at least 0; k: above 0.
    Errors: ValueError for other settings, and for an x without channels and places.
    Source: Krizhevsky, Sutskever and Hinton, ImageNet classification (2012), section 3.3; PyTorch's LocalResponseNorm.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        check_sizes(self, size=size)
        for name, value, fits, expected in (
            ("alpha", alpha, alpha >= 0, "at least 0"),
            ("beta", beta, beta >= 0, "at least 0"),
            ("k", k, k > 0, "above 0"),
        ):
            if not fits:
                raise ValueError(f"LocalResponseNorm: {name} is {value}, expected {expected}")
        self.size, self.alpha, self.beta, self.k = size, float(alpha), float(beta), float(k)
        self.sums = self.y = self.grad_x = np.empty((0, 0, 0))

    def fprop(self, x):
        self.x = x
        x = self.planes(flat(x), x.shape[0], x.shape[1])
        self.sums, self.y = reuse_like(self.sums, x), reuse_like(self.y, x)
        self.sums[:] = 0
        root = (self.alpha / self.size) ** 0.5  # its square times x² overflows later than x²
        for n in range(x.shape[0]):
            for c in range(x.shape[1]):
                total, y = self.sums[n, c], self.y[n, c]
                for j in range(max(0, c - self.size // 2), min(x.shape[1], c + (self.size - 1) // 2 + 1)):
                    for p in range(x.shape[2]):
                        scaled = root * x[n, j, p]
                        total[p] += scaled * scaled
                for p in range(x.shape[2]):
                    total[p] = self.k + total[p]
                    y[p] = x[n, c, p] * total[p] ** -self.beta
        return self.y.reshape(self.x.shape)

    def bprop(self, grad_y):
        x, grad_y = self.planes(flat(self.x), grad_y.shape[0], grad_y.shape[1]), flat(grad_y).reshape(self.y.shape)
        self.grad_x = reuse_like(self.grad_x, x)
        self.grad_x[:] = 0
        factor = 2 * self.alpha * self.beta / self.size
        for n in range(x.shape[0]):
            for c in range(x.shape[1]):
                out = self.grad_x[n, c]
                for j in range(max(0, c - (self.size - 1) // 2), min(x.shape[1], c + self.size // 2 + 1)):
                    for p in range(x.shape[2]):
                        out[p] += grad_y[n, j, p] * self.y[n, j, p] / self.sums[n, j, p]
                for p in range(x.shape[2]):
                    power = self.sums[n, c, p] ** -self.beta
                    out[p] = grad_y[n, c, p] * power - factor * x[n, c, p] * out[p]
        return self.grad_x.reshape(self.x.shape)

    def jvp(self, v):
        """v[c] s[c]^-beta - 2 alpha beta / size y[c] / s[c] Σ x[j] v[j] over the neighbours j of c"""
        x, v_planes = flat(self.x).reshape(self.y.shape), flat(v).reshape(self.y.shape)
        out = np.zeros(self.y.shape, v.dtype)
        factor = 2 * self.alpha * self.beta / self.size
        for n in range(x.shape[0]):
            for c in range(x.shape[1]):
                row = out[n, c]
                for j in range(max(0, c - self.size // 2), min(x.shape[1], c + (self.size - 1) // 2 + 1)):
                    for p in range(x.shape[2]):
                        row[p] += x[n, j, p] * v_planes[n, j, p]
                for p in range(x.shape[2]):
                    s = self.sums[n, c, p]
                    row[p] = v_planes[n, c, p] * s**-self.beta - factor * self.y[n, c, p] / s * row[p]
        return out.reshape(v.shape)

    def rbprop(self, v, grad_y, r_grad_y):
        """The product rule, with t = grad_y y / s, R{s[c]} = 2 alpha / size Σ x[j] v[j], R{y} = jvp:

        R{t}         = (r_grad_y y + grad_y R{y} - t R{s}) / s
        R{grad_x[c]} = (r_grad_y[c] - beta grad_y[c] R{s[c]} / s[c]) s[c]^-beta
                       - 2 alpha beta / size (v[c] Σ t[j] + x[c] Σ R{t[j]}) over the j that count c
        """
        shape, factor = self.y.shape, 2 * self.alpha / self.size
        x, v_x, grad = flat(self.x).reshape(shape), flat(v).reshape(shape), flat(grad_y).reshape(shape)
        r, tangent = flat(r_grad_y).reshape(shape), flat(self.jvp(v)).reshape(shape)
        t, r_t, out = np.empty(shape, v.dtype), np.empty(shape, v.dtype), np.empty(shape, v.dtype)
        r_s = np.zeros(shape, v.dtype)
        for n in range(shape[0]):
            for c in range(shape[1]):
                for j in range(max(0, c - self.size // 2), min(shape[1], c + (self.size - 1) // 2 + 1)):
                    for p in range(shape[2]):
                        r_s[n, c, p] += factor * x[n, j, p] * v_x[n, j, p]
                for p in range(shape[2]):
                    s = self.sums[n, c, p]
                    t[n, c, p] = grad[n, c, p] * self.y[n, c, p] / s
                    change = r[n, c, p] * self.y[n, c, p] + grad[n, c, p] * tangent[n, c, p]
                    r_t[n, c, p] = (change - t[n, c, p] * r_s[n, c, p]) / s
            for c in range(shape[1]):
                for p in range(shape[2]):
                    s = self.sums[n, c, p]
                    out[n, c, p] = (r[n, c, p] - self.beta * grad[n, c, p] * r_s[n, c, p] / s) * s**-self.beta
                for j in range(max(0, c - (self.size - 1) // 2), min(shape[1], c + self.size // 2 + 1)):
                    for p in range(shape[2]):
                        change = v_x[n, c, p] * t[n, j, p] + x[n, c, p] * r_t[n, j, p]
                        out[n, c, p] -= factor * self.beta * change
        return out.reshape(v.shape)

    def planes(self, x, samples, channels):
        """The vector of all numbers as (N, C, P)."""
        return x.reshape((samples, channels, x.size // (samples * channels)))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) < 3:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, C, ...)")
        return tuple(input_shape)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}"
