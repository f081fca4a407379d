"""Examples of layers whose text is not their constructor: attention, recurrent, convolution, energies and others."""

import numpy as np
from bprop.modules import (
    GRU,
    LSTM,
    RBM,
    RNN,
    BernoulliUnits,
    Bilinear,
    BoltzmannMachine,
    ClassRBM,
    Conv1d,
    Conv2d,
    Conv3d,
    Convolution,
    ConvTranspose1d,
    ConvTranspose2d,
    Cosine,
    CosineSimilarity,
    CrossAttention,
    Elementwise,
    Euclidean,
    GaussianNoise,
    GRUCell,
    Hopfield,
    LearntElementwise,
    Linear,
    LinearWeightNorm,
    LSTMCell,
    MaskedLinear,
    Maxout,
    MaxPool2d,
    ModernHopfield,
    MultiheadAttention,
    Noise,
    PairwiseDistance,
    Pooling,
    RadialBasis,
    Recall,
    RNNCell,
    SelectTable,
    SelfOrganizingMap,
    Sequential,
    SigmoidBelief,
    Standardize,
    TransformerBlock,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
    WithState,
)


# %% bprop.modules.Elementwise
class Gauss(Elementwise):
    """y = exp(-x²), grad_x = -2 x y grad_y."""

    def function(self, x):
        return np.exp(-x * x)

    def derivative(self, x, y):
        return -2 * x * y


layer = Gauss()
print(layer.fprop(np.array([0.0, 1.0])), layer.bprop(np.ones(2)))


# %% bprop.modules.LearntElementwise
class Slope(LearntElementwise):
    """y = w x, one w for each channel."""

    def function(self, x, w):
        return w * x

    def derivative(self, x, y, w):
        return w

    def weight_derivative(self, x, y, w):
        return x


layer = Slope(2, init=0.5)
print(layer.fprop(np.array([[1.0, 2.0]])), layer.bprop(np.ones((1, 2))), layer.grad_weight)

# %% bprop.modules.Pooling
print(issubclass(MaxPool2d, Pooling), MaxPool2d(2).fprop(np.arange(16.0).reshape(1, 1, 4, 4)))

# %% bprop.modules.BernoulliUnits
layer = BernoulliUnits(Linear(3, 2))
print(layer.fprop(np.zeros((4, 3), np.float32)).shape)  # the last column is log p of what was drawn

# %% bprop.modules.Bilinear
layer = Bilinear(2, 3, 4)
y = layer.fprop(np.ones((5, 2 + 3), np.float32))
print(y.shape, layer.weight.shape)

# %% bprop.modules.Cosine
layer = Cosine(3, 2)
x = np.array([[1.0, 2.0, 2.0]])
print(layer.fprop(x), layer.fprop(10 * x))

# %% bprop.modules.CosineSimilarity
layer = CosineSimilarity()
print(layer.fprop((np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]]))))

# %% bprop.modules.Euclidean
layer = Euclidean(2, 1)
layer.weight[:] = 0
print(layer.fprop(np.array([[3.0, 4.0]])))

# %% bprop.modules.Linear
layer = Linear(3, 2)
x = np.array([[1.0, 2.0, 3.0]])
y = layer.fprop(x)
grad_x = layer.bprop(np.array([[1.0, 0.0]]))
print(y.shape, np.allclose(grad_x, layer.weight[0]), layer.grad_weight)

# %% bprop.modules.LinearWeightNorm
layer = LinearWeightNorm(3, 2)
print({name: array.shape for name, array in layer.named_parameters()})

# %% bprop.modules.MaskedLinear
layer = MaskedLinear(3, 2, parents=[[0], [1, 2]])
layer.fprop(np.ones((1, 3)))
print(layer.bprop(np.array([[1.0, 0.0]])))

# %% bprop.modules.Maxout
layer = Maxout(3, 2, pieces=4)
print(layer.fprop(np.ones((5, 3), np.float32)).shape, layer.weight.shape)

# %% bprop.modules.Noise
layer = GaussianNoise(0.1)
x = np.zeros((1, 2))
print(isinstance(layer, Noise), (layer.fprop(x) != layer.fprop(x)).all(), layer.eval().fprop(x))

# %% bprop.modules.PairwiseDistance
layer = PairwiseDistance()
print(layer.fprop((np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]))))

# %% bprop.modules.RadialBasis
layer = RadialBasis(2, 3)
print(layer.fprop(np.zeros((4, 2), np.float32)).shape)

# %% bprop.modules.Standardize
layer = Standardize([1.0, 10.0], [2.0, 5.0])
print(layer.fprop(np.array([[3.0, 0.0]])))

# %% bprop.modules.Conv1d
layer = Conv1d(3, 8, kernel_size=3, padding=1)
y = layer.fprop(np.ones((2, 3, 20), np.float32))
print(y.shape, layer.bprop(y).shape)

# %% bprop.modules.Conv2d
layer = Conv2d(3, 8, kernel_size=3, padding=1, stride=2)
y = layer.fprop(np.ones((2, 3, 16, 16), np.float32))
print(y.shape, layer.bprop(y).shape)

# %% bprop.modules.Conv3d
layer = Conv3d(1, 4, kernel_size=3)
y = layer.fprop(np.ones((2, 1, 5, 6, 7), np.float32))
print(y.shape, layer.bprop(y).shape)

# %% bprop.modules.Convolution
print(issubclass(Conv2d, Convolution), Conv2d(1, 2, 3).method)

# %% bprop.modules.ConvTranspose1d
layer = ConvTranspose1d(4, 2, kernel_size=2, stride=2)
y = layer.fprop(np.ones((1, 4, 5), np.float32))
print(y.shape, layer.bprop(y).shape)

# %% bprop.modules.ConvTranspose2d
layer = ConvTranspose2d(4, 2, kernel_size=2, stride=2)
y = layer.fprop(np.ones((1, 4, 5, 5), np.float32))
print(y.shape, layer.bprop(y).shape)

# %% bprop.modules.CrossAttention
layer = CrossAttention(8, 2)
y = layer.fprop(np.ones((1, 3, 8), np.float32), np.ones((1, 5, 8), np.float32))
grad_query, grad_memory = layer.bprop(y)
print(y.shape, grad_query.shape, grad_memory.shape)

# %% bprop.modules.MultiheadAttention
layer = MultiheadAttention(8, 2, causal=True)
x = np.random.default_rng(0).standard_normal((1, 4, 8))
y = layer.fprop(x)
grad_y = np.zeros_like(y)
grad_y[0, 1] = 1  # step 1 has seen steps 0 and 1 alone
print(np.abs(layer.bprop(grad_y)[0]).sum(axis=1) > 0)

# %% bprop.modules.TransformerBlock
layer = TransformerBlock(8, 2, causal=True)
y = layer.fprop(np.ones((2, 5, 8), np.float32))
print(y.shape, layer.bprop(y).shape)

# %% bprop.modules.TransformerDecoder
net = TransformerDecoder(TransformerDecoderLayer(8, 2, 16), num_layers=2)
y = net.fprop((np.ones((2, 5, 8), np.float32), np.ones((2, 3, 8), np.float32)))
print(y.shape)

# %% bprop.modules.TransformerDecoderLayer
layer = TransformerDecoderLayer(8, 2, 16)
y = layer.fprop((np.ones((2, 5, 8), np.float32), np.ones((2, 3, 8), np.float32)))
print(y.shape)

# %% bprop.modules.TransformerEncoder
net = TransformerEncoder(TransformerEncoderLayer(8, 2, 16), num_layers=2)
y = net.fprop(np.ones((2, 5, 8), np.float32))
print(y.shape, net.bprop(y).shape)

# %% bprop.modules.TransformerEncoderLayer
layer = TransformerEncoderLayer(8, 2, 16)
y = layer.fprop(np.ones((2, 5, 8), np.float32))
print(y.shape, layer.bprop(y).shape)

# %% bprop.modules.GRU
layer = GRU(3, 4)
y = layer.fprop(np.ones((2, 5, 3), np.float32))
print(y.shape, layer.bprop(y).shape)

# %% bprop.modules.GRUCell
layer = GRUCell(3, 4)
h = layer.fprop((np.ones((2, 3), np.float32), np.zeros((2, 4), np.float32)))
print(h.shape)

# %% bprop.modules.LSTM
layer = LSTM(3, 4, bidirectional=True)
y = layer.fprop(np.ones((2, 5, 3), np.float32), np.array([5, 2]))
print(y.shape, layer.bprop(y).shape)

# %% bprop.modules.LSTMCell
layer = LSTMCell(3, 4)
h, c = layer.fprop((np.ones((2, 3), np.float32), (np.zeros((2, 4), np.float32), np.zeros((2, 4), np.float32))))
print(h.shape, c.shape)

# %% bprop.modules.RNN
layer = RNN(3, 4, nonlinearity="relu")
y = layer.fprop(np.ones((2, 5, 3), np.float32))
print(y.shape, layer.bprop(y).shape)

# %% bprop.modules.RNNCell
layer = RNNCell(3, 4)
h = layer.fprop((np.ones((2, 3), np.float32), np.zeros((2, 4), np.float32)))
print(h.shape)

# %% bprop.modules.BoltzmannMachine
machine = BoltzmannMachine(3, 2, exact=True)
y = machine.fprop(np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]))
print(y.shape)  # [F(x), -log Z]

# %% bprop.modules.ClassRBM
layer = ClassRBM(visible=6, classes=3, hidden=4)
print(layer.fprop(np.ones((2, 6), np.float32)).shape)

# %% bprop.modules.ModernHopfield
layer = ModernHopfield(features=2, patterns=2, beta=8.0)
layer.weight[:] = [[1, 0], [0, 1]]
print(layer.fprop(np.array([[0.8, 0.3]])).round(3))

# %% bprop.modules.RBM
layer = RBM(visible=6, hidden=4)
print(layer.fprop(np.ones((2, 6), np.float32)).shape)  # the free energies of x and of a sample

# %% bprop.modules.Recall
pattern = np.array([[1.0, 1.0, -1.0, -1.0, 1.0, -1.0]])
net = Hopfield(6)
net.store(pattern)
recall = net.recall(pattern * [[-1, 1, 1, 1, 1, 1]])
print(isinstance(recall, Recall), recall.states, recall.stable)

# %% bprop.modules.SelfOrganizingMap
layer = SelfOrganizingMap(2, rows=3, columns=3)
print(layer.fprop(np.ones((4, 2), np.float32)).shape)

# %% bprop.modules.SigmoidBelief
layer = SigmoidBelief(6, 4)
print(layer.fprop(np.ones((2, 6), np.float32)).shape)

# %% bprop.modules.WithState
layer = WithState(GRU(3, 4))
y, h_n = layer.fprop((np.ones((2, 5, 3), np.float32), np.zeros((2, 4), np.float32)))
grad_x, grad_h_0 = layer.bprop((np.zeros_like(y), np.ones_like(h_n)))
print(y.shape, h_n.shape, grad_x.shape, grad_h_0.shape)

# %% bprop.modules.SelectTable
net = Sequential(WithState(GRU(3, 4)), SelectTable(1))
print(net.fprop(np.ones((2, 5, 3), np.float32)).shape)  # the last state alone
