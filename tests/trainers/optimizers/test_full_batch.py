"""L-BFGS and conjugate gradients: minima of known functions, against SciPy, in a Trainer and by hand."""

import itertools

import numpy as np
import pytest
from bprop.modules import Linear, Loss, MeanSquaredError, Module, Parameter, Sequential, SoftmaxCrossEntropy, Tanh
from bprop.trainers import (
    LBFGS,
    SGD,
    Callback,
    ConjugateGradient,
    CosineSchedule,
    FullBatch,
    Trainer,
    TrainingError,
    compile_step,
)
from bprop.trainers.configs import parse_config
from bprop.trainers.optimizers.line_search import LineSearch, Point
from bprop.trainers.runs.run_folder import train_config
from scipy import optimize

NAMES = ["l-bfgs", "polak-ribiere", "fletcher-reeves"]
each = pytest.mark.parametrize("index", range(3), ids=NAMES)


def make(index, **settings):
    if index == 0:
        return LBFGS(**settings)
    return ConjugateGradient(("polak-ribiere", "fletcher-reeves")[index - 1], **settings)


class Rosenbrock(Module):
    """y = Σ 100 (w₂ - w₁²)² + (1 - w₁)², whatever x is: a valley with its minimum at (1, 1)."""

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.array([-1.2, 1.0]))

    def fprop(self, x):
        y = np.empty((x.shape[0], 1), x.dtype)
        a, b = self.weight[0], self.weight[1]
        y[:] = 100 * (b - a * a) * (b - a * a) + (1 - a) * (1 - a)
        return y

    def bprop(self, grad_y):
        a, b, total = self.weight[0], self.weight[1], grad_y.sum()
        self.grad_weight[0] += total * (-400 * a * (b - a * a) - 2 * (1 - a))
        self.grad_weight[1] += total * 200 * (b - a * a)
        return np.zeros_like(grad_y)


class Mean(Loss):
    """The mean of y itself."""

    def fprop(self, y, target):
        self.shape_of = y
        return y.mean()

    def bprop(self):
        return np.full_like(self.shape_of, 1 / self.shape_of.size)


def closure_of(net, loss, x, t):
    def closure():
        net.zero_grad()
        value = loss(net(x), t)
        net.bprop(loss.bprop())
        return value

    return closure


@each
def test_rosenbrock(index):
    net, loss = Rosenbrock().to("float64"), Mean().to("float64")
    closure = closure_of(net, loss, np.zeros((1, 1)), np.zeros((1, 1)))
    calls = []
    value = make(index, max_iter=400, tolerance_grad=1e-12, tolerance_change=0.0).minimize(
        net, lambda: calls.append(0) or closure()
    )
    np.testing.assert_allclose(net.weight, [1, 1], atol=1e-8)
    assert value < 1e-16
    assert len(calls) < 1000
    expected = optimize.minimize(optimize.rosen, [-1.2, 1.0], jac=optimize.rosen_der, method="L-BFGS-B")
    np.testing.assert_allclose(net.weight, expected.x, atol=1e-4)


def regression(n=60):
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 4)) * [1, 3, 0.3, 1]
    return x, random.normal(size=(n, 2))


@each
@pytest.mark.parametrize("batch_size", [60, 25, 7])
def test_least_squares_in_a_trainer(index, batch_size):
    """The same minimum however the set is cut into chunks, with a smaller last one or without."""
    x, t = regression()
    optimizer = make(index, tolerance_grad=1e-10, tolerance_change=0.0)
    trainer = Trainer(Sequential(Linear(4, 2)).to("float64"), MeanSquaredError(), optimizer, quiet=True)
    history = trainer.fit((x, t), epochs=20, batch_size=batch_size)
    expected, *_ = np.linalg.lstsq(np.c_[x, np.ones(60)], t, rcond=None)
    np.testing.assert_allclose(np.c_[trainer.model[0].weight, trainer.model[0].bias], expected.T, atol=1e-8)
    residual = np.mean((np.c_[x, np.ones(60)] @ expected - t) ** 2)
    assert history[-1]["train_loss"] == pytest.approx(residual, rel=1e-12)
    assert history[-1]["train_rmse"] == pytest.approx(np.sqrt(residual), rel=1e-9)
    assert trainer.stopped == f"{type(trainer.optimizer).__name__} has converged"
    assert len(history) < 20


def test_a_convex_problem_to_1e_8_like_scipy():
    """Softmax regression, whose minimum SciPy finds, too."""
    random = np.random.default_rng(1)
    x, t = random.normal(size=(80, 3)), random.integers(0, 2, 80)
    net = Sequential(Linear(3, 2)).to("float64")
    trainer = Trainer(net, SoftmaxCrossEntropy(), LBFGS(tolerance_grad=1e-10, tolerance_change=0.0), quiet=True)
    trainer.fit((x, t), epochs=10, batch_size=32)

    def loss(w):
        z = np.c_[x, np.ones(80)] @ w * np.where(t == 1, 1, -1)
        return np.logaddexp(0, -z).mean()

    expected = optimize.minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    ours = np.append(net[0].weight[1] - net[0].weight[0], net[0].bias[1] - net[0].bias[0])
    assert loss(ours) <= loss(expected) + 1e-14
    assert np.abs(net.flat_gradients).max() < 1e-8
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_like_torch():
    """Both find the minimum of a small net's loss from the same start."""
    torch = pytest.importorskip("torch")
    x, t = regression()
    net = Sequential(Linear(4, 2)).to("float64")
    layer = torch.nn.Linear(4, 2).double()
    layer.load_state_dict({name: torch.tensor(array.copy()) for name, array in net[0].state_dict().items()})
    theirs = torch.optim.LBFGS(
        layer.parameters(), max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure():
        theirs.zero_grad()
        value = torch.nn.functional.mse_loss(layer(torch.tensor(x)), torch.tensor(t))
        value.backward()
        return value

    theirs.step(closure)
    LBFGS(max_iter=200).minimize(net, closure_of(net, MeanSquaredError().to("float64"), x, t))
    np.testing.assert_allclose(net[0].weight, layer.weight.detach().numpy(), atol=1e-6)


@each
def test_a_net_in_float32_learns(index):
    x, t = regression()
    t = np.tanh(t)
    net = Sequential(Linear(4, 8), Tanh(), Linear(8, 2))
    trainer = Trainer(net, MeanSquaredError(), make(index), quiet=True)
    history = trainer.fit((x, t), epochs=10, batch_size=60)
    sgd = Trainer(Sequential(Linear(4, 8), Tanh(), Linear(8, 2)), MeanSquaredError(), SGD(lr=0.1), quiet=True)
    slow = sgd.fit((x, t), epochs=200, batch_size=60)
    losses = [row["train_loss"] for row in history]
    assert losses[-1] < slow[-1]["train_loss"]
    assert all(later <= earlier + 1e-6 for earlier, later in itertools.pairwise(losses))


class PythonTanh(Tanh):
    """The same, never compiled."""

    jit = False


@pytest.mark.filterwarnings("ignore:PythonTanh.*has jit = False")
def test_a_net_with_a_module_in_python():
    x, t = regression()
    nets = Sequential(Linear(4, 3), Tanh(), Linear(3, 2)), Sequential(Linear(4, 3), PythonTanh(), Linear(3, 2))
    nets[1].load_state_dict(nets[0].state_dict())
    for net in nets:
        net.to("float64")
        Trainer(net, MeanSquaredError(), LBFGS(max_iter=5), quiet=True).fit((x, t), epochs=1, batch_size=25)
    np.testing.assert_allclose(nets[0].flat_parameters, nets[1].flat_parameters, atol=1e-8)


class StopAfter(Callback):
    """Ends a training after some epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_end(self, trainer, row):
        if row["epoch"] == self.epochs:
            trainer.stop("enough")


@each
def test_a_restored_state_goes_on_exactly(index):
    def made(net, optimizer):
        return Trainer(net, MeanSquaredError(), optimizer, quiet=True)

    x, t = regression()
    net = Sequential(Linear(4, 3), Tanh(), Linear(3, 2)).to("float64")
    first, second = make(index, max_iter=2), make(index, max_iter=2)
    made(net, first).fit((x, t), epochs=2, batch_size=60, shuffle=False)
    twin = net.copy()
    second.load_state_dict(first.state_dict())
    assert first.state_dict()
    for model, optimizer in ((net, first), (twin, second)):
        made(model, optimizer).fit((x, t), epochs=2, batch_size=60, shuffle=False)
    assert np.array_equal(net.flat_parameters, twin.flat_parameters)
    with pytest.raises(ValueError, match=r"cannot load the state: \w+ has shape .*, expected 23 numbers$"):
        first.load_state_dict({"gradient": np.zeros(3)})


def test_yaml(tmp_path):
    config = parse_config(
        "dataset: Iris\nmodel:\n  - Linear: {in_features: 4, out_features: 3}\nloss: SoftmaxCrossEntropy\n"
        "optimizer:\n  LBFGS: {max_iter: 10}\ntrainer: {epochs: 3, batch_size: 50}\n"
    )
    summary = train_config(config, tmp_path / "run", quiet=True)
    assert summary["train_accuracy"] > 0.95


class Cliff(Module):
    """y = x + w, where w below 0 gives infinity: a step too far is taken back."""

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.array([1.0]))

    def fprop(self, x):
        return x + np.log(self.weight) if self.weight[0] > 0 else x + np.inf

    def bprop(self, grad_y):
        self.grad_weight += grad_y.sum() / self.weight
        return grad_y


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite():
    x = np.ones((4, 1))
    trainer = Trainer(Cliff().to("float64"), MeanSquaredError(), LBFGS(), quiet=True)
    trainer.fit((x, np.zeros((4, 1))), epochs=3, batch_size=4)
    np.testing.assert_allclose(trainer.model.weight, np.exp(-1), atol=1e-7)
    trainer.model.weight[0] = -1
    with pytest.raises(TrainingError, match=r"^the loss is inf in epoch \d, step 1; the model has its weights"):
        trainer.fit((x, np.zeros((4, 1))), epochs=1, batch_size=4)


def test_misuse():
    net = Linear(4, 2)
    with pytest.raises(TypeError, match=r"^compile_step: LBFGS needs all samples at once; use a Trainer, or its mini"):
        compile_step(net, MeanSquaredError(), LBFGS())
    with pytest.raises(RuntimeError, match=r"^LBFGS\(\): update needs all samples; use a Trainer, or minimize\(net, c"):
        LBFGS().update(net)
    with pytest.raises(ValueError, match=r"^schedules: loss\.delta has a schedule per step, but LBFGS has no steps$"):
        Trainer(net, Weighted(), LBFGS(), schedules={"loss.delta": CosineSchedule(per="step")})
    with pytest.raises(NotImplementedError, match=r"^FullBatch has no direction: write `def direction\(self, gradient"):
        FullBatch(1, 0.0, 0.0).direction(np.zeros(3))


class Weighted(MeanSquaredError):
    """With a number that a schedule may move."""

    def __init__(self):
        super().__init__()
        self.delta = 1.0


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: LBFGS(max_iter=0), r"^LBFGS: max_iter is 0, expected a whole number of at least 1$"),
        (lambda: LBFGS(history_size=0), r"^LBFGS: history_size is 0, expected a whole number of at least 1$"),
        (lambda: LBFGS(tolerance_grad=-1.0), r"^LBFGS: tolerance_grad is -1.0, expected at least 0$"),
        (
            lambda: ConjugateGradient(tolerance_change=-1.0),
            r"^ConjugateGradient: tolerance_change is -1.0, expected at",
        ),
        (lambda: ConjugateGradient("pr"), r"^ConjugateGradient: beta is 'pr', expected 'polak-ribiere' or 'fletcher-"),
    ],
)
def test_settings_out_of_range(made, message):
    with pytest.raises(ValueError, match=message):
        made()


@pytest.mark.parametrize("c2", [0.1, 0.9])
@pytest.mark.parametrize("first", [1e-3, 1.0, 300.0])
def test_the_line_search_meets_the_strong_wolfe_conditions(c2, first):
    def evaluate(a):
        return Point(a, a**4 / 4 - 2 * a - np.sin(3 * a), a**3 - 2 - 3 * np.cos(3 * a))

    start = evaluate(0.0)
    point = LineSearch(evaluate, start, c2, 0.0).run(first)
    assert point.value <= 1e-4 * point.a * start.slope
    assert abs(point.slope) <= c2 * abs(start.slope)
