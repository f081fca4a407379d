"""What every optimizer has: penalties, clipping, max-norm, groups, averaged weights; compiled and by hand."""

import numpy as np
import pytest
from bprop.modules import Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy, Tanh
from bprop.trainers import (
    SGD,
    Adam,
    AdamW,
    EarlyStopping,
    Group,
    Optimizer,
    Rprop,
    Trainer,
    TrainingError,
    compile_step,
)

STEPS = 6


def network():
    return Sequential(Linear(4, 5), Tanh(), Linear(5, 3))


def batches(steps=STEPS):
    random = np.random.default_rng(1)
    return [(random.normal(size=(8, 4)), random.normal(size=(8, 3))) for _ in range(steps)]


def by_step(net, optimizer, steps=STEPS):
    step = compile_step(net, MeanSquaredError(), optimizer)
    for x, t in batches(steps):
        step(x, t)


def by_hand(net, optimizer, steps=STEPS):
    loss = MeanSquaredError()
    for x, t in batches(steps):
        net.zero_grad()
        loss(net(x), t)
        net.bprop(loss.bprop())
        optimizer.update(net)


both = pytest.mark.parametrize("train", [by_step, by_hand])


def torch_parameters(torch, net, steps, make, clip=None):
    """The same steps by PyTorch; `make` gives an optimizer for the two layers, `clip` changes their gradients."""
    layers = [torch.nn.Linear(4, 5), torch.nn.Linear(5, 3)]
    for layer, index in zip(layers, (0, 2), strict=True):
        state = {"weight": torch.tensor(net[index].weight.copy()), "bias": torch.tensor(net[index].bias.copy())}
        layer.load_state_dict(state)
    model = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1])
    optimizer = make(layers)
    for x, t in batches(steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(torch.tensor(x).float()), torch.tensor(t).float()).backward()
        if clip is not None:
            clip(list(model.parameters()))
        optimizer.step()
    return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@both
def test_clip_norm_like_torch(torch, train):
    net = network()
    expected = torch_parameters(
        torch,
        net,
        STEPS,
        lambda layers: torch.optim.SGD([p for layer in layers for p in layer.parameters()], lr=0.5, momentum=0.9),
        lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, 0.2),
    )
    train(net, SGD(lr=0.5, momentum=0.9, clip_norm=0.2))
    np.testing.assert_allclose(net.flat_parameters, expected, atol=1e-5)


@both
def test_clip_value_like_torch(torch, train):
    net = network()
    expected = torch_parameters(
        torch,
        net,
        STEPS,
        lambda layers: torch.optim.Adam([p for layer in layers for p in layer.parameters()], lr=0.1),
        lambda parameters: torch.nn.utils.clip_grad_value_(parameters, 0.05),
    )
    train(net, Adam(lr=0.1, clip_value=0.05))
    np.testing.assert_allclose(net.flat_parameters, expected, atol=1e-5)


@both
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_groups_like_torch(torch, train, name):
    """Another rate for one layer, no decay for its bias, the other layer's bias frozen."""
    settings = {"SGD": {"momentum": 0.9}, "AdamW": {}}[name]

    def make(layers):
        groups = [
            {"params": [layers[0].weight], "lr": 0.01, "weight_decay": 0.3},
            {"params": [layers[0].bias], "lr": 0.01, "weight_decay": 0.0},
            {"params": [layers[1].weight], "lr": 0.1, "weight_decay": 0.1},
        ]
        return getattr(torch.optim, name)(groups, **settings)

    net = network()
    groups = [Group("0.*", lr_factor=0.1), Group("0.weight", weight_decay=0.3), Group("2.bias", frozen=True)]
    bias = net[2].bias.copy()
    expected = torch_parameters(torch, net, STEPS, make)
    train(net, {"SGD": SGD, "AdamW": AdamW}[name](lr=0.1, weight_decay=0.1, groups=groups, **settings))
    np.testing.assert_allclose(net.flat_parameters, expected, atol=1e-5)
    assert np.array_equal(net[2].bias, bias)


def still(net, **settings):
    """The net's parameters after one step of SGD at zero gradients."""
    net.zero_grad()
    SGD(lr=0.1, **settings).update(net)
    return net


@pytest.mark.parametrize("decoupled", [False, True])
def test_weight_decay_is_for_weights_unless_asked(decoupled):
    settings = {"weight_decay": 0.5, "decoupled_weight_decay": decoupled}
    net = network()
    twin = net.copy()
    still(net, **settings)
    np.testing.assert_allclose(net[0].weight, 0.95 * twin[0].weight, rtol=1e-6)
    assert np.array_equal(net[0].bias, twin[0].bias)
    still(twin, decay="all", **settings)
    assert np.array_equal(net[0].weight, twin[0].weight)
    np.testing.assert_allclose(twin[0].bias, 0.95 * net[0].bias, rtol=1e-6)


def test_l1():
    net = network()
    net[0].weight[0, 0] = 0
    before = net.state_dict()
    still(net, l1=0.5, groups=[Group("2.weight", l1=2.0), Group("*.bias", l1=0.0)])
    np.testing.assert_allclose(net[0].weight, before["0.weight"] - 0.05 * np.sign(before["0.weight"]), atol=1e-7)
    np.testing.assert_allclose(net[2].weight, before["2.weight"] - 0.2 * np.sign(before["2.weight"]), atol=1e-7)
    assert np.array_equal(net[2].bias, before["2.bias"])


@both
def test_max_norm(torch, train):
    net = network()
    biases = net[0].bias.copy()
    train(net, SGD(lr=0.0, max_norm=0.5, groups=[Group(module="Linear"), Group("2.weight", max_norm=0.1)]))
    norms = np.linalg.norm(net[0].weight, axis=1)
    assert norms.max() == pytest.approx(0.5, rel=1e-6)
    assert (norms <= 0.5 * (1 + 1e-6)).all()
    np.testing.assert_allclose(np.linalg.norm(net[2].weight, axis=1), 0.1, rtol=1e-6)
    assert np.array_equal(net[0].bias, biases)


def test_max_norm_leaves_shorter_rows_alone():
    net = network()
    twin = net.copy()
    still(net, max_norm=100.0)
    assert np.array_equal(net.flat_parameters, twin.flat_parameters)


@both
def test_averaged_weights(train):
    net, optimizer, rows = network(), Adam(lr=0.1, ema=0.75), []
    expected = None
    for steps in range(1, STEPS + 1):
        twin = net.copy()
        by_hand(twin, Adam(lr=0.1), steps)
        rows.append(twin.flat_parameters.copy())
        expected = rows[-1] if expected is None else 0.75 * expected + 0.25 * rows[-1]
    train(net, optimizer)
    np.testing.assert_allclose(net.flat_parameters, rows[-1], atol=1e-6)
    np.testing.assert_allclose(optimizer.averages, expected, atol=1e-6)
    with optimizer.evaluated_weights(net):
        np.testing.assert_allclose(net.flat_parameters, expected, atol=1e-6)
    np.testing.assert_allclose(net.flat_parameters, rows[-1], atol=1e-6)


def test_the_trainer_evaluates_averaged_weights():
    random = np.random.default_rng(0)
    x, t = random.normal(size=(40, 4)), random.integers(0, 3, 40)
    trainer = Trainer(network(), SoftmaxCrossEntropy(), SGD(lr=0.5, ema=0.9), quiet=True)
    (row,) = trainer.fit((x, t), (x, t), epochs=1, batch_size=8)
    twin = trainer.model.copy()
    last = twin.flat_parameters.copy()
    twin.flat_parameters[:] = trainer.optimizer.averages
    assert row["valid_loss"] == pytest.approx(float(SoftmaxCrossEntropy()(twin(x), t)), rel=1e-5)
    np.testing.assert_allclose(trainer.predict(x), twin.eval()(x), atol=1e-6)
    assert np.array_equal(trainer.model.flat_parameters, last)


def test_early_stopping_goes_back_to_the_best_averaged_weights():
    random = np.random.default_rng(0)
    x, t = random.normal(size=(40, 4)), random.integers(0, 3, 40)
    stopping = EarlyStopping(patience=2)
    trainer = Trainer(network(), SoftmaxCrossEntropy(), SGD(lr=1.0, ema=0.9), callbacks=[stopping], quiet=True)
    history = trainer.fit((x[:20], t[:20]), (x[20:], t[20:]), epochs=30, batch_size=5)
    best = min(row["valid_loss"] for row in history)
    assert history[-1]["valid_loss"] > best
    assert trainer.evaluate((x[20:], t[20:]))["loss"] == pytest.approx(best, rel=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_are_not_finite_leave_no_trace_in_the_average():
    random = np.random.default_rng(0)
    x, t = random.normal(size=(40, 4)).astype(np.float32), random.normal(size=(40, 3)).astype(np.float32)
    trainer = Trainer(network(), MeanSquaredError(), SGD(lr=1e30, ema=0.9), quiet=True)
    with pytest.raises(TrainingError, match=r"is not finite|the loss is"):
        trainer.fit((x, 1e6 * t), epochs=3, batch_size=8)
    assert np.isfinite(trainer.evaluate((x, t))["loss"])


def test_averaged_weights_are_state():
    net, optimizer = network(), SGD(lr=0.1, ema=0.9)
    by_step(net, optimizer, 2)
    twin, again = net.copy(), SGD(lr=0.1, ema=0.9)
    again.load_state_dict(optimizer.state_dict())
    by_step(net, optimizer, 1)
    by_step(twin, again, 1)
    assert np.array_equal(optimizer.averages, again.averages)


class SignDescent(Optimizer):
    """parameter -= lr sign(gradient): a rule of a user's own, with the settings of all."""

    def __init__(self, lr: float, **common):
        super().__init__(**common)
        self.lr = float(lr)

    def update(self, parameters, gradients):
        for i in range(parameters.size):
            parameters[i] -= self.lr * np.sign(gradients[i])


class PythonSignDescent(SignDescent):
    """The same, never compiled."""

    jit = False


@both
@pytest.mark.filterwarnings("ignore:PythonSignDescent.*has jit = False")
def test_an_optimizer_of_ones_own_has_them_all(train):
    settings = {
        "weight_decay": 0.1,
        "l1": 0.01,
        "clip_norm": 0.5,
        "max_norm": 1.0,
        "ema": 0.5,
        "groups": [Group("0.*", lr_factor=0.5)],
    }
    net = network()
    twin, plain = net.copy(), net.copy()
    train(net, SignDescent(0.1, **settings))
    train(twin, PythonSignDescent(0.1, **settings))
    train(plain, SignDescent(0.1))
    np.testing.assert_allclose(net.flat_parameters, twin.flat_parameters, atol=1e-6)
    assert not np.allclose(net.flat_parameters, plain.flat_parameters, atol=1e-3)


@both
def test_settings_that_begin_between_steps(train):
    net, sgd = network(), SGD(lr=0.1)
    train(net, sgd, 1)
    twin = net.copy()
    sgd.weight_decay, sgd.max_norm = 0.5, 0.3
    train(net, sgd, 1)
    train(twin, SGD(lr=0.1, weight_decay=0.5, max_norm=0.3), 1)
    assert np.array_equal(net.flat_parameters, twin.flat_parameters)
    sgd.weight_decay, sgd.max_norm = 0.0, np.inf
    train(net, sgd, 1)
    train(twin, SGD(lr=0.1), 1)
    assert np.array_equal(net.flat_parameters, twin.flat_parameters)


@pytest.mark.jit
def test_the_compiled_step_says_what_is_in_use(tmp_path, monkeypatch):
    class Descent(SGD):
        """A class of its own has plans of its own."""

    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path))
    by_step(network(), Descent(lr=0.1), 1)
    (plan,) = tmp_path.glob("plan_*.py")
    assert not any(word in plan.read_text() for word in ("_adjust(", "_shorten(", "_average(", "bounds"))
    by_step(network(), Descent(lr=0.1, weight_decay=0.1, max_norm=1.0), 1)
    (other,) = {*tmp_path.glob("plan_*.py")} - {plan}
    lines = [line.split("(")[0].split()[-1] for line in other.read_text().splitlines() if " = Descent_" in line]
    assert lines[:3] == ["Descent_adjust", "Descent_update", "Descent_shorten"]


def test_gradients_stay_those_of_the_minibatch():
    net = network()
    twin = net.copy()
    by_step(net, SGD(lr=0.1, weight_decay=0.5, clip_norm=0.01), 1)
    by_step(twin, SGD(lr=0.1), 1)
    assert np.array_equal(net.flat_gradients, twin.flat_gradients)


def test_nan_gradients_are_not_hidden():
    for settings in ({"clip_value": 1.0}, {"clip_norm": 1.0}):
        net = Linear(2, 1)
        net.flat_gradients[:] = [np.nan, 1, 1]
        SGD(lr=0.1, **settings).update(net)
        assert np.isnan(net.flat_parameters[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_a_huge_gradient(dtype):
    net = Linear(2, 1).to(dtype)
    net.flat_parameters[:] = 0
    net.flat_gradients[:] = np.finfo(dtype).max / 4
    SGD(lr=1.0, clip_norm=3.0).update(net)
    np.testing.assert_allclose(net.flat_parameters, -np.sqrt(3), rtol=1e-5)


def test_summary_and_repr():
    net = network()
    sgd = SGD(
        lr=0.1, weight_decay=0.01, max_norm=2.0, groups=[Group("2.*", lr_factor=0.5), Group("0.bias", frozen=True)]
    )
    assert repr(sgd) == (
        "SGD(lr=0.1, weight_decay=0.01, max_norm=2.0, "
        "groups=[Group('2.*', lr_factor=0.5), Group('0.bias', frozen=True)])"
    )
    assert str(sgd.summary(net)).splitlines()[1:] == [
        "parameter  shape   lr factor  weight decay  l1  max norm",
        "0.weight   (5, 4)  1          0.01          -   2",
        "0.bias     (5,)    frozen     -             -   -",
        "2.weight   (3, 5)  0.5        0.01          -   2",
        "2.bias     (3,)    0.5        -             -   -",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight_decay": -1.0}, r"^SGD: weight_decay is -1.0, expected at least 0$"),
        ({"l1": float("nan")}, r"^SGD: l1 is nan, expected at least 0$"),
        ({"clip_value": 0.0}, r"^SGD: clip_value is 0.0, expected more than 0$"),
        ({"clip_norm": -1.0}, r"^SGD: clip_norm is -1.0, expected more than 0$"),
        ({"max_norm": 0}, r"^SGD: max_norm is 0, expected more than 0$"),
        ({"ema": 1.0}, r"^SGD: ema is 1.0, expected 0 to below 1$"),
        ({"decay": "biases"}, r"^SGD: decay is 'biases', expected 'weights' or 'all'$"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        SGD(lr=0.1, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr_factor": -1.0}, r"^Group: lr_factor is -1.0, expected at least 0$"),
        ({"weight_decay": -1.0}, r"^Group: weight_decay is -1.0, expected at least 0$"),
        ({"l1": -1.0}, r"^Group: l1 is -1.0, expected at least 0$"),
        ({"max_norm": 0.0}, r"^Group: max_norm is 0.0, expected more than 0$"),
        ({"lr_factor": 1e300}, r"^Group: lr_factor is 1e\+300, expected at most 3.4e\+38, the largest float32$"),
    ],
)
def test_groups_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Group("*", **settings)


def test_groups_that_do_not_fit():
    message = (
        r"^SGD: Group\('\*\.bais', frozen=True\) matches no parameter of the model, expected some of 0\.weight of Lin"
    )
    with pytest.raises(ValueError, match=message):
        SGD(lr=0.1, groups=[Group("*.bais", frozen=True)]).attach(network())
    with pytest.raises(
        ValueError, match=r"^SGD: Group\('\*', max_norm=1\) matches 0\.bias of shape \(5,\), expected rows$"
    ):
        SGD(lr=0.1, groups=[Group(max_norm=1)]).attach(network())
    with pytest.raises(TypeError, match=r"^SGD: groups holds 'bias', expected Groups$"):
        SGD(lr=0.1, groups=["bias"])
    with pytest.raises(ValueError, match=r"^Rprop: it has no lr, which decoupled weight decay needs$"):
        Rprop(weight_decay=0.1, decoupled_weight_decay=True).attach(network())


def test_the_last_group_that_says_it_decides():
    net = network()
    sgd = SGD(lr=0.1, groups=[Group("*", lr_factor=0.5), Group(module="Linear", lr_factor=0.25), Group("0.*", l1=1.0)])
    assert {row.split()[3] for row in str(sgd.summary(net)).splitlines()[2:]} >= {"0.25"}
