"""Examples of losses and distributions whose text is not their constructor."""

import numpy as np
from bprop.modules import (
    CTC,
    Bernoulli,
    BernoulliUnits,
    Categorical,
    CosineEmbedding,
    ElementwiseLoss,
    Gaussian,
    LabelLoss,
    Linear,
    Loss,
    LossPart,
    MeanSquaredError,
    Mixture,
    MultiLoss,
    MultivariateGaussian,
    Poisson,
    Reinforce,
    SampleLoss,
    SoftmaxCrossEntropy,
    Triplet,
)

# %% bprop.modules.Bernoulli
distribution = Bernoulli(scores=np.array([0.0, 2.0]))
print(distribution.probabilities, distribution.classes())

# %% bprop.modules.Categorical
distribution = SoftmaxCrossEntropy().distribution(np.array([[2.0, 0.0, 0.0]]))
print(isinstance(distribution, Categorical), distribution.probabilities, distribution.classes)

# %% bprop.modules.CosineEmbedding
loss = CosineEmbedding()
y = np.array([[[1.0, 0.0], [1.0, 1.0]]])
print(loss(y, np.array([1.0])))

# %% bprop.modules.CTC
loss = CTC(blank=0)
scores = np.random.default_rng(0).standard_normal((1, 5, 3))
print(loss(scores, np.array([[1, 2]])), loss.bprop().shape)


# %% bprop.modules.ElementwiseLoss
class Quartic(ElementwiseLoss):
    """l = (y - t)⁴."""

    def function(self, y, target):
        return (y - target) ** 4

    def derivative(self, y, target):
        return 4 * (y - target) ** 3


loss = Quartic()
print(loss(np.array([[1.0, 2.0]]), np.zeros((1, 2))), loss.bprop())

# %% bprop.modules.Gaussian
distribution = Gaussian(np.array([0.0]), np.log(np.array([2.0])))
print(distribution.std, distribution.interval(0.95))

# %% bprop.modules.LabelLoss
print(
    issubclass(SoftmaxCrossEntropy, LabelLoss),
    SoftmaxCrossEntropy(ignore_index=-1)(np.zeros((2, 3)), np.array([0, -1])),
)

# %% bprop.modules.Loss
print(issubclass(MeanSquaredError, Loss), MeanSquaredError("none")(np.ones((2, 2)), np.zeros((2, 2))))

# %% bprop.modules.LossPart
loss = MultiLoss(
    [
        LossPart(SoftmaxCrossEntropy(), outputs="0:3", targets=0),
        LossPart(MeanSquaredError(), outputs=[3], targets=[1], weight=0.1),
    ]
)
print(loss(np.array([[2.0, 0.0, 0.0, 5.0]]), np.array([[0.0, 4.0]])))

# %% bprop.modules.Mixture
distribution = Mixture(np.zeros((1, 2)), np.array([[[-1.0], [1.0]]]), np.log(np.full((1, 2, 1), 0.1)))
print(distribution.mean, distribution.weights)

# %% bprop.modules.MultiLoss
loss = MultiLoss([MeanSquaredError(), MeanSquaredError("sum")])
print(loss(np.ones((2, 2)), np.zeros((2, 2))), loss.bprop())

# %% bprop.modules.MultivariateGaussian
distribution = MultivariateGaussian(np.zeros((1, 2)), np.array([[[1.0, 0.5], [0.5, 1.0]]]))
print(distribution.std, distribution.correlation)

# %% bprop.modules.Poisson
distribution = Poisson(np.log(np.array([3.0])))
print(distribution.rate, distribution.quantile(0.5))

# %% bprop.modules.Reinforce
net, loss = BernoulliUnits(Linear(3, 2)), Reinforce(MeanSquaredError())
y = net.fprop(np.zeros((4, 3), np.float32))
print(loss(y, np.zeros((4, 2), np.float32)) >= 0, net.bprop(loss.bprop()).shape)


# %% bprop.modules.SampleLoss
class Distance(SampleLoss):
    """l = |y - t|, the length of a vector."""

    def of_sample(self, y, target, grad_y):
        length = np.sqrt(np.sum((y - target) ** 2))
        grad_y[:] = (y - target) / length
        return length


loss = Distance()
print(loss(np.array([[3.0, 4.0]]), np.zeros((1, 2))), loss.bprop())

# %% bprop.modules.Triplet
loss = Triplet()
y = np.array([[[0.0, 0.0], [1.0, 1.0], [0.5, 0.0]]])  # anchor, positive, negative
print(loss(y, np.array([1.0])))
