"""Running statistics as PyTorch keeps them, settings and hard numbers of the normalising layers."""

import numpy as np
import pytest
from bprop.modules import (
    BatchNorm1d,
    BatchNorm2d,
    LayerNorm,
    Linear,
    MeanSquaredError,
    RMSNorm,
    Sequential,
    Standardize,
)
from bprop.trainers import SGD, Callback, EarlyStopping, Trainer, TrainingError, compile_step

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.mark.parametrize("momentum", [0.1, None, 1.0])
@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4), (5, 3, 2, 4)])
def test_running_statistics_are_pytorchs(random, shape, momentum):
    ours, theirs = (BatchNorm2d, nn.BatchNorm2d) if len(shape) == 4 else (BatchNorm1d, nn.BatchNorm1d)
    module, other = ours(3, momentum=momentum), theirs(3, momentum=momentum)
    for count in range(1, 5):
        x = (random.standard_normal(shape) * 3 + 2).astype(np.float32)
        np.testing.assert_allclose(module.fprop(x), other(torch.tensor(x)).detach(), 1e-5, 1e-5)
        np.testing.assert_allclose(module.running_mean, other.running_mean, 1e-5, 1e-6)
        np.testing.assert_allclose(module.running_var, other.running_var, 1e-5)
        assert module.num_batches_tracked == count == other.num_batches_tracked
    state = module.state_dict()
    assert list(state) == list(other.state_dict())
    module.eval(), other.eval()
    np.testing.assert_allclose(module.fprop(x), other(torch.tensor(x)).detach(), 1e-5, 1e-5)
    for name, array in module.state_dict().items():
        np.testing.assert_array_equal(array, state[name], f"evaluation moves {name}")


def test_a_training_step_is_pytorchs(random):
    net = Sequential(Linear(4, 6), BatchNorm1d(6), Linear(6, 2))
    other = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    other.load_state_dict({name: torch.tensor(array) for name, array in net.state_dict().items()})
    step = compile_step(net, MeanSquaredError(), SGD(lr=0.1))
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    for _ in range(5):
        x, target = random.standard_normal((8, 4)), random.standard_normal((8, 2))
        value = step(x, target)
        loss = nn.MSELoss()(other(torch.tensor(x, dtype=torch.float32)), torch.tensor(target, dtype=torch.float32))
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        assert value == pytest.approx(loss.item(), rel=1e-4)
    for name, array in net.state_dict().items():
        np.testing.assert_allclose(array, other.state_dict()[name], 1e-3, 1e-5, err_msg=name)


def test_a_training_that_diverges_gives_back_finite_statistics(random):
    net = Sequential(Linear(4, 3), BatchNorm1d(3), Linear(3, 3), BatchNorm1d(3, affine=False), Linear(3, 1))
    trainer = Trainer(net, MeanSquaredError(), SGD(lr=1e12), quiet=True)
    data = random.standard_normal((32, 4)), random.standard_normal((32, 1))
    with pytest.raises(TrainingError, match=r"not finite|is nan|is inf"), np.errstate(all="ignore"):
        trainer.fit(data, epochs=20, batch_size=8)
    assert all(np.isfinite(array).all() for array in net.state_dict().values())


def test_the_best_epoch_comes_back_with_its_statistics(random):
    net = Sequential(BatchNorm1d(4), Linear(4, 1))
    x, target = random.standard_normal((2, 32, 4))
    saved = []

    class Keep(Callback):
        def on_epoch_end(self, trainer, row):
            saved.append(trainer.model.state_dict())

    stopping = EarlyStopping(monitor="train_loss", patience=3, min_delta=1e9)  # so that the first epoch stays the best
    callbacks = [Keep(), stopping]
    trainer = Trainer(net, MeanSquaredError(), SGD(lr=0.1), callbacks=callbacks, quiet=True)
    trainer.fit((x, target[:, :1]), epochs=3, batch_size=8)
    assert not np.array_equal(saved[0]["0.running_mean"], saved[-1]["0.running_mean"])
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, saved[0][name], err_msg=name)


@pytest.mark.parametrize("make", [lambda: BatchNorm1d(3), lambda: BatchNorm1d(3, track_running_stats=False).eval()])
def test_one_value_a_channel_has_no_variance(make):
    module = make()
    with pytest.raises(ValueError, match=r"BatchNorm: one value a channel, expected more in training"):
        module.fprop(np.ones((1, 3)))
    assert module.fprop(np.ones((2, 3))).shape == (2, 3)
    assert module.fprop(np.ones((1, 3, 2))).shape == (1, 3, 2)
    assert BatchNorm1d(3).eval().fprop(np.ones((1, 3))).shape == (1, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchNorm1d(0), "^BatchNorm1d: num_features is 0, expected at least 1$"),
        (lambda: BatchNorm2d(0), "^BatchNorm2d: num_features is 0, expected at least 1$"),
        (lambda: BatchNorm1d(3, eps=-1), "^BatchNorm1d: eps is -1, expected at least 0$"),
        (lambda: BatchNorm1d(3, momentum=2), "^BatchNorm1d: momentum is 2, expected 0 to 1 or None$"),
        (lambda: Standardize([], []), "^Standardize: mean has 0 numbers and std 0, expected as many, at least 1$"),
        (
            lambda: Standardize([0.0], [1.0, 1]),
            "^Standardize: mean has 1 numbers and std 2, expected as many, at least 1$",
        ),
        (lambda: Standardize([0.0], [0.0]), r"^Standardize: std is \[0.0\], expected finite numbers above 0$"),
        (lambda: Standardize([np.inf], [1.0]), r"^Standardize: mean is \[inf\], expected finite numbers$"),
        (lambda: LayerNorm(0), "^LayerNorm: normalized_shape is 0, expected sizes of at least 1$"),
        (lambda: RMSNorm([]), r"^RMSNorm: normalized_shape is \[\], expected sizes of at least 1$"),
        (lambda: RMSNorm(3, eps=-0.1), "^RMSNorm: eps is -0.1, expected at least 0$"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [lambda: BatchNorm1d(64, affine=False), lambda: LayerNorm(64)])
def test_a_mean_far_from_zero_costs_no_digits(random, make):
    x = (1e4 + random.standard_normal((64, 64))).astype(np.float32)
    actual = make().fprop(x)
    expected = make().to("float64").fprop(x.astype(np.float64))
    np.testing.assert_allclose(actual, expected, 0, 6e-4)  # half a unit in the last place of the mean is 5e-4


@pytest.mark.parametrize("make", [lambda: BatchNorm1d(3), lambda: LayerNorm(3), lambda: RMSNorm(3)])
def test_constant_inputs_stay_finite(make):
    for value in (0.0, 5.0, -1e10):
        module = make()
        assert np.isfinite(module.fprop(np.full((4, 3), value))).all()
        assert np.isfinite(module.bprop(np.ones((4, 3)))).all()


@pytest.mark.parametrize("make", [lambda: LayerNorm(3), lambda: RMSNorm(3)])
def test_nan_stays_in_its_sample(make):
    y = make().fprop([[np.nan, 1, 2], [0, 1, 2]])
    assert np.isnan(y[0]).all()
    assert np.isfinite(y[1]).all()
