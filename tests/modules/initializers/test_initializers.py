"""Initial values against their formulae, and the one stream they come from."""

import re

import numpy as np
import pytest
from bprop.modules import (
    Constant,
    Eye,
    Flatten,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    LeCunNormal,
    LeCunUniform,
    Linear,
    Normal,
    Orthogonal,
    PReLU,
    PyTorchUniform,
    Sequential,
    Sparse,
    TruncatedNormal,
    Uniform,
    calculate_gain,
    initialize,
    manual_seed,
)
from bprop.modules.initializers.initializers import count_fans
from bprop.trainers.configs import parse_config
from scipy import stats

SHAPE = (80, 120)  # out, in


@pytest.mark.parametrize(
    ("initializer", "bound"),
    [
        (PyTorchUniform(120), 1 / np.sqrt(120)),
        (GlorotUniform(), np.sqrt(6 / 200)),
        (GlorotUniform(gain=2), 2 * np.sqrt(6 / 200)),
        (GlorotUniform("tanh"), 5 / 3 * np.sqrt(6 / 200)),
        (HeUniform(), np.sqrt(6 / 120)),
        (HeUniform(mode="fan_out"), np.sqrt(6 / 80)),
        (HeUniform(a=1.0, nonlinearity="leaky_relu"), np.sqrt(3 / 120)),
        (LeCunUniform(), np.sqrt(3 / 120)),
        (Uniform(-2, 2), 2),
    ],
)
def test_uniform(initializer, bound):
    values = initializer.sample(SHAPE)
    assert values.shape == SHAPE
    assert values.dtype == np.float64
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > 0.999 * bound
    assert values.mean() == pytest.approx(0, abs=0.02 * bound)
    assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [
        (GlorotNormal(), np.sqrt(2 / 200)),
        (GlorotNormal(gain=3), 3 * np.sqrt(2 / 200)),
        (HeNormal(), np.sqrt(2 / 120)),
        (HeNormal(mode="fan_out"), np.sqrt(2 / 80)),
        (HeNormal(nonlinearity="selu"), 0.75 * np.sqrt(1 / 120)),
        (LeCunNormal(), np.sqrt(1 / 120)),
        (LeCunNormal("relu"), np.sqrt(2 / 120)),
        (Normal(std=3), 3),
    ],
)
def test_normal(initializer, deviation):
    values = initializer.sample(SHAPE)
    assert values.std() == pytest.approx(deviation, rel=0.03)
    assert values.mean() == pytest.approx(0, abs=0.03 * deviation)
    assert np.mean(np.abs(values) < deviation) == pytest.approx(0.6827, abs=0.02)


def test_constant():
    np.testing.assert_array_equal(Constant(2.5).sample((2, 3)), np.full((2, 3), 2.5))
    np.testing.assert_array_equal(Constant().sample((3,)), np.zeros(3))
    np.testing.assert_array_equal(Constant([1, 2, 3]).sample((3,)), [1, 2, 3])
    message = r"^Constant: value is \[1, 2\], expected one number, or as many as the shape \(3,\) has$"
    with pytest.raises(ValueError, match=message):
        Constant([1, 2]).sample((3,))


def test_fans_count_the_area_of_a_filter():
    assert count_fans((8, 3)) == (3, 8)
    assert count_fans((8, 3, 5, 5)) == (75, 200)
    message = "a parameter of shape (7,) has no fan-in and fan-out, expected at least two axes"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        count_fans((7,))


def test_an_initializer_without_sample_says_so():
    class Mine(Initializer):
        pass

    with pytest.raises(NotImplementedError, match=r"^Mine has no sample: write `def sample\(self, shape\)`$"):
        Mine().sample((2, 2))


def test_linear_starts_as_in_pytorch():
    layer = Linear(120, 80)
    for values in (layer.weight, layer.bias):
        assert np.abs(values).max() <= 1 / np.sqrt(120)
        assert values.std() == pytest.approx(1 / np.sqrt(3 * 120), rel=0.2)


def test_linear_takes_initializers():
    layer = Linear(3, 2, weight_init=Constant(1.5), bias_init=Constant(-1))
    np.testing.assert_array_equal(layer.weight, np.full((2, 3), 1.5))
    np.testing.assert_array_equal(layer.bias, [-1, -1])
    assert layer.weight.dtype == np.float32


@pytest.mark.parametrize(("sizes", "name"), [((0, 2), "in_features"), ((2, 0), "out_features")])
def test_linear_refuses_sizes_below_one(sizes, name):
    with pytest.raises(ValueError, match=f"^Linear: {name} is 0, expected at least 1$"):
        Linear(*sizes)


def test_the_seed_decides():
    def net(seed):
        manual_seed(seed)
        return Sequential(Linear(4, 3), Linear(3, 2)).flat_parameters.copy()

    np.testing.assert_array_equal(net(1), net(1))
    assert not np.array_equal(net(1), net(2))
    manual_seed(1)
    assert not np.array_equal(Linear(4, 3).weight, Linear(4, 3).weight)


def test_float64_nets_start_with_the_same_numbers():
    manual_seed(5)
    single = Linear(4, 3)
    manual_seed(5)
    np.testing.assert_array_equal(Linear(4, 3).to("float64").weight.astype(np.float32), single.weight)


def test_gains_are_those_of_pytorch():
    init = pytest.importorskip("torch").nn.init
    for name in ("linear", "conv2d", "conv_transpose1d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert calculate_gain(name) == pytest.approx(init.calculate_gain(name), rel=1e-12)
    assert calculate_gain("leaky_relu", 0.3) == pytest.approx(init.calculate_gain("leaky_relu", 0.3), rel=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (GlorotUniform("relu"), lambda init, w: init.xavier_uniform_(w, init.calculate_gain("relu"))),
        (GlorotNormal(), lambda init, w: init.xavier_normal_(w)),
        (HeUniform(), lambda init, w: init.kaiming_uniform_(w, nonlinearity="relu")),
        (HeNormal(0.3, "fan_out", "leaky_relu"), lambda init, w: init.kaiming_normal_(w, 0.3, "fan_out", "leaky_relu")),
        (TruncatedNormal(1, 2, -1, 2), lambda init, w: init.trunc_normal_(w, 1, 2, -1, 2)),
        (Orthogonal("tanh"), lambda init, w: init.orthogonal_(w, init.calculate_gain("tanh"))),
        (Sparse(0.33, 2), lambda init, w: init.sparse_(w, 0.33, 2)),
        (Eye(), lambda init, w: init.eye_(w)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_mean_and_deviation_are_those_of_pytorch(ours, theirs):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    right = theirs(torch.nn.init, torch.empty(300, 200)).numpy()
    values = ours.sample((300, 200))
    assert values.std() == pytest.approx(float(right.std()), rel=0.02)
    assert values.mean() == pytest.approx(float(right.mean()), abs=0.02 * float(right.std()))
    assert np.mean(values == 0) == pytest.approx(np.mean(right == 0), abs=1e-9)


@pytest.mark.parametrize("settings", [(0, 1, -2, 2), (1, 2, -1, 2), (0, 1, 8, 9), (0, 1, -40, -9), (3, 0.5, 2, np.inf)])
def test_truncated_normal(settings):
    mean, std, a, b = settings
    values = TruncatedNormal(mean, std, a, b).sample((4000,))
    assert values.min() >= a
    assert values.max() <= b
    right = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    assert stats.kstest(values, right.cdf).pvalue > 0.001


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6), (4, 3, 2, 2)])
def test_orthogonal(shape):
    w = Orthogonal(2).sample(shape).reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_orthogonal_has_no_favoured_direction():
    assert np.mean([np.trace(Orthogonal().sample((3, 3))) for _ in range(2000)]) == pytest.approx(0, abs=0.1)


def test_sparse():
    w = Sparse(0.25, std=3).sample((10, 500))
    np.testing.assert_array_equal((w == 0).sum(axis=0), np.full(500, 3))  # 2.5, rounded up
    np.testing.assert_allclose((w == 0).mean(axis=1), np.full(10, 0.3), atol=0.1)
    assert w[w != 0].std() == pytest.approx(3, rel=0.05)


def test_eye():
    np.testing.assert_array_equal(Eye(0.5).sample((2, 3)), [[0.5, 0, 0], [0, 0.5, 0]])


REFUSED = [
    (lambda: Uniform(2, 1), "Uniform: a is 2, expected a finite number, at most b = 1"),
    (lambda: Normal(np.nan), "Normal: mean is nan, expected a finite number"),
    (lambda: Normal(std=-1), "Normal: std is -1, expected a finite number, at least 0"),
    (lambda: TruncatedNormal(np.inf), "TruncatedNormal: mean is inf, expected a finite number"),
    (lambda: TruncatedNormal(std=0), "TruncatedNormal: std is 0, expected a finite number above 0"),
    (lambda: TruncatedNormal(a=2), "TruncatedNormal: a is 2, expected a number below b = 2.0"),
    (
        lambda: TruncatedNormal(a=98, b=99),
        "TruncatedNormal: a is 98, expected bounds nearer to the mean: none would be drawn there",
    ),
    (lambda: Constant(np.inf), "Constant: value is inf, expected a finite number"),
    (lambda: PyTorchUniform(0), "PyTorchUniform: fan_in is 0, expected at least 1"),
    (lambda: GlorotNormal(0), "GlorotNormal: gain is 0, expected a finite number above 0 or the name of a unit"),
    (lambda: HeNormal(mode="fan"), "HeNormal: mode is 'fan', expected 'fan_in' or 'fan_out'"),
    (lambda: HeNormal(a=0.1), "calculate_gain: relu takes no param, got 0.1"),
    (lambda: Sparse(1.5), "Sparse: sparsity is 1.5, expected a number from 0 to 1"),
    (lambda: Sparse(0.5, -1), "Sparse: std is -1, expected a finite number, at least 0"),
    (lambda: Sparse(0.5).sample((3,)), "Sparse: the parameter's shape is (3,), expected two axes"),
    (lambda: Eye().sample((3,)), "Eye: the parameter's shape is (3,), expected two axes"),
    (lambda: Orthogonal().sample((3,)), "Orthogonal: the parameter's shape is (3,), expected at least two axes"),
    (
        lambda: calculate_gain("swish"),
        "calculate_gain: nonlinearity is 'swish', expected one of linear, identity, sigmoid, conv1d, conv2d, conv3d, "
        "conv_transpose1d, conv_transpose2d, conv_transpose3d, tanh, relu, selu, leaky_relu",
    ),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


def test_a_whole_net_is_initialised():
    net = Sequential(Linear(300, 200), PReLU(), Sequential(Linear(200, 100)))
    vector = net.flat_parameters
    assert initialize(net, Linear, weight=HeNormal(), bias=Constant(0.1)) is net
    assert net.flat_parameters is vector
    assert net[0].weight.std() == pytest.approx(np.sqrt(2 / 300), rel=0.03)
    assert net[2][0].weight.std() == pytest.approx(np.sqrt(2 / 200), rel=0.03)
    np.testing.assert_array_equal(net[2][0].bias, np.full(100, np.float32(0.1)))
    np.testing.assert_array_equal(net[1].weight, [0.25])
    initialize(net, weight=Constant(2))
    assert net[1].weight[0] == net[0].weight[0, 0] == 2


def test_initialising_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"^initialize: slope is a parameter of no module in Sequential\(Linear\)$"):
        initialize(Sequential(Linear(2, 2)), slope=Constant())
    with pytest.raises(ValueError, match=r"^initialize: weight is a parameter of no Linear in Sequential\(Flatten\)$"):
        initialize(Sequential(Flatten()), Linear, weight=Constant())
    with pytest.raises(ValueError, match="has no fan-in") as caught:
        initialize(Sequential(Linear(2, 2), PReLU()), weight=HeNormal())
    assert caught.value.__notes__ == ["in weight of model[1]"]


CONFIG = """\
seed: 0
dataset: Digits
model:
  - Flatten
  - Linear:
      in_features: 64
      out_features: 500
      weight_init: {HeNormal: {nonlinearity: tanh}}
      bias_init: {Constant: {value: 0.1}}
  - Tanh
  - Linear: {in_features: 500, out_features: 10, weight_init: {GlorotUniform: {gain: relu}}, bias_init: Constant}
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 1, batch_size: 32}
"""


def test_initializers_stand_in_configs():
    net = parse_config(CONFIG).build().model
    assert net[1].weight.std() == pytest.approx(5 / 3 / np.sqrt(64), rel=0.03)
    np.testing.assert_array_equal(net[1].bias, np.full(500, np.float32(0.1)))
    assert np.abs(net[3].weight).max() == pytest.approx(np.sqrt(2) * np.sqrt(6 / 510), rel=0.01)
    assert not net[3].bias.any()
