"""Derivatives beyond the gradient: forward mode, products with Hessians, and what is made of them."""

import numpy as np
import pytest
from bprop.modules import (
    Add,
    BatchNorm1d,
    Bilinear,
    BinaryCrossEntropyWithLogits,
    ConcatTable,
    Conv2d,
    Cosine,
    Dropout,
    Euclidean,
    Flatten,
    Graph,
    Huber,
    JoinTable,
    LayerNorm,
    Linear,
    LinearWeightNorm,
    LossPart,
    MarginRanking,
    MaxPool2d,
    MeanAbsoluteError,
    MeanSquaredError,
    MixtureDensity,
    MultiLoss,
    NarrowTable,
    Normalize,
    RadialBasis,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    check_module,
    manual_seed,
)
from bprop.modules.derivatives import (
    Curvature,
    fisher_diagonal,
    fisher_matrix,
    gauss_newton_matrix,
    hessian,
    hessian_diagonal,
    hvp,
    jacobian,
    jvp,
    lacking,
    linear_operator,
    output_variance,
    sample_jacobians,
    top_eigenvalues,
    vjp,
)
from bprop.modules.derivatives.checks import check_hessian_times, check_jvp_and_rbprop
from bprop.modules.derivatives.supported import has_curvature, has_method, is_locally_linear
from bprop.modules.engine.stateful import plain_python
from scipy.sparse.linalg import cg

from ..cases import LOSSES, MODULES
from ..custom import Leaky, Scale

modules = pytest.mark.parametrize("case", MODULES, ids=lambda case: case.name)
losses = pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)


def directions(net, x, seed=0):
    """Random directions in x and in the parameters."""
    random = np.random.default_rng(seed)
    return random.standard_normal(x.shape), random.standard_normal(net.flat_parameters.size)


def adjoint_error(net, x):
    """|<g, J v> - <Jᵀ g, v>|, relative to the terms."""
    start = net.counters()
    v, direction = directions(net, x)
    change = jvp(net, x, v, direction)
    grad_y = np.random.default_rng(1).standard_normal(change.shape)
    net.load_counters(start)
    grad_x, gradient = vjp(net, x, grad_y)
    terms = [grad_y * change, -grad_x * v, -gradient * direction]
    return abs(sum(float(term.sum()) for term in terms)) / max(float(np.abs(term).sum()) for term in terms)


def difference(function, at, v, h=3e-5):
    """The change of a function along v: Richardson's estimate from central differences."""

    def central(h):
        return (function(at + h * v) - function(at - h * v)) / (2 * h)

    return (4 * central(h) - central(2 * h)) / 3


def close(a, b, tolerance):
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1e-3))


# -- every module, as plain Python -------------------------------------------------------------------------------------


@modules
def test_forward_mode_is_the_transpose_of_backward_mode(case):
    module = case.make().to("float64")
    with plain_python():
        assert lacking(module) == lacking(module, "rbprop") == []
        assert adjoint_error(module, case.x()) < 1e-12


@modules
def test_hessian_products_are_symmetric_and_differences_of_gradients(case):
    x = case.x()
    before = [Add(x.shape[1:])] if x.dtype.kind == "f" else []
    net = Sequential(*before, case.make())
    if net[-1].estimates:
        who = type(net[-1]).__name__
        with pytest.raises(ValueError, match=rf"^Curvature: {who}\(.*\) estimates the gradient, whose changes mean"):
            Curvature(net, MeanSquaredError(), x, x)
        return
    with plain_python():
        target = np.random.default_rng(3).standard_normal(net.copy().to("float64").fprop(x).shape)
        curvature = Curvature(net, MeanSquaredError(), x, target)
        at, (v, w) = curvature.net.flat_parameters.copy(), np.random.default_rng(0).standard_normal((2, curvature.size))
        actual, other = curvature.hvp(v), curvature.hvp(w)
        expected = difference(lambda w: curvature.at(w).gradient(), at, v)
    close(actual, expected, 1e-8)
    assert abs(w @ actual - v @ other) <= 1e-12 * np.abs(w * actual).sum() + 1e-30


@losses
def test_the_hessian_of_every_loss_in_its_output(case):
    y, target = case.arguments()
    if case.make().estimates:
        with pytest.raises(ValueError, match=r"^Curvature: Reinforce\(.*\) estimates the gradient, whose changes mean"):
            Curvature(Add(y.shape[1:]), case.make(), y, target)
        return
    net = Add(y.shape[1:]).to("float64")
    with plain_python():
        curvature = Curvature(net, case.make(), y, target)
        _, v = directions(net, y)
        expected = difference(lambda b: curvature.at(b).gradient(), np.zeros(v.size), v)
        curvature.at(np.zeros(v.size))
        close(curvature.hvp(v), expected, 1e-8)
        close(curvature.gauss_newton(v), expected, 1e-8)  # the net is linear in its bias


# -- compiled ----------------------------------------------------------------------------------------------------------


def dense():
    manual_seed(1)
    return Sequential(Linear(4, 8), Tanh(), LayerNorm(8), Residual(Linear(8, 8), ReLU()), Linear(8, 5))


def image():
    manual_seed(2)
    return Sequential(Conv2d(2, 4, 3, padding=1), ReLU(), MaxPool2d(2), Dropout(0.2), Flatten(), Linear(16, 5))


@pytest.mark.slow
@pytest.mark.parametrize(("make", "shape"), [(dense, (7, 4)), (image, (6, 2, 4, 4))], ids=["dense", "image"])
def test_compiled_products_are_those_of_plain_python(make, shape):
    net, random = make().to("float64"), np.random.default_rng(0)
    x, target = random.standard_normal(shape), random.integers(0, 5, shape[0])
    assert lacking(net, "rbprop") == []
    curvature = Curvature(net, SoftmaxCrossEntropy(label_smoothing=0.1), x, target)
    (u, v), start = directions(net, x), net.counters()
    w = random.standard_normal(v.size)

    def products():
        net.load_counters(start)
        return curvature.hvp(v), curvature.gauss_newton(v), jvp(net, x, u, v)

    actual = products()
    assert abs(w @ actual[0] - v @ curvature.hvp(w)) < 1e-12 * np.abs(w * actual[0]).sum()
    assert v @ actual[1] > 0
    with plain_python():
        expected = products()
    for a, b in zip(actual, expected, strict=True):
        close(a, b, 1e-12)


@pytest.mark.slow
def test_compiled_products_of_layers_of_vectors_and_losses_of_parts():
    manual_seed(3)
    layers = (
        LinearWeightNorm(4, 6),
        Normalize(3.0),
        Bilinear(4, 2, 5),
        Cosine(5, 6),
        RadialBasis(6, 5),
        Euclidean(5, 5),
    )
    net, random = Sequential(*layers), np.random.default_rng(0)
    x, target = random.standard_normal((6, 4)), np.stack([random.standard_normal(6), np.arange(6) % 2], axis=1)
    parts = [LossPart(MixtureDensity(1), "0:3", [0], 0.5), LossPart(SoftmaxCrossEntropy(), "3:5", 1)]
    curvature, v = Curvature(net, MultiLoss(parts), x, target), random.standard_normal(net.parameter_count)
    actual = curvature.hvp(v), curvature.gauss_newton(v)
    with plain_python():
        expected = curvature.hvp(v), curvature.gauss_newton(v)
    for a, b in zip(actual, expected, strict=True):
        close(a, b, 1e-12)


# -- Jacobians and matrices, as plain Python ---------------------------------------------------------------------------


def small():
    manual_seed(3)
    return Sequential(Linear(3, 4), Tanh(), Linear(4, 2)).to("float64")


def output_of(net):
    return lambda x: net.fprop(x).copy()


def samples(count=5, outputs=2, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((count, 3)), random.standard_normal((count, outputs))


@pytest.mark.parametrize("make", [small, lambda: Linear(3, 7).to("float64")], ids=["rows", "columns"])
def test_jacobian(make):
    net, (x, _) = make(), samples(2)
    with plain_python():
        actual, in_parameters = jacobian(net, x), jacobian(net, x, "parameters")
        apart = sample_jacobians(net, x)
        y = net.fprop(x)
        w = net.flat_parameters.copy()
        for place in np.ndindex(x.shape):
            unit = np.zeros_like(x)
            unit[place] = 1
            close(actual[(..., *place)], difference(output_of(net), x, unit, 1e-3), 1e-9)
        for i in range(w.size):

            def moved(w):
                net.flat_parameters[...] = w
                return output_of(net)(x)

            close(in_parameters[..., i], difference(moved, w, np.eye(w.size)[i], 1e-3), 1e-9)
    assert actual.shape == y.shape + x.shape
    for n in range(len(x)):
        close(apart[n], actual[n, :, n], 1e-14)


def test_errors_of_the_input_come_out():
    net, (x, _) = small(), samples(4)
    with plain_python():
        variance = np.random.default_rng(1).uniform(0, 1e-6, x.shape)
        actual = output_variance(net, x, variance)
        drawn = np.random.default_rng(2).standard_normal((4000, *x.shape)) * np.sqrt(variance)
        y = np.stack([output_of(net)(x + each) for each in drawn])
        np.testing.assert_allclose(actual, y.var(axis=0), rtol=0.15)
        np.testing.assert_allclose(output_variance(net, x, 2.0), output_variance(net, x, np.full(x.shape, 2.0)))


def test_matrices_are_those_of_explicit_jacobians():
    net, (x, target) = small(), samples()
    with plain_python():
        J = jacobian(net, x, "parameters")
        y = net.fprop(x)
        squared = Curvature(net, MeanSquaredError(), x, target)
        close(gauss_newton_matrix(squared), 2 / y.size * np.einsum("nkp,nkq->pq", J, J), 1e-13)
        residual = 2 * (y - target) / y.size
        gradients = len(x) * np.einsum("nkp,nk->np", J, residual)
        close(squared.sample_gradients(), gradients, 1e-13)
        close(squared.gradient(), gradients.mean(axis=0), 1e-13)
        close(fisher_matrix(squared), gradients.T @ gradients / len(x), 1e-13)
        close(fisher_diagonal(squared), np.diag(fisher_matrix(squared)), 1e-13)
        v = np.random.default_rng(5).standard_normal(squared.size)
        close(squared.fisher(v), fisher_matrix(squared) @ v, 1e-13)

        logistic = Curvature(net, BinaryCrossEntropyWithLogits(), x, np.round(1 / (1 + np.exp(-target))))
        p = 1 / (1 + np.exp(-y))
        close(gauss_newton_matrix(logistic), np.einsum("nk,nkp,nkq->pq", p * (1 - p), J, J) / y.size, 1e-13)

        softmax = Curvature(net, SoftmaxCrossEntropy(), x, np.arange(5) % 2)
        p = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
        H = np.einsum("nk,kl->nkl", p, np.eye(2)) - np.einsum("nk,nl->nkl", p, p)
        close(gauss_newton_matrix(softmax), np.einsum("nkp,nkl,nlq->pq", J, H, J) / len(x), 1e-13)


def test_hessian_its_diagonal_and_its_eigenvalues():
    net, (x, target) = small(), samples()
    with plain_python():
        curvature = Curvature(net, MeanSquaredError(), x, target)
        H = hessian(curvature)
        close(H, H.T, 1e-14)
        close(hessian_diagonal(curvature), np.diag(H), 1e-14)
        estimate = hessian_diagonal(curvature, probes=600)
        assert np.abs(estimate - np.diag(H)).max() < 0.2 * np.abs(H).max()
        values, vectors = top_eigenvalues(curvature, 2, tolerance=1e-10)
        expected = sorted(np.linalg.eigvalsh(H), key=abs)[::-1][:2]
        close(values, expected, 1e-8)
        close(H @ vectors, vectors * values, 1e-6)
        b = curvature.gradient()
        solved, info = cg(linear_operator(curvature, "gauss_newton", damping=0.1), b, rtol=1e-10)
        assert info == 0
        close(gauss_newton_matrix(curvature) @ solved + 0.1 * solved, b, 1e-8)


def test_hessian_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    manual_seed(4)
    net = Sequential(Linear(3, 5), Tanh(), Linear(5, 6), ReLU(), Linear(6, 3)).to("float64")
    x, labels = np.random.default_rng(0).standard_normal((8, 3)), np.arange(8) % 3
    weights = [torch.tensor(w, requires_grad=True) for _, w in net.named_parameters()]

    def loss(*w):
        h = torch.tanh(torch.tensor(x) @ w[0].T + w[1])
        h = torch.relu(h @ w[2].T + w[3])
        return torch.nn.functional.cross_entropy(h @ w[4].T + w[5], torch.tensor(labels))

    rows = zip(weights, torch.autograd.functional.hessian(loss, tuple(weights)), strict=True)
    expected = np.block([[block.numpy().reshape(w.numel(), -1) for block in row] for w, row in rows])
    with plain_python():
        curvature = Curvature(net, SoftmaxCrossEntropy(), x, labels)
        close(hessian(curvature), expected, 1e-12)
        close(hvp(net, SoftmaxCrossEntropy(), x, labels, expected[0]), expected @ expected[0], 1e-12)


def test_products_through_a_graph_of_several_inputs_and_answers():
    nodes = {
        "seen": ([Linear(3, 4), Tanh()], "a"),
        "both": (JoinTable(), ["seen", "b"]),
        "kind": (Linear(5, 3), "both"),
        "size": ([RadialBasis(5, 4), Cosine(4, 1)], "both"),
    }
    net = Sequential(NarrowTable([3, 1]), Graph(nodes, ["kind", "size"], ["a", "b"]), JoinTable())
    parts = [LossPart(SoftmaxCrossEntropy(), "0:3", 0), LossPart(MeanSquaredError(), 3, 1, 0.5)]
    random = np.random.default_rng(0)
    x, target = random.standard_normal((6, 4)), np.stack([np.arange(6) % 3, random.standard_normal(6)], axis=1)
    with plain_python():
        curvature = Curvature(net, MultiLoss(parts), x, target)
        at, (v, w) = curvature.net.flat_parameters.copy(), random.standard_normal((2, curvature.size))
        actual, other = curvature.hvp(v), curvature.hvp(w)
        close(actual, difference(lambda w: curvature.at(w).gradient(), at, v), 1e-9)
    assert abs(w @ actual - v @ other) < 1e-13


# -- what users write, and mistakes ------------------------------------------------------------------------------------


def test_modules_with_fprop_and_bprop_alone():
    net, x = Sequential(Linear(3, 3), Leaky(), Scale(3)), np.random.default_rng(0).standard_normal((4, 3))
    assert [type(each) for each in lacking(net)] == [Leaky, Scale]
    actual = hvp(net, MeanSquaredError(), x, x, np.ones(15))  # compiled, with Python in between
    with plain_python():
        assert jvp(net, x, x).dtype == np.float32
        assert adjoint_error(net.to("float64"), x) < 1e-10
        curvature = Curvature(net, MeanSquaredError(), x, x)
        at = curvature.net.flat_parameters.copy()
        close(actual, difference(lambda w: curvature.at(w).gradient(), at, np.ones(15)), 1e-8)
        before = jvp(net, x, x)
        net[1].slope = 0.3  # the differences are of the module as it is now
        assert np.abs(jvp(net, x, x) - before).max() > 0.01
        assert adjoint_error(net, x) < 1e-10


class Doubled(Tanh):
    """Inherits a jvp that is not that of its own fprop."""

    def function(self, x):
        return 2 * np.tanh(x)

    def derivative(self, x, y):
        return 2 - y * y / 2


class Cubed(Linear):
    """The same, of a layer."""

    def fprop(self, x):
        return super().fprop(x) ** 3


class Ranked(MarginRanking):
    """Inherits the second derivative of another loss: its own is smooth."""

    def of_sample(self, y, target, grad_y):
        short = np.exp(-target * (y[0] - y[1]))
        grad_y[0], grad_y[1] = -target * short, target * short
        return short


def test_losses_without_a_second_derivative():
    assert has_curvature(MultiLoss([MarginRanking()]))
    assert not has_curvature(MultiLoss([Ranked()]))
    y, v, target = np.array([[0.3, -0.2], [1.0, 2.0]]), np.array([1.0, 0.5]), np.array([1.0, -1.0])
    with plain_python():
        actual = hvp(Add(2), MultiLoss([Ranked()]), y, target, v)
    bend = np.exp([-0.5, -1.0]).mean() * 0.5  # of (1, -1)
    np.testing.assert_allclose(actual, [bend, -bend], rtol=1e-8)


def test_an_inherited_derivative_of_another_function_is_not_used():
    assert has_method(Doubled, "jvp")  # that of Elementwise, by the new derivative
    assert not has_method(Doubled, "rbprop")
    assert not has_method(Cubed, "jvp")
    assert has_method(Linear, "rbprop")
    assert is_locally_linear(Flatten)
    assert not is_locally_linear(type("Odd", (Flatten,), {"fprop": lambda self, x: x}))
    with plain_python():
        assert adjoint_error(Doubled().to("float64"), np.ones((2, 3))) < 1e-12


def test_products_leave_the_net_alone_and_repeat():
    net = Sequential(Linear(3, 4), Dropout(0.5), Linear(4, 2))
    x, target = samples()
    before, counters = net.flat_parameters.copy(), net.counters()
    with plain_python():
        curvature = Curvature(net, MeanSquaredError(), x, target)
        v = np.ones(curvature.size)
        np.testing.assert_array_equal(curvature.hvp(v), curvature.hvp(v))
    np.testing.assert_array_equal(net.flat_parameters, before)
    assert net.counters() == counters


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n, x, t: jvp(n, x, x[:1]), r"v has shape \(1, 3\), expected \(5, 3\)"),
        (lambda n, x, t: jvp(n, x, direction=np.ones(3)), r"direction has shape \(3,\), expected \(26,\)"),
        (lambda n, x, t: vjp(n, x, x), r"grad_y has shape \(5, 3\), expected \(5, 2\)"),
        (lambda n, x, t: jvp(n, t, t), r"x has shape \(5, 2\), expected \(N, 3\)"),
        (lambda n, x, t: jacobian(n, x, "y"), "of is 'y', expected 'x' or 'parameters'"),
        (lambda n, x, t: output_variance(n, x, -1.0), "variance has a negative number, expected at least 0"),
        (lambda n, x, t: output_variance(n, x, t), r"variance has shape \(5, 2\), expected \(5, 3\)"),
        (lambda n, x, t: Curvature(n, MeanSquaredError(), x, x), r"y has shape \(5, 2\) and target \(5, 3\)"),
        (lambda n, x, t: Curvature(n, MeanSquaredError(), x, t).hvp(t), r"v has shape \(5, 2\), expected \(26,\)"),
        (lambda n, x, t: Curvature(n, MeanSquaredError(), x, t).at(t), r"parameters has shape \(5, 2\)"),
        (lambda n, x, t: top_eigenvalues(Curvature(n, MeanSquaredError(), x, t), 26), "k is 26, expected 1 to 25"),
        (lambda n, x, t: linear_operator(Curvature(n, MeanSquaredError(), x, t), "x"), "kind is 'x', expected one of"),
        (
            lambda n, x, t: hessian_diagonal(Curvature(n, MeanSquaredError(), x, t), 0),
            "probes is 0, expected at least 1",
        ),
    ],
)
def test_mistakes_are_refused(call, message):
    with plain_python(), pytest.raises(ValueError, match=message):
        call(small(), *samples())


def test_tables_are_refused():
    x = samples()[0]
    with plain_python():
        for call in (lambda n: jvp(n, (x, x)), lambda n: Curvature(n, MeanSquaredError(), (x, x), x)):
            with pytest.raises(TypeError, match="x is a table of 2 arrays, expected one array"):
                call(small())
        two = ConcatTable(Linear(3, 2), Linear(3, 2)).to("float64")
        for call in (jvp, lambda n, x: vjp(n, x, x)):
            with pytest.raises(TypeError, match="its output is a table, expected one array"):
                call(two, x)


def test_samples_that_see_each_other_are_refused():
    net = Sequential(Linear(3, 2), BatchNorm1d(2)).to("float64")
    with plain_python():
        with pytest.raises(ValueError, match="its samples see each other, expected a net"):
            sample_jacobians(net, samples()[0])
        assert sample_jacobians(net.eval(), samples()[0]).shape == (5, 2, 3)


class WrongForward(Linear):
    """Forgets the direction of the bias."""

    fprop, bprop = Linear.fprop, Linear.bprop

    def jvp(self, v):
        return v @ self.weight.T + self.x @ self.v_weight.T


class WrongChange(Tanh):
    """A second derivative of the wrong sign."""

    function, derivative = Tanh.function, Tanh.derivative

    def second_derivative(self, x, y):
        return 2 * y * (1 - y * y)


class WrongBend(Huber):
    """Goes on to bend beyond delta."""

    function, derivative = Huber.function, Huber.derivative

    def second_derivative(self, y, target):
        return 1


def test_check_module_tells_a_wrong_curvature():
    y, target = np.array([[0.3, -2.0], [5.0, 0.9]]), np.zeros((2, 2))
    report = check_module(WrongBend(), y, target)
    assert "hessian_times is not the change of grad_y along v" in report.problems
    for right in (Huber(), MeanAbsoluteError(), MultiLoss([Huber(), Huber(0.5)])):
        assert check_hessian_times(right.to("float64"), y, target) == ""
    assert check_hessian_times(Huber().to("float64"), y[:, :1] * 0 + 1, target[:, :1]) == ""  # at the kink


class SquaredReLU(ReLU):
    """Its second derivative jumps at 0, from 0 to 2."""

    def function(self, x):
        return x * x if x > 0 else 0 * x

    def derivative(self, x, y):
        return 2 * x if x > 0 else 0 * x

    def second_derivative(self, x, y):
        return 2 if x > 0 else 0


@pytest.mark.parametrize(
    ("module", "message"),
    [(WrongForward(3, 2), "jvp is not the transpose of bprop"), (WrongChange(), "rbprop is not the change of bprop")],
)
def test_check_module_tells_wrong_ones(module, message):
    with plain_python():
        assert message in check_jvp_and_rbprop(module.to("float64"), samples()[0])
        for right in (Linear(3, 2), Tanh(), ReLU(), SquaredReLU(), Scale(3)):
            assert check_jvp_and_rbprop(right.to("float64"), np.zeros((2, 3))) == ""
