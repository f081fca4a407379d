"""Examples of bprop.modules.losses, for the reference."""

import numpy as np
from bprop.modules import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    ContrastiveDivergence,
    Focal,
    GaussianNLL,
    Hinge,
    HingeEmbedding,
    Huber,
    KLDivergence,
    LearntPrecision,
    LogCosh,
    MarginRanking,
    MeanAbsoluteError,
    MeanOutput,
    MeanSquaredError,
    MixtureDensity,
    MultiLabelSoftMargin,
    MultiMargin,
    MultivariateGaussianNLL,
    NegativeLogLikelihood,
    Perceptron,
    PoissonNLL,
    SmoothL1,
    SoftMargin,
    SoftmaxCrossEntropy,
    SquaredHinge,
    VariationalBound,
)

# %% bprop.modules.BinaryCrossEntropy
loss = BinaryCrossEntropy()
y, target = np.array([[0.4, 0.2, 0.7], [0.2, 0.9, 0.7]]), np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.BinaryCrossEntropyWithLogits
loss = BinaryCrossEntropyWithLogits()
y, target = np.array([[-1.2, 0.1, -0.2], [-0.5, 0.3, 0.9]]), np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.ContrastiveDivergence
loss = ContrastiveDivergence()
y, target = np.array([[0.4, 1.5], [-1.8, 1.7]]), np.array([0, 1])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.Focal
loss = Focal()
y, target = np.array([[-0.8, -1.3, -0.2], [0.4, 1.1, 0.1]]), np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.GaussianNLL
loss = GaussianNLL(variance=0.25)
y, target = np.array([[0.4, -0.6, 0.6], [0.0, -1.6, 1.0]]), np.array([[-0.1, 0.6, 1.8], [0.3, -1.1, -0.7]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.Hinge
loss = Hinge()
y, target = np.array([[-0.8, -1.3, -0.2], [0.4, 1.1, 0.1]]), np.array([[1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.HingeEmbedding
loss = HingeEmbedding()
y, target = np.array([[0.7, -1.0, -1.6], [-2.9, -0.4, 1.2]]), np.array([[-1.0, 1.0, -1.0], [1.0, 1.0, -1.0]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.Huber
loss = Huber()
y, target = np.array([[-0.8, -1.3, -0.2], [0.4, 1.1, 0.1]]), np.array([[-0.6, -0.8, 0.7], [1.6, 0.3, -1.2]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.KLDivergence
loss = KLDivergence()
y, target = np.array([[-0.0, 1.0, 0.7], [0.7, 1.6, -1.2]]), np.array([[0.5, 0.1, 0.5], [0.8, 0.0, 0.2]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.LearntPrecision
layer = LearntPrecision(3)
x = np.array([[-1.4, -0.9, 0.4], [-0.5, 0.5, 0.8]])
y = layer.fprop(x)
print(y)
print(layer.bprop(np.ones_like(y)))

# %% bprop.modules.LogCosh
loss = LogCosh()
y, target = np.array([[0.0, 0.3, -0.3], [-0.9, -0.5, -1.0]]), np.array([[0.1, 1.3, -0.5], [-0.6, 0.5, 0.4]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.MarginRanking
loss = MarginRanking(margin=0.3)
y, target = np.array([[1.8, -3.1], [1.0, 0.1]]), np.array([-1.0, -1.0])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.MeanAbsoluteError
loss = MeanAbsoluteError()
y, target = np.array([[1.1, 0.3, -0.5], [-1.3, -1.9, 0.0]]), np.array([[-0.8, -0.9, -0.2], [-0.1, -2.3, 0.9]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.MeanOutput
loss = MeanOutput()
y, target = np.array([[-1.1, -0.7], [-0.8, 0.3]]), np.array([1, 1])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.MeanSquaredError
loss = MeanSquaredError()
y, target = np.array([[-0.6, 0.6, 1.0], [1.0, 1.8, -0.4]]), np.array([[0.5, -0.4, -1.4], [-0.7, 0.1, -0.9]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.MixtureDensity
loss = MixtureDensity(components=3, dims=2)
random = np.random.default_rng(0)
y, target = random.standard_normal((4, 3 * (1 + 2 * 2))), random.standard_normal((4, 2))
print(loss(y, target), loss.bprop().shape)

# %% bprop.modules.MultiLabelSoftMargin
loss = MultiLabelSoftMargin()
y, target = np.array([[-0.4, 1.2, 1.4], [0.3, 0.4, -0.5]]), np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.MultiMargin
loss = MultiMargin()
y, target = np.array([[0.0, 1.4, 1.2], [-0.5, -0.3, -0.5]]), np.array([1, 0])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.MultivariateGaussianNLL
loss = MultivariateGaussianNLL(dims=2)
random = np.random.default_rng(0)
y, target = random.standard_normal((4, 2 + 2 * 2)), random.standard_normal((4, 2))
print(loss(y, target), loss.bprop().shape)

# %% bprop.modules.NegativeLogLikelihood
loss = NegativeLogLikelihood()
y, target = np.array([[0.4, 1.5, -1.8], [1.7, -0.0, -0.8]]), np.array([0, 1])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.Perceptron
loss = Perceptron()
y, target = np.array([[-1.1, -0.7, -0.8], [0.3, -0.2, 0.1]]), np.array([[-1.0, 1.0, -1.0], [1.0, -1.0, -1.0]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.PoissonNLL
loss = PoissonNLL(full=False)
y, target = np.array([[-1.1, -0.7, -0.8], [0.3, -0.2, 0.1]]), np.array([[5.0, 4.0, 1.0], [3.0, 3.0, 3.0]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.SmoothL1
loss = SmoothL1(beta=0.5)
y, target = np.array([[-0.4, -1.1, 0.7], [-1.1, 2.0, 0.9]]), np.array([[-0.4, 0.6, 1.6], [2.8, -0.9, 1.1]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.SoftMargin
loss = SoftMargin()
y, target = np.array([[-1.1, -0.7, -0.8], [0.3, -0.2, 0.1]]), np.array([[-1.0, 1.0, -1.0], [1.0, -1.0, -1.0]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.SoftmaxCrossEntropy
loss = SoftmaxCrossEntropy()
y, target = np.array([[-0.4, 1.0, 0.4], [-0.6, 0.7, -1.5]]), np.array([2, 2])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.SquaredHinge
loss = SquaredHinge()
y, target = np.array([[-0.0, 1.0, 0.7], [0.7, 1.6, -1.2]]), np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, 1.0]])
print(loss(y, target))
print(loss.bprop())

# %% bprop.modules.VariationalBound
loss = VariationalBound(latent=2)
random = np.random.default_rng(0)
y, target = random.standard_normal((4, 6 + 2 * 2)), random.random((4, 6))
print(loss(y, target), loss.bprop().shape)
