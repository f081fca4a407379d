"""Every optimizer against PyTorch or its paper's pseudo-code, its state, and what it refuses."""

import copy
import gc
import inspect
import re

import bprop.trainers as trainers
import numba
import numpy as np
import pytest
from bprop.modules import Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy, Tanh
from bprop.modules.engine.compiler import get_method_dispatcher
from bprop.modules.engine.stateful import get_raw_method
from bprop.trainers import (
    ASGD,
    LBFGS,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    FullBatch,
    Lion,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    Trainer,
    compile_step,
)

STEPS = 20
CASES = [
    (Adagrad, {"lr": 0.1}),
    (Adagrad, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2, "weight_decay": 0.1}),
    (Adadelta, {}),
    (Adadelta, {"lr": 2.0, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1}),
    (RMSprop, {}),
    (RMSprop, {"momentum": 0.9, "weight_decay": 0.1}),
    (RMSprop, {"centered": True, "alpha": 0.9}),
    (RMSprop, {"centered": True, "momentum": 0.5}),
    (Adam, {"lr": 0.01}),
    (Adam, {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    (Adam, {"lr": 0.02, "amsgrad": True, "betas": (0.9, 0.5)}),
    (AdamW, {"lr": 0.02, "weight_decay": 0.2}),
    (AdamW, {"lr": 0.02, "amsgrad": True}),
    (Adamax, {"lr": 0.02}),
    (Adamax, {"lr": 0.02, "weight_decay": 0.1}),
    (NAdam, {"lr": 0.02}),
    (NAdam, {"lr": 0.02, "weight_decay": 0.1, "momentum_decay": 0.1, "decoupled_weight_decay": True}),
    (RAdam, {"lr": 0.02}),
    (RAdam, {"lr": 0.02, "weight_decay": 0.1, "betas": (0.9, 0.95)}),
    (Rprop, {}),
    (Rprop, {"lr": 0.05, "etas": (0.4, 1.5), "step_sizes": (0.01, 0.08)}),
    (Adafactor, {"lr": 0.05}),
    (Adafactor, {"lr": 0.2, "beta2_decay": -0.5, "eps": (1e-2, 0.1), "d": 1.5, "weight_decay": 0.1}),
    (ASGD, {"lr": 0.1}),
    (ASGD, {"lr": 0.1, "lambd": 0.01, "alpha": 0.5, "t0": 5.0, "weight_decay": 0.1}),
]
NAMES = [f"{cls.__name__} {' '.join(settings)}" for cls, settings in CASES]
CONCRETE = sorted(
    (
        cls
        for cls in vars(trainers.optimizers).values()
        if inspect.isclass(cls) and issubclass(cls, Optimizer) and not issubclass(cls, FullBatch)
    ),
    key=lambda cls: cls.__name__,
)


def batches(steps=STEPS):
    random = np.random.default_rng(1)
    return [(random.normal(size=(8, 4)), random.normal(size=(8, 3))) for _ in range(steps)]


def train(net, optimizer, steps=STEPS):
    step = compile_step(net, MeanSquaredError(), optimizer)
    return [step(x, t) for x, t in batches(steps)]


def train_torch(torch, weight, bias, make):
    """The same steps by PyTorch in float64; `make` gives the optimizer for some parameters."""
    layer = torch.nn.Linear(4, 3).double()
    layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    optimizer = make(layer)
    for x, t in batches():
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(layer(torch.tensor(x)), torch.tensor(t)).backward()
        optimizer.step()
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize(("cls", "settings"), CASES, ids=NAMES)
def test_twenty_steps_like_torch(torch, cls, settings):
    net = Sequential(Linear(4, 3))
    start = [net[0].weight.astype(np.float64), net[0].bias.astype(np.float64)]
    train(net, cls(**settings, decay="all"))
    theirs = getattr(torch.optim, cls.__name__)
    weight, bias = train_torch(torch, *start, lambda layer: theirs(layer.parameters(), **settings))
    assert not np.allclose(weight, start[0], atol=1e-2)
    np.testing.assert_allclose(net[0].weight, weight, atol=1e-5)
    np.testing.assert_allclose(net[0].bias, bias, atol=1e-5)


@pytest.mark.parametrize(("cls", "settings"), CASES, ids=NAMES)
def test_float64_like_torch(torch, cls, settings):
    net = Sequential(Linear(4, 3)).to("float64")
    start = [net[0].weight.copy(), net[0].bias.copy()]
    train(net, cls(**settings, decay="all"))
    theirs = getattr(torch.optim, cls.__name__)
    weight, bias = train_torch(torch, *start, lambda layer: theirs(layer.parameters(), **settings))
    tolerance = 1e-8 if cls is ASGD else 1e-11  # PyTorch keeps ASGD's rate in float32
    np.testing.assert_allclose(net[0].weight, weight, atol=tolerance)
    np.testing.assert_allclose(net[0].bias, bias, atol=tolerance)


ASCENTS = [
    (cls, settings)
    for cls in (SGD, Adagrad, Adadelta, RMSprop, Adam, AdamW, Adamax, NAdam, RAdam, Rprop)
    for settings in ({"lr": 0.01}, *([{"lr": 0.02, "weight_decay": 0.1}] if cls is not Rprop else []))
]


@pytest.mark.parametrize(("cls", "settings"), ASCENTS, ids=[f"{c.__name__} {' '.join(s)}" for c, s in ASCENTS])
def test_maximize_like_torch(torch, cls, settings):
    net = Sequential(Linear(4, 3)).to("float64")
    start = [net[0].weight.copy(), net[0].bias.copy()]
    losses = train(net, cls(**settings, decay="all", maximize=True))
    theirs = getattr(torch.optim, cls.__name__)
    made = lambda layer: theirs(layer.parameters(), **settings, maximize=True)  # noqa: E731
    weight, bias = train_torch(torch, *start, made)
    rtol = 1e-6 if cls is NAdam else 1e-9  # PyTorch keeps NAdam's product in float32
    np.testing.assert_allclose(net[0].weight, weight, rtol=rtol, atol=1e-11)
    np.testing.assert_allclose(net[0].bias, bias, rtol=rtol, atol=1e-11)
    assert losses[-1] > losses[0] or "weight_decay" in settings or cls is Adadelta


def test_maximize_that_begins_between_steps():
    """The step is compiled anew, and the gradients that can be read keep their sign."""
    net, sgd = Sequential(Linear(4, 3)).to("float64"), SGD(lr=0.1)
    step, (x, t) = compile_step(net, MeanSquaredError(), sgd), batches(1)[0]
    step(x, t)
    sgd.maximize = True
    before, value = net.flat_parameters.copy(), step(x, t)
    np.testing.assert_allclose(net.flat_parameters, before + 0.1 * net.flat_gradients, rtol=1e-12)
    assert step(x, t) > value
    assert sgd.label() == "SGD(lr=0.1, maximize=True)"


def test_maximize_out_of_range():
    with pytest.raises(TypeError, match=r"^Adam: maximize is 1, expected true or false$"):
        Adam(maximize=1)
    ascent = Trainer(Sequential(Linear(4, 3)), MeanSquaredError(), SGD(lr=0.1, l1=0.1, maximize=True), quiet=True)
    with pytest.raises(ValueError, match="SGD: maximize is true, and a total cost is made small"):
        ascent.fit(batches(1)[0], epochs=1, batch_size=8, total_cost=True)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_lion_like_its_paper(weight_decay):
    """Algorithm 2 of Chen et al. 2023, line by line, in float64."""
    net = Sequential(Linear(4, 3)).to("float64")
    twin = net.copy()
    train(net, Lion(lr=0.01, betas=(0.9, 0.8), weight_decay=weight_decay, decay="all"))
    theta, m, loss = twin.flat_parameters, np.zeros(15), MeanSquaredError().to("float64")
    for x, t in batches():
        twin.zero_grad()
        loss(twin(x), t)
        twin.bprop(loss.bprop())
        g = twin.flat_gradients
        c = 0.9 * m + (1 - 0.9) * g
        theta[:] = theta - 0.01 * (np.sign(c) + weight_decay * theta)
        m = 0.8 * m + (1 - 0.8) * g
    np.testing.assert_allclose(net.flat_parameters, theta, rtol=1e-12)


def test_every_optimizer_is_compared():
    assert {cls for cls in CONCRETE if cls is not Optimizer} == {cls for cls, _ in CASES} | {SGD, Lion, Muon}


def minimal(cls):
    return cls(lr=0.05)


@pytest.mark.parametrize("cls", [cls for cls in CONCRETE if cls is not Optimizer])
def test_by_hand_is_the_compiled_step(cls):
    net = Sequential(Linear(4, 5), Tanh(), Linear(5, 3))
    twin, loss, optimizer = net.copy(), MeanSquaredError(), minimal(cls)
    train(net, minimal(cls), 5)
    for x, t in batches(5):
        twin.zero_grad()
        loss(twin(x), t)
        twin.bprop(loss.bprop())
        optimizer.update(twin)
    np.testing.assert_allclose(net.flat_parameters, twin.flat_parameters, atol=1e-6)


@pytest.mark.parametrize("cls", [cls for cls in CONCRETE if cls is not Optimizer])
def test_a_restored_state_goes_on_exactly(cls):
    net = Sequential(Linear(4, 3))
    optimizer = minimal(cls)
    step = compile_step(net, MeanSquaredError(), optimizer)
    for x, t in batches(4):
        step(x, t)
    twin, again, state = net.copy(), minimal(cls), optimizer.state_dict()
    again.load_state_dict(state)  # before it knows its net
    other = compile_step(twin, MeanSquaredError(), again)
    for x, t in batches(8)[4:]:
        step(x, t)
        other(x, t)
    assert np.array_equal(net.flat_parameters, twin.flat_parameters)
    expected = optimizer.state_dict()
    assert expected.keys() == again.state_dict().keys()
    assert all(np.array_equal(value, again.state_dict()[name]) for name, value in expected.items())
    optimizer.load_state_dict(state)  # and back again, in the midst of it
    assert all(np.array_equal(value, optimizer.state_dict()[name]) for name, value in state.items())


def test_a_state_that_does_not_fit_is_refused():
    adam, net = Adam(), Linear(4, 3)
    adam.attach(net)
    state = adam.state_dict()
    wrong = {**state, "mean": np.zeros(3), "more": 1}
    del wrong["steps"]
    message = r"^Adam: cannot load the state: missing steps; unexpected more; mean has shape \(3,\), expected \(15,\)$"
    with pytest.raises(ValueError, match=message):
        adam.load_state_dict(wrong)
    late = Adam()
    late.load_state_dict(wrong)
    with pytest.raises(ValueError, match=message):
        late.attach(Linear(4, 3))


def test_state_is_a_copy():
    net, adam = Linear(4, 3), Adam()
    train(net, adam, 2)
    state = adam.state_dict()
    mean = state["mean"].copy()
    train(net, adam, 1)
    assert state["steps"] == 2
    assert np.array_equal(state["mean"], mean)


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (Adagrad, {"lr": -1}, r"^Adagrad: lr is -1, expected at least 0$"),
        (Adagrad, {"lr_decay": -1}, r"^Adagrad: lr_decay is -1, expected at least 0$"),
        (
            Adagrad,
            {"initial_accumulator_value": -1},
            r"^Adagrad: initial_accumulator_value is -1, expected at least 0$",
        ),
        (Adadelta, {"rho": 1.0}, r"^Adadelta: rho is 1.0, expected 0 to below 1$"),
        (Adadelta, {"eps": -1}, r"^Adadelta: eps is -1, expected at least 0$"),
        (RMSprop, {"alpha": 1.5}, r"^RMSprop: alpha is 1.5, expected 0 to below 1$"),
        (RMSprop, {"momentum": -1}, r"^RMSprop: momentum is -1, expected at least 0$"),
        (Adam, {"betas": (0.9, 1.0)}, r"^Adam: betas is \(0.9, 1.0\), expected two numbers from 0 to below 1$"),
        (Adam, {"lr": float("nan")}, r"^Adam: lr is nan, expected at least 0$"),
        (AdamW, {"eps": -1.0}, r"^AdamW: eps is -1.0, expected at least 0$"),
        (AdamW, {"weight_decay": -1.0}, r"^AdamW: weight_decay is -1.0, expected at least 0$"),
        (Adamax, {"betas": (-0.1, 0.9)}, r"^Adamax: betas is \(-0.1, 0.9\), expected two numbers from 0 to below 1$"),
        (NAdam, {"momentum_decay": -1.0}, r"^NAdam: momentum_decay is -1.0, expected at least 0$"),
        (NAdam, {"betas": (0.9,)}, r"^NAdam: betas is \(0.9,\), expected two numbers from 0 to below 1$"),
        (RAdam, {"betas": (2, 0.9)}, r"^RAdam: betas is \(2, 0.9\), expected two numbers from 0 to below 1$"),
        (Lion, {"betas": (0.9, 2)}, r"^Lion: betas is \(0.9, 2\), expected two numbers from 0 to below 1$"),
        (Lion, {"lr": -1}, r"^Lion: lr is -1, expected at least 0$"),
        (Muon, {"momentum": 1.0}, r"^Muon: momentum is 1.0, expected 0 to below 1$"),
        (Muon, {"ns_steps": 100}, r"^Muon: ns_steps is 100, expected at most 99$"),
        (Muon, {"ns_steps": 2.5}, r"^Muon: ns_steps is 2.5, expected a whole number of at least 0$"),
        (Muon, {"ns_coefficients": (1, 2)}, r"^Muon: ns_coefficients is \(1, 2\), expected three numbers$"),
        (Muon, {"adjust_lr": "rms"}, r"^Muon: adjust_lr is 'rms', expected 'original' or 'match_rms_adamw'$"),
        (Muon, {"adamw_factor": -1}, r"^Muon: adamw_factor is -1, expected at least 0$"),
        (Muon, {"betas": (0.9, 1.5)}, r"^Muon: betas is \(0.9, 1.5\), expected two numbers from 0 to below 1$"),
        (Adafactor, {"beta2_decay": 0.5}, r"^Adafactor: beta2_decay is 0.5, expected at most 0$"),
        (Adafactor, {"d": 0.5}, r"^Adafactor: d is 0.5, expected at least 1$"),
        (Adafactor, {"eps": (1e-3, None)}, r"^Adafactor: eps is \(0.001, None\), expected two numbers, or None and a"),
        (Adafactor, {"eps": (-1.0, 0.1)}, r"^Adafactor: eps\[0\] is -1.0, expected at least 0$"),
        (Rprop, {"lr": 0.0}, r"^Rprop: lr is 0.0, expected more than 0$"),
        (
            Rprop,
            {"etas": (1.2, 0.5)},
            r"^Rprop: etas is \(1.2, 0.5\), expected one number from 0 to 1 and one above 1$",
        ),
        (Rprop, {"step_sizes": (2, 1)}, r"^Rprop: step_sizes is \(2, 1\), expected a smallest and a largest one$"),
        (ASGD, {"lambd": -1}, r"^ASGD: lambd is -1, expected at least 0$"),
        (ASGD, {"t0": -1}, r"^ASGD: t0 is -1, expected at least 0$"),
    ],
)
def test_settings_out_of_range(cls, settings, message):
    with pytest.raises(ValueError, match=message):
        cls(**settings)


def test_repr_shows_what_is_not_the_default():
    assert repr(Adam(betas=(0.8, 0.9))) == "Adam(lr=0.001, betas=(0.8, 0.9))"
    assert repr(AdamW()) == "AdamW(lr=0.001, weight_decay=0.01)"
    assert repr(Rprop(step_sizes=(1e-3, 1))) == "Rprop(lr=0.01, step_sizes=(0.001, 1.0))"


@pytest.mark.parametrize("cls", [Adafactor, Adagrad, Adam, RMSprop, Adamax, Muon, NAdam, RAdam, Adadelta, Lion, Rprop])
@pytest.mark.parametrize("size", [1e-30, 1e18])
def test_extreme_gradients_give_finite_weights(cls, size):
    net = Linear(2, 1)
    optimizer = minimal(cls)
    for _ in range(3):
        net.flat_gradients[:] = size
        optimizer.update(net)
    assert np.isfinite(net.flat_parameters).all()


@pytest.mark.jit
@pytest.mark.parametrize("cls", [cls for cls in CONCRETE if cls is not Optimizer])
def test_loops_over_the_parameters_are_vectorised(cls):
    """The machine code of each update holds packed arithmetic."""
    net, optimizer = Linear(4, 3), minimal(cls)
    optimizer.update(net)
    function = get_method_dispatcher(get_raw_method(cls, "update"))
    signature = (next(iter(optimizer._states)), *[numba.types.Array(numba.float32, 1, "C")] * 2)
    function.compile(signature)
    function.overloads[signature].library._ensure_finalized()  # optimised, also where nothing has called it yet
    assert re.search(r"= f(add|sub|mul) .*<\d+ x float>", function.inspect_llvm(signature))


# -- copies, and states that are loaded -------------------------------------------------------------------------------


def regression(features=3):
    x = np.linspace(-1, 1, 8 * features, dtype=np.float32).reshape(8, features)
    return x, x.sum(axis=1, keepdims=True)


def steps(net, optimizer, n, features=3):
    """Steps by hand on one minibatch; the parameters after each."""
    (x, y), loss, losses = regression(features), MeanSquaredError(), []
    for _ in range(n):
        net.zero_grad()
        loss.fprop(net.fprop(x), y)
        net.bprop(loss.bprop())
        optimizer.update(net)
        losses.append(net.flat_parameters.copy())
    return losses


STATEFUL = [lambda: SGD(lr=0.1, momentum=0.9), lambda: Adam(lr=0.1, ema=0.5), lambda: Adagrad(lr=0.1)]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("make", STATEFUL)
def test_copies_stay_a_pair(make, order):
    """A copied net and optimizer take the steps that the originals take, and neither moves the other."""
    net, optimizer = Sequential(Linear(3, 1)), make()
    steps(net, optimizer, 3)
    pair = copy.deepcopy([net, optimizer][::order])[::order]
    with optimizer.evaluated_weights(net), pair[1].evaluated_weights(pair[0]):
        assert np.array_equal(net.flat_parameters, pair[0].flat_parameters), "averages are a pair's, too"
    values, again = steps(*pair, 3), copy.deepcopy(optimizer)
    assert np.array_equal(values, steps(net, optimizer, 3))
    assert not np.array_equal(values[0], steps(pair[0].copy(), make(), 1)[0]), "it would be so with a new optimizer"
    with pytest.raises(ValueError, match=rf"^{type(optimizer).__name__}: cannot load the state: \w+ has shape \(4,\)"):
        again.attach(Sequential(Linear(5, 1)))
    with pytest.raises(ValueError, match="cannot load the state"):  # and not from new at the second attempt
        again.attach(Sequential(Linear(5, 1)))
    again.reset()
    again.attach(Sequential(Linear(5, 1)))


@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize("make", STATEFUL)
def test_a_used_optimizer_that_loads_a_state_for_another_net(make, gone):
    """The state is of the next net, unless a step with the old one comes before."""
    net, optimizer, used, old = Sequential(Linear(3, 1)), make(), make(), Sequential(Linear(3, 1))
    steps(net, optimizer, 3)
    twin = net.copy()
    steps(old, used, 5)
    if gone:
        del old
        gc.collect()
    used.load_state_dict(optimizer.state_dict())
    assert used.state_dict().keys() == optimizer.state_dict().keys()
    assert np.array_equal(steps(twin, used, 2), steps(net, optimizer, 2))
    other = twin.copy()
    assert np.array_equal(steps(other.copy(), used, 1), steps(other, make(), 1)), "after steps it starts anew"


def test_a_copy_of_lbfgs_goes_on():
    (x, y), loss = regression(), MeanSquaredError()
    net, optimizer = Sequential(Linear(3, 4), Tanh(), Linear(4, 1)), LBFGS(max_iter=2)

    def minimize(net, optimizer):
        def closure():
            net.zero_grad()
            value = loss.fprop(net.fprop(x), y)
            net.bprop(loss.bprop())
            return value

        return optimizer.minimize(net, closure)

    minimize(net, optimizer)
    pair = copy.deepcopy((net, optimizer))
    assert minimize(*pair) == minimize(net, optimizer)
    assert np.array_equal(pair[0].flat_parameters, net.flat_parameters)


class InVectors(Optimizer):
    """Momentum as NumPy writes it: whole vectors (P,), where a trial on two numbers of each would not fit."""

    def __init__(self, lr=0.1, momentum=0.9, **common):
        super().__init__(**common)
        self.lr, self.momentum = lr, momentum

    def start(self, parameters):
        self.m = np.zeros_like(parameters)

    def update(self, parameters, gradients):
        self.m[:] = self.momentum * self.m + (1 - self.momentum) * gradients
        parameters -= self.lr * self.m


class Misfit(InVectors):
    def update(self, parameters, gradients):
        self.m[:] = gradients[:-3]


def test_an_optimizer_in_vectors_is_tried_on_whole_vectors():
    random = np.random.default_rng(0)
    x, target = random.standard_normal((8, 4)), random.integers(0, 3, 8)
    net, loss, optimizer = Sequential(Linear(4, 3)), SoftmaxCrossEntropy(), InVectors(weight_decay=0.1)
    start = net.flat_parameters.copy()
    compile_step(net, loss, optimizer)(x, target)
    m = 0.1 * (net.flat_gradients + 0.1 * np.where(np.arange(15) < 12, start, 0))
    np.testing.assert_allclose(net.flat_parameters, start - 0.1 * m, rtol=1e-5)
    InVectors().update(net)
    with pytest.raises(ValueError, match=r"could not broadcast input array from shape \(12,\) into shape \(15,\)"):
        Misfit().update(net)
