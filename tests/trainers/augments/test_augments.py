"""Augmentation: each kind against a slow twin, and in trainings: by seed, off in evaluation, the same when resumed."""

import json
import re

import numpy as np
import pytest
import scipy.ndimage
from bprop.datasets import ArrayDataset
from bprop.modules import Flatten, Linear, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed
from bprop.modules.kernels.philox import uniform
from bprop.trainers import (
    LBFGS,
    SGD,
    Affine,
    Augment,
    Augmentation,
    Callback,
    Checkpoint,
    Cutout,
    Elastic,
    Flip,
    NanGuard,
    Shift,
    TimeBudget,
    Trainer,
    TrainingError,
)
from bprop.trainers.augments.augment import EPOCH
from bprop.trainers.cli import main
from bprop.trainers.configs import ConfigError, load_config, parse_config
from bprop.trainers.files.checkpoints import read_checkpoint
from bprop.trainers.runs.inference import evaluate_run
from bprop.trainers.runs.run_folder import train_config
from bprop.trainers.tools.profile import profile_config
from bprop.trainers.training import minibatches
from bprop.trainers.training.minibatches import Epoch
from numba.core.runtime import _nrt_python, rtsys

SHAPE = (3, 9, 8)


def shifted(augment, x, u):
    """The image in a frame, and a window of it."""
    p = augment.pixels
    framed = np.pad(x, ((0, 0), (p, p), (p, p)), constant_values=augment.fill)
    top, left = (int(number * (2 * p + 1)) for number in u)
    return framed[:, top : top + x.shape[1], left : left + x.shape[2]]


def flipped(augment, x, u):
    return x[:, :, ::-1] if u[0] < augment.p else x


def covered(augment, x, u):
    y, k = x.copy(), augment.size
    top, left = (int(number * size) - k // 2 for number, size in zip(u, x.shape[1:], strict=True))
    y[:, max(0, top) : max(0, top + k), max(0, left) : max(0, left + k)] = augment.fill
    return y


def turned(augment, x, u):
    """By matrices, on an image with a wide frame, in which SciPy interpolates."""
    angle, shear = np.deg2rad((2 * u[:2] - 1) * [augment.degrees, augment.shear])
    s = augment.least + (augment.largest - augment.least) * u[2]
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # of (row, column)
    back = np.linalg.inv(s * rotation @ np.array([[1, 0], [np.tan(shear), 1]]))
    middle, sizes = (np.array(x.shape[1:]) - 1) / 2, np.array(x.shape[1:])
    shift = (2 * u[3:] - 1) * augment.translate * sizes
    offset = middle - back @ (middle + shift)
    settings = {"order": 1, "mode": "grid-constant", "cval": augment.fill}
    return np.stack([scipy.ndimage.affine_transform(plane, back, offset, **settings) for plane in x])


def bent(augment, x, u):
    fields = 2 * u.reshape(2, *x.shape[1:]).astype(np.float64) - 1
    moves = [augment.alpha * scipy.ndimage.gaussian_filter(f, augment.sigma, mode="constant") for f in fields]
    places = [grid + move for grid, move in zip(np.indices(x.shape[1:]), moves, strict=True)]
    settings = {"order": 1, "mode": "grid-constant", "cval": augment.fill}
    return np.stack([scipy.ndimage.map_coordinates(plane, places, **settings) for plane in x])


TWINS = [
    (Shift(1), 2, shifted),
    (Shift(3, fill=0.5), 2, shifted),
    (Flip(), 1, flipped),
    (Flip(0.2), 1, flipped),
    (Cutout(4), 2, covered),
    (Cutout(5, fill=0.5), 2, covered),
    (Affine(degrees=30), 5, turned),
    (Affine(degrees=180, translate=0.2, scale=(0.7, 1.2), shear=20, fill=0.5), 5, turned),
    (Elastic(alpha=8, sigma=2), lambda shape: 2 * shape[1] * shape[2], bent),
    (Elastic(alpha=34, sigma=4, fill=0.5), lambda shape: 2 * shape[1] * shape[2], bent),
]


USUAL = (Shift(1), Flip())
ALL = (*USUAL, Cutout(2), Affine(degrees=20, shear=5), Elastic(alpha=3, sigma=1))


def pictures(n=40, shape=SHAPE):
    return np.random.default_rng(0).random((n, *shape))


def drawn(augment, place, count):
    """The random numbers of the image at a place."""
    u = np.empty(count)
    uniform(augment.key, augment.epoch * EPOCH + place, u)
    return u


@pytest.mark.parametrize(("augment", "count", "twin"), TWINS, ids=lambda value: getattr(value, "label", str)())
def test_each_kind_is_its_twin(augment, count, twin):
    for shape in (SHAPE, (1, 5, 12)):
        x = pictures(shape=shape)
        both = Augmentation([augment, augment], seed=5)
        both.begin(3, x.dtype)
        expected = x
        for copy in both.augments:
            numbers = count(shape) if callable(count) else count
            expected = np.stack([twin(copy, p, drawn(copy, 7 + n, numbers)) for n, p in enumerate(expected)])
        actual = both(x, 7)
        np.testing.assert_allclose(actual, expected, atol=1e-12)
        assert not np.allclose(actual, x)


def test_float32_is_float64():
    results = []
    for dtype in ("float32", "float64"):
        augmentation = Augmentation(ALL)
        augmentation.begin(1, np.dtype(dtype))
        results.append(augmentation(pictures(shape=(3, 6, 6))))
        assert results[-1].dtype == dtype
    np.testing.assert_allclose(*results, atol=1e-5)


def test_numbers_are_of_seed_epoch_place_and_kind():
    x = np.repeat(pictures(1, (1, 20, 20)), 30, axis=0)
    made = {}
    for seed, epoch, place in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 30)):
        augmentation = Augmentation([Shift(8)], seed)
        augmentation.begin(epoch, np.dtype("float64"))
        made[seed, epoch, place] = augmentation(x, place)
    assert len({array.tobytes() for array in made.values()}) == 4
    pair = Augmentation([Shift(8), Shift(8)])
    assert pair.augments[0].key != pair.augments[1].key
    again = Augmentation([Shift(8)], 0)
    again.begin(0, np.dtype("float64"))
    cut = np.concatenate([again(x[:7], 0), again(x[7:], 7)])
    assert np.array_equal(cut, made[0, 0, 0])
    assert len({image.tobytes() for image in cut}) > 20, "each image has its own random numbers"


def test_all_shifts_are_as_likely():
    shift = Augmentation([Shift(2)])
    shift.begin(0, np.dtype("float32"))
    x = np.zeros((2500, 1, 9, 9), np.float32)
    x[:, 0, 4, 4] = 1
    places = np.argwhere(shift(x)[:, 0])[:, 1:] - 2
    counts = np.bincount(places @ [5, 1], minlength=25)
    assert counts.sum() == 2500
    assert counts.min() > 60
    assert counts.max() < 140


# -- trainings ---------------------------------------------------------------------------------------------------------


class Watching(Callback):
    """Has every minibatch in a compiled call of its own."""

    def on_batch_end(self, trainer, row):
        pass


def data(dtype="uint8", channels=1):
    random = np.random.default_rng(1)
    x, y = random.integers(0, 256, (60, channels, 6, 6), np.uint8), random.integers(0, 3, 60)
    return ArrayDataset(x, y, scale=1 / 255) if dtype == "uint8" else ArrayDataset((x / 255).astype(dtype), y)


def trainer(*callbacks, augment=USUAL, channels=1, seed=0, optimizer=None):
    manual_seed(0)
    net = Sequential(Flatten(), Linear(36 * channels, 8), Tanh(), Linear(8, 3))
    optimizer = optimizer or SGD(lr=0.1, momentum=0.9)
    settings = {"callbacks": callbacks, "augment": augment, "seed": seed, "quiet": True}
    return Trainer(net, SoftmaxCrossEntropy(), optimizer, **settings)


def trained(made, dataset=None, **settings):
    made.fit(dataset or data(), **{"epochs": 3, "batch_size": 16, "threads": 1, **settings})
    return made.model.flat_parameters.copy()


def test_a_training_sees_changed_pictures_and_an_evaluation_does_not():
    plain, changed = trainer(augment=()), trainer()
    assert not np.array_equal(trained(plain), trained(changed))
    changed.model.load_state_dict(plain.model.state_dict())
    assert changed.evaluate(data()) == plain.evaluate(data())
    assert np.array_equal(changed.predict(data()), plain.predict(data()))


def test_a_training_by_hand_on_the_same_pictures():
    made, dataset, net = trainer(), data(), trainer().model
    augmentation, loss, sgd = Augmentation([Shift(1), Flip()], 0), SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9)
    for epoch in range(2):
        augmentation.begin(epoch)
        for first in range(0, 60, 16):
            x, y = dataset[slice(first, first + 16)]
            net.zero_grad()
            loss.fprop(net.fprop(augmentation(x, first)), y)
            net.bprop(loss.bprop())
            sgd.update(net)
    actual = trained(made, dataset, epochs=2, shuffle=False)
    np.testing.assert_allclose(actual, net.flat_parameters, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_and_floats_in_grey_and_in_colours(channels):
    weights = [trained(trainer(channels=channels), data(dtype, channels)) for dtype in ("uint8", "float32")]
    np.testing.assert_allclose(*weights, rtol=1e-4, atol=1e-5)
    assert np.isfinite(weights).all()


def test_bits_depend_on_the_seed_alone():
    expected = trained(trainer())
    assert np.array_equal(trained(trainer()), expected)
    assert np.array_equal(trained(trainer(Watching())), expected), "cut into minibatches"
    assert np.array_equal(trained(trainer(), threads=2), expected)
    plain, other = (trained(trainer(seed=seed), shuffle=False) for seed in (0, 1))
    assert not np.array_equal(plain, other)


def test_a_resumed_training_has_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(minibatches, "CHUNK_SECONDS", 0.0)
    expected = trained(trainer())
    made, sessions = trainer(TimeBudget(1e-9), Checkpoint(str(tmp_path))), 1
    actual = trained(made)
    while made.stopped is not None:
        made = trainer(TimeBudget(1e-9), Checkpoint(str(tmp_path)))
        made.load(tmp_path)
        actual, sessions = trained(made), sessions + 1
    assert sessions == 12, "it stopped after each minibatch"
    assert np.array_equal(actual, expected)
    other = trainer(TimeBudget(1e-9), Checkpoint(str(tmp_path)), augment=[Shift(2), Flip()])
    with pytest.raises(
        ValueError, match=r"^the checkpoint has the augment \['Shift\(pixels=1\)', 'Flip\(p=0.5\)'\], this"
    ):
        other.load(tmp_path)


@pytest.mark.jit
def test_more_minibatches_allocate_no_more():
    made, dataset = trainer(augment=ALL), data()
    made.augmentation.begin(0, np.dtype("float32"))
    steps = Epoch(dataset, np.tile(np.arange(60), 20), 20, np.empty((0, 3), np.float32)).prepare(made.compiled_step)
    steps(0, 20, 0.0)
    counts = []
    _nrt_python.memsys_enable_stats()
    try:
        for last in (40, 1200):
            before = rtsys.get_allocation_stats().mi_alloc
            steps(0, last, 0.0)
            counts.append(rtsys.get_allocation_stats().mi_alloc - before)
    finally:
        _nrt_python.memsys_disable_stats()
    assert counts[0] == counts[1]


class InPython(Tanh):
    """Cuts the step into parts, between which it runs as Python."""

    jit = False


@pytest.mark.filterwarnings("ignore:.*jit = False")
def test_a_step_in_parts_sees_the_same_pictures():
    whole, parts = trainer(augment=ALL), trainer(augment=ALL)
    net = Sequential(Flatten(), Linear(36, 8), InPython(), Linear(8, 3))
    net.load_state_dict(parts.model.state_dict())
    parts = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9), augment=ALL, quiet=True)
    np.testing.assert_allclose(trained(parts), trained(whole), rtol=1e-4, atol=1e-5)


def test_a_failed_step_is_saved_as_the_net_saw_it(tmp_path):
    made, dataset = trainer(NanGuard(str(tmp_path)), optimizer=SGD(lr=1e38)), data()
    with pytest.raises(TrainingError):
        trained(made, dataset, shuffle=False)
    state = read_checkpoint(tmp_path)
    first = (state["step"] - 1) * 16
    again = Augmentation(USUAL, 0)
    again.begin(state["epoch"] - 1, np.dtype("float32"))
    assert np.array_equal(state["batch"][0], again(dataset[slice(first, first + 16)][0], first))
    assert state["batch"][0].std() > 0.1


@pytest.mark.jit
def test_a_profile_has_its_time():
    rows = profile_config(parse_config(CONFIG)).rows
    assert [(row.kind, row.name) for row in rows[:2]] == [("augment", "Shift(pixels=1)"), ("augment", "Flip(p=0.5)")]
    assert rows[0].forward > 0
    assert rows[0].backward == 0


def test_one_object_may_stand_in_two_trainings():
    shift = Shift(1)
    weights = [trained(trainer(augment=[shift, shift], seed=seed)) for seed in (0, 1, 0)]
    assert np.array_equal(weights[0], weights[2])
    assert not np.array_equal(weights[0], weights[1])
    assert shift.key == 0


def test_an_optimizer_that_looks_at_all_samples():
    """Within an epoch the images stay as they are, or its line search could not trust its objective."""
    made = trainer(optimizer=LBFGS(max_iter=3))
    assert np.isfinite(trained(made, epochs=2)).all()
    assert made.history[1]["train_loss"] < 1.2


class Negative(Augment):
    """One of one's own, as the docstring of Augment has it."""

    def numbers(self, shape):
        return 1

    def transform(self, x, y, u):
        for i in range(x.size):
            y.flat[i] = 1 - x.flat[i] if u[0] < 0.5 else x.flat[i]


def test_one_of_ones_own():
    x, made = pictures().astype(np.float32), Augmentation([Negative()])
    negative = np.isclose(made(x), 1 - x).all(axis=(1, 2, 3))
    assert 10 < negative.sum() < 30
    assert np.array_equal(made(x)[~negative], x[~negative])
    assert np.isfinite(trained(trainer(augment=[Negative()]))).all()


# -- errors and configs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shift(0), "Shift: pixels is 0, expected a whole number of at least 1"),
        (lambda: Shift(1.5), "Shift: pixels is 1.5, expected a whole number of at least 1"),
        (lambda: Cutout(0), "Cutout: size is 0, expected a whole number of at least 1"),
        (lambda: Affine(degrees=-1), "Affine: degrees is -1, expected 0 to 180"),
        (lambda: Affine(shear=90), "Affine: shear is 90, expected 0 to 89"),
        (lambda: Affine(translate=float("nan")), "Affine: translate is nan, expected 0 to 1"),
        (lambda: Affine(scale=(2, 1)), "Affine: scale is (2, 1), expected two factors above 0, the smaller one first"),
        (lambda: Affine(scale=(0, 1)), "Affine: scale is (0, 1), expected two factors above 0, the smaller one first"),
        (lambda: Elastic(alpha=0), "Elastic: alpha is 0, expected more than 0"),
        (lambda: Elastic(sigma=float("inf")), "Elastic: sigma is inf, expected a finite number"),
        *(
            (lambda make=make: make(fill=np.nan), f"{make.__name__}: fill is nan, expected a finite number")
            for make in (Shift, Cutout, Affine, Elastic)
        ),
        (lambda: Flip(1.5), "Flip: p is 1.5, expected 0 to 1"),
        (lambda: Flip(float("nan")), "Flip: p is nan, expected 0 to 1"),
        (lambda: Augment().numbers((1, 2, 2)), "Augment has no numbers: write `def numbers(self, shape)`"),
        (lambda: Augment().transform(0, 0, 0), "Augment has no transform: write `def transform(self, x, y, u)`"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises((ValueError, NotImplementedError)) as caught:
        make()
    assert str(caught.value) == message


def test_samples_that_are_no_pictures():
    flat = np.zeros((20, 36), np.float32), np.zeros(20, np.int64)
    with pytest.raises(
        ValueError, match=r"^Shift\(pixels=1\): a sample has shape \(36,\), expected an image \(C, H, W\)$"
    ):
        trainer().fit(flat, batch_size=10)
    with pytest.raises(
        ValueError, match=r"^Shift\(pixels=6\): an image has 6 x 6 pixels, expected more than its shift$"
    ):
        trainer(augment=[Shift(6)]).fit(data())
    with pytest.raises(
        TypeError, match=r"^Trainer: augment has the class Flip, expected an Augment; write Flip\(...\)$"
    ):
        trainer(augment=[Flip])


CONFIG = """\
dataset: Digits
augment:
  - Shift: {pixels: 1}
  - Flip
model: [Flatten, Linear: {in_features: 64, out_features: 10}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 1}
"""


def test_in_a_config():
    config = parse_config(CONFIG)
    assert [augment.label() for augment in config.build().augment] == ["Shift(pixels=1)", "Flip(p=0.5)"]
    assert "augment:\n  - Shift: {pixels: 1, fill: 0.0}\n  - Flip: {p: 0.5}\n" in config.resolved()
    assert parse_config(config.resolved()).resolved() == config.resolved()
    assert [a.pixels for a in parse_config(CONFIG, ["augment.0.Shift.pixels=2"]).build().augment[:1]] == [2]


def test_commands_know_it(tmp_path, capsys, monkeypatch):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    assert main(["summary", str(path)]) == 0
    assert capsys.readouterr().out.endswith("\nimages are augmented by Shift(pixels=1), Flip(p=0.5)\n")
    assert main(["summary", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["augment"] == ["Shift(pixels=1)", "Flip(p=0.5)"]
    assert main(["train", str(path), "--dry-run"]) == 0
    assert re.search(r"\naugment +Shift\(pixels=1\), Flip\(p=0.5\)\n", capsys.readouterr().out)
    figures = train_config(load_config(path), run=tmp_path / "run", quiet=True)
    again = evaluate_run(tmp_path / "run")
    assert again["test_loss"] == pytest.approx(figures["test_loss"], rel=1e-6)
    changed = (tmp_path / "run" / "config.yaml").read_text().replace("pixels: 1", "pixels: 2")
    (tmp_path / "run" / "config.yaml").write_text(changed)
    assert main(["resume", str(tmp_path / "run"), "trainer.epochs=2"]) == 2
    assert "is not the config with which the run began: it has been edited" in capsys.readouterr().err


def test_its_picture(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    from bprop.trainers.plots import UnsuitableRun
    from bprop.trainers.plots.augments import draw_augment

    (tmp_path / "c.yaml").write_text(CONFIG)
    config = load_config(tmp_path / "c.yaml", ["augment=[{Flip: {p: 1.0}}]"])
    figure, x = draw_augment(config), config.build().dataset.train[slice(8)][0]
    assert figure.get_suptitle() == "c: Flip(p=1)"
    shown = np.stack([np.asarray(axes.images[0].get_array()) for axes in figure.axes])
    assert shown.shape == (10, 8 * 10 - 2, 8)
    for n in range(8):
        rows = slice(10 * n, 10 * n + 8)
        np.testing.assert_allclose(shown[0, rows], x[n, 0] / x.max())
        np.testing.assert_allclose(shown[1:, rows], np.repeat(shown[:1, rows, ::-1], 9, axis=0))
    monkeypatch.chdir(tmp_path)
    assert main(["plot", "--augment", "c.yaml", "seed=1"]) == 0
    assert capsys.readouterr().out == "c-augment.png\n"
    assert (tmp_path / "c-augment.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(
        UnsuitableRun, match=r"c\.yaml has no augment, expected such as augment: \[Shift: \{pixels: 2\}\]$"
    ):
        draw_augment(load_config(tmp_path / "c.yaml", ["augment=[]"]))
    with pytest.raises(SystemExit):
        main(["plot", "--augment", "c.yaml", "curves"])
    assert "--augment takes a config and overrides of it alone, not curves" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Flip", "Flap", "c.yaml:4:5: augment.1: unknown class 'Flap', expected Augment; did you mean 'Flip'?"),
        ("Flip", "Augmentation", "c.yaml:4:5: augment.1: Augmentation is no Augment; known: Affine, Cutout, Elastic, "),
        ("Flip", "Tanh", "c.yaml:4:5: augment.1: Tanh is no Augment; known: "),
        ("pixels: 1", "pixel: 1", "c.yaml:3:13: augment.0.Shift.pixel: unknown argument; did you mean 'pixels'?"),
        ("pixels: 1", "pixels: 0", "c.yaml:3:5: augment.0.Shift: Shift: pixels is 0, expected a whole"),
        ("pixels: 1", "pixels: 8", "c.yaml:3:5: augment.0.Shift: Shift(pixels=8): an image has 8 x 8 pixels"),
    ],
)
def test_mistakes_in_a_config(old, new, message):
    with pytest.raises(ConfigError) as caught:
        parse_config(CONFIG.replace(old, new), source="c.yaml").build()
    assert str(caught.value).startswith(message)
