"""Randomness in training: its distribution, who decides it, how it is resumed, and that checks see through it."""

import numpy as np
import pytest
from bprop.modules import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Linear,
    MeanSquaredError,
    Noise,
    RReLU,
    Sequential,
    check_gradients,
    manual_seed,
    new_key,
)
from bprop.modules.kernels.philox import uniform
from bprop.trainers import SGD, Trainer, compile_step

X = np.random.default_rng(0).standard_normal((100, 200))
UNITS = [Dropout, AlphaDropout, GaussianDropout, GaussianNoise, RReLU]
units = pytest.mark.parametrize("unit", UNITS)


def net(seed=1):
    manual_seed(seed)
    return Sequential(Dropout(0.2), Linear(4, 8), GaussianNoise(0.3), Linear(8, 8), Sequential(Dropout()), Linear(8, 1))


def batches(count, seed=3):
    random = np.random.default_rng(seed)
    return [(random.standard_normal((8, 4)), random.standard_normal((8, 1))) for _ in range(count)]


# -- distributions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_right_share_and_the_mean(p):
    dropout = Dropout(p)
    y = np.stack([dropout.fprop(np.ones((100, 200))) for _ in range(5)])
    mask = y != 0
    assert abs(mask.mean() - (1 - p)) < 4 * np.sqrt(p * (1 - p) / y.size)
    np.testing.assert_allclose(y[mask], 1 / (1 - p), rtol=1e-6)
    for axis in (0, 1, 2):  # steps, samples and features are independent
        a, b = (np.take(mask, range(k, mask.shape[axis] - 1 + k), axis).ravel() for k in (0, 1))
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(a.size)


def test_gaussian_noise_has_its_deviation():
    noise = GaussianNoise(0.5).fprop(X) - X
    assert abs(noise.mean()) < 4 * 0.5 / np.sqrt(X.size)
    assert noise.std() == pytest.approx(0.5, rel=0.03)


def test_gaussian_dropout_has_the_variance_of_dropout():
    y = GaussianDropout(0.2).fprop(np.ones((100, 200)))
    assert y.mean() == pytest.approx(1, abs=0.02)
    assert y.var() == pytest.approx(0.25, rel=0.05)


def test_alpha_dropout_keeps_mean_and_variance():
    y = AlphaDropout(0.3).fprop(X)
    assert abs(y.mean() - X.mean()) < 0.03
    assert y.var() == pytest.approx(X.var(), rel=0.05)


def test_rrelu_draws_slopes_between_its_bounds():
    slopes = RReLU(0.1, 0.5).fprop(-np.ones((100, 200))) * -1
    assert slopes.min() == pytest.approx(0.1, abs=1e-3)
    assert slopes.max() == pytest.approx(0.5, abs=1e-3)
    assert slopes.mean() == pytest.approx(0.3, abs=4 * 0.4 / np.sqrt(12 * slopes.size))


# -- settings ----------------------------------------------------------------------------------------------------


@units
def test_evaluation_is_exact_and_counts_nothing(unit):
    module = unit().eval()
    expected = np.where(X > 0, X, X * (1 / 8 + 1 / 3) / 2) if unit is RReLU else X
    np.testing.assert_allclose(module.fprop(X), expected.astype(np.float32), 1e-6 if unit is RReLU else 0)
    assert module.step == 0


@pytest.mark.parametrize("unit", [Dropout, AlphaDropout, GaussianDropout])
def test_leaving_nothing_out_changes_nothing(unit):
    module = unit(0)
    x = X.astype(np.float32)
    np.testing.assert_array_equal(module.fprop(x), x)
    np.testing.assert_array_equal(module.bprop(x), x)


@pytest.mark.parametrize("unit", [Dropout, AlphaDropout])
def test_leaving_everything_out_gives_zeros(unit):
    module = unit(p=1)
    for _ in range(2):
        np.testing.assert_array_equal(module.fprop(X), np.zeros_like(X))
        np.testing.assert_array_equal(module.bprop(X), np.zeros_like(X))


def test_what_is_left_out_may_be_infinite():
    dropout = Dropout()
    y = dropout.fprop(np.full((4, 50), np.inf))
    assert set(np.unique(y)) == {0, np.inf}
    grad_x = dropout.bprop(np.full((4, 50), np.nan))
    np.testing.assert_array_equal(np.isnan(grad_x), y == np.inf)


@units
def test_nan_stays_nan(unit):
    assert np.isnan(unit().eval().fprop([[np.nan, 1.0]])[0, 0])
    if unit is not Dropout and unit is not AlphaDropout:
        assert np.isnan(unit().fprop([[np.nan, 1.0]])[0, 0])


@pytest.mark.jit
def test_p_changes_between_steps_without_compiling():
    dropout = Dropout(0.5)
    dropout.fprop(X)
    version, plans = dropout._version, dict(dropout._plans)
    for p in (0.1, 0.9, 0, 1):
        dropout.p = p
        assert abs((dropout.fprop(X) == 0).mean() - p) < 0.02
    assert (dropout._version, dropout._plans) == (version, plans)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dropout(1.5), "^Dropout: p is 1.5, expected 0 to 1$"),
        (lambda: Dropout(float("nan")), "^Dropout: p is nan, expected 0 to 1$"),
        (lambda: AlphaDropout(-0.1), "^AlphaDropout: p is -0.1, expected 0 to 1$"),
        (lambda: GaussianDropout(1), "^GaussianDropout: p is 1.0, expected 0 to 0.999$"),
        (lambda: GaussianNoise(-1), "^GaussianNoise: std is -1.0, expected 0 to inf$"),
        (lambda: RReLU(0.5, 0.1), r"^RReLU: lower is 0\.5 and upper 0\.1, expected lower <= upper$"),
        (lambda: setattr(Dropout(), "p", 2), "^Dropout: p is 2, expected 0 to 1$"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_settings_are_shown():
    shown = [repr(unit()) for unit in UNITS]
    assert shown[:3] == ["Dropout(p=0.5)", "AlphaDropout(p=0.5)", "GaussianDropout(p=0.5)"]
    assert shown[3:] == ["GaussianNoise(std=0.1)", "RReLU(lower=0.125, upper=0.3333)"]


# -- seeds and counters ------------------------------------------------------------------------------------------


@units
def test_each_step_and_each_module_draws_anew_and_a_seed_repeats_it(unit):
    manual_seed(5)
    first, second = unit(), unit()
    ys = [first.fprop(X), first.fprop(X), second.fprop(X)]
    assert not any(np.array_equal(ys[a], ys[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    manual_seed(5)
    np.testing.assert_array_equal(unit().fprop(X), ys[0])


def test_a_copy_draws_the_same_until_it_gets_a_key():
    dropout = Dropout()
    copy = dropout.copy()
    y = dropout.fprop(X)
    np.testing.assert_array_equal(copy.fprop(X), y)
    copy.key = new_key()
    copy.step = 0
    assert not np.array_equal(copy.fprop(X), y)


def test_counters_name_the_place_in_the_net():
    model = net()
    assert list(model.counters()) == ["0.key", "0.step", "2.key", "2.step", "4.0.key", "4.0.step"]
    step = compile_step(model, MeanSquaredError(), SGD(lr=0.1))
    for x, target in batches(3):
        step(x, target)
    model.eval().fprop(batches(1)[0][0])
    assert [model.counters()[f"{place}.step"] for place in ("0", "2", "4.0")] == [3, 3, 3]
    assert model[0].step == 3


def test_a_resumed_training_is_the_same():
    whole = net()
    step = compile_step(whole, MeanSquaredError(), SGD(lr=0.1))
    for x, target in batches(3):
        step(x, target)
    weights, counters = whole.state_dict(), whole.counters()
    values = [step(x, target) for x, target in batches(3, 4)]

    resumed = net(seed=77)
    resumed.load_state_dict(weights)
    resumed.load_counters(counters)
    step = compile_step(resumed, MeanSquaredError(), SGD(lr=0.1))
    assert [step(x, target) for x, target in batches(3, 4)] == values
    resumed.load_state_dict(weights)
    resumed.load_counters(counters)  # the step is compiled by now
    assert [step(x, target) for x, target in batches(3, 4)] == values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda counters: counters.pop("2.key"), "cannot load the counters: missing 2.key$"),
        (lambda counters: counters.update({"9.step": 1}), "cannot load the counters: unexpected 9.step$"),
    ],
)
def test_counters_of_another_net_are_refused(change, message):
    model = net()
    counters = model.counters()
    change(counters)
    with pytest.raises(ValueError, match=message):
        model.load_counters(counters)


def test_a_training_is_a_function_of_its_seed():
    results = []
    for _ in range(2):
        model = net()
        x, target = np.concatenate([x for x, _ in batches(5)]), np.concatenate([t for _, t in batches(5)])
        Trainer(model, MeanSquaredError(), SGD(lr=0.1), quiet=True).fit((x, target), epochs=2, batch_size=7)
        results.append(model.flat_parameters.copy())
    np.testing.assert_array_equal(*results)
    assert model[0].step == 2 * 6


# -- gradient checks ---------------------------------------------------------------------------------------------


def test_gradients_of_a_net_with_noise():
    check_gradients(net(), batches(1)[0][0]).raise_if_wrong()


class DrawnAnew(Dropout):
    """Its bprop draws another mask."""

    def bprop(self, grad_y):
        fresh = self.fprop(np.ones_like(grad_y))
        return grad_y * fresh


def test_a_mask_drawn_anew_in_bprop_is_caught():
    report = check_gradients(DrawnAnew(0.5), X[:4, :5])
    assert not report.ok
    assert [entry.name for entry in report.entries if not entry.ok] == ["x"]


class Jitter(Noise):
    """A user's random module: y = x (1 + u), one number a sample."""

    def fprop(self, x):
        scale = np.empty(x.shape[0], x.dtype)
        uniform(self.key, self.step, scale)
        self.scale = 1 + scale
        self.step += 1
        return x * self.scale.reshape((x.shape[0], 1))

    def bprop(self, grad_y):
        return grad_y * self.scale.reshape((grad_y.shape[0], 1))


def test_a_random_module_of_ones_own():
    module = Jitter()
    check_gradients(module, X[:4, :5]).raise_if_wrong()
    assert module.counters()["step"] == 0
    ratio = module.fprop(X) / X
    assert ((ratio > 0.999) & (ratio < 2.001)).all()
