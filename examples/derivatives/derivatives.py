"""Derivatives of a model beyond the gradient, each in two or three lines.

python examples/derivatives/derivatives.py
"""

import numpy as np
from bprop.modules import Linear, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed
from bprop.modules import derivatives as d
from scipy.sparse.linalg import cg

manual_seed(0)
random = np.random.default_rng(0)
model, loss = Sequential(Linear(4, 6), Tanh(), Linear(6, 3)), SoftmaxCrossEntropy()
x, labels = random.standard_normal((30, 4)), random.integers(0, 3, 30)

# How does the output change along a direction in x, and along one in the parameters?
v, direction = random.standard_normal(x.shape), random.standard_normal(model.flat_parameters.size)
print("J v:", d.jvp(model, x, v)[0], d.jvp(model, x, direction=direction)[0])

# The Jacobian of each sample, and what errors of the input, of variance 0.01, do to the output.
print("Jacobian:", d.sample_jacobians(model, x).shape)
print("variance of y:", d.output_variance(model, x, 0.01)[0])

# The curvature of the loss in the parameters: products with vectors, exact, without a matrix.
curvature = d.Curvature(model, loss, x, labels)
u = random.standard_normal(curvature.size)
print("symmetric:", u @ curvature.hvp(direction) - direction @ curvature.hvp(u))

# Along an eigenvector of the largest curvature, the gradient changes by that eigenvalue.
values, vectors = d.top_eigenvalues(curvature, 2)
print("largest eigenvalues:", values, curvature.hvp(vectors[:, 0]) @ vectors[:, 0])

# Matrices of a small model: Hessian, its diagonal, Gauss-Newton, Fisher.
H, G, F = d.hessian(curvature), d.gauss_newton_matrix(curvature), d.fisher_matrix(curvature)
print("traces:", np.trace(H), d.hessian_diagonal(curvature).sum(), np.trace(G), np.trace(F))

# Each sample's own gradient; their mean is the gradient.
g = curvature.sample_gradients()
print("single gradients:", g.shape, np.abs(g.mean(axis=0) - curvature.gradient()).max())

# A step of Newton's method, by SciPy's conjugate gradients and Hessian products alone.
step, _ = cg(d.linear_operator(curvature, "gauss_newton", damping=0.2), -curvature.gradient())
before = curvature.value
curvature.at(curvature.net.flat_parameters + step).gradient()
print(f"loss: {before:.4f} before the step, {curvature.value:.4f} after it")
