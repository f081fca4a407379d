"""Losses of sequences next to PyTorch: cross-entropy of each token, and CTC."""

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import CTC, Linear, MultiLabelSoftMargin, Sequential, SoftmaxCrossEntropy, num_threads
from bprop.trainers import SGD, Adam, Trainer, compile_step

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.standard_normal((4, 6, 5))
LABELS = RANDOM.integers(0, 5, (4, 6))
LABELS[0, 3:] = -100
LABELS[2] = -100
WEIGHTS = [0.5, 2.0, 1.0, 0.0, 3.0]


def in_torch(make, y, *arguments):
    torch = pytest.importorskip("torch")
    there = torch.tensor(y, requires_grad=True)
    value = make(torch, there, *map(torch.tensor, arguments))
    value.backward()
    return value.item(), there.grad.numpy()


@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"class_weights": WEIGHTS}, {"label_smoothing": 0.1}, {"class_weights": WEIGHTS, "label_smoothing": 0.2}],
)
def test_cross_entropy_of_each_token_like_pytorch(settings, reduction, axis):
    def of_torch(torch, y, labels):
        weight = torch.tensor(WEIGHTS, dtype=torch.float64) if "class_weights" in settings else None
        smoothing = settings.get("label_smoothing", 0.0)
        loss = torch.nn.CrossEntropyLoss(weight, ignore_index=-100, reduction=reduction, label_smoothing=smoothing)
        return loss(y.movedim(-1, 1) if axis is None else y, labels)

    y = SCORES if axis is None else np.ascontiguousarray(np.moveaxis(SCORES, -1, 1))
    loss = SoftmaxCrossEntropy(ignore_index=-100, reduction=reduction, class_axis=axis, **settings).to("float64")
    value, grad_y = in_torch(of_torch, y, LABELS)
    assert loss.fprop(y, LABELS) == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(loss.bprop(), grad_y, rtol=0, atol=1e-10)


def test_weights_of_samples_count_for_each_of_their_tokens():
    weights = np.array([1.0, 3.0, 5.0, 0.0])
    loss = SoftmaxCrossEntropy(ignore_index=-100).to("float64")
    counts = weights[:, None] * (LABELS != -100)
    log_p = SCORES - np.log(np.exp(SCORES).sum(axis=-1, keepdims=True))
    costs = -np.take_along_axis(log_p, np.maximum(LABELS, 0)[..., None], axis=-1)[..., 0]
    assert loss.fprop(SCORES, LABELS, weights) == pytest.approx((counts * costs).sum() / counts.sum(), rel=1e-12)


def test_labels_of_pixels_like_pytorch():
    y, labels = RANDOM.standard_normal((2, 3, 4, 5)), RANDOM.integers(0, 3, (2, 4, 5))
    value, grad_y = in_torch(lambda torch, y, t: torch.nn.CrossEntropyLoss()(y, t), y, labels)
    loss = SoftmaxCrossEntropy(class_axis=1).to("float64")
    assert loss.fprop(y, labels) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(loss.bprop(), grad_y, rtol=0, atol=1e-12)


# -- CTC ---------------------------------------------------------------------------------------------------------------


def ctc_of_torch(lengths=None, **settings):
    def value(torch, y, target):
        steps = torch.full((len(y),), y.shape[1]) if lengths is None else torch.tensor(lengths)
        labels = target.clamp(min=0)
        return torch.nn.CTCLoss(**settings)(y.log_softmax(-1).transpose(0, 1), labels, steps, (target >= 0).sum(1))

    return value


Y = RANDOM.standard_normal((5, 9, 5))
TARGET = np.array([[1, 2, 2, 4], [3, -1, -1, -1], [1, 1, 1, -1], [-1, -1, -1, -1], [4, 3, 2, 1]])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("blank", [0, 4])
@pytest.mark.parametrize("lengths", [None, [9, 7, 5, 1, 4]])
def test_ctc_like_pytorch(lengths, blank, reduction, dtype, tolerance):
    target = np.where(TARGET >= 0, (TARGET - (blank == 4)), -1)  # labels 0 to 3 where the blank is the last
    y = Y.astype(dtype)
    value, grad_y = in_torch(ctc_of_torch(lengths, blank=blank, reduction=reduction), y, target)
    loss = CTC(blank, reduction=reduction, input_lengths=lengths is not None).to(dtype)
    mine = target if lengths is None else np.column_stack([lengths, target])
    assert loss.fprop(y, mine) == pytest.approx(value, rel=tolerance)
    np.testing.assert_allclose(loss.bprop(), grad_y, rtol=0, atol=tolerance)


def test_ctc_of_long_sequences_keeps_its_digits():
    y, target = 3 * RANDOM.standard_normal((2, 1000, 30)), RANDOM.integers(1, 30, (2, 200))
    value, grad_y = in_torch(ctc_of_torch(), y, target)
    loss = CTC()
    assert loss.fprop(y, target) == pytest.approx(value, rel=1e-6)
    _, single = in_torch(ctc_of_torch(), y.astype(np.float32), target)
    assert np.abs(loss.bprop() - grad_y).max() < np.abs(single - grad_y).max() / 10
    assert loss.to("float64").fprop(y, target) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(loss.bprop(), grad_y, rtol=0, atol=1e-12)


def test_a_target_with_more_labels_than_steps():
    lengths = [4, 9, 5, 9, 3]  # the first needs 5 steps, and the last 4
    target = np.column_stack([lengths, TARGET])
    settings = {"zero_infinity": True}
    value, grad_y = in_torch(ctc_of_torch(lengths, **settings), Y, TARGET)
    loss = CTC(input_lengths=True, **settings).to("float64")
    assert loss.fprop(Y, target) == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(mine := loss.bprop(), grad_y, rtol=0, atol=1e-10)
    assert not mine[0].any()
    loss = CTC(input_lengths=True).to("float64")
    assert loss.fprop(Y, target) == np.inf
    assert np.isfinite(loss.bprop()).all()
    with pytest.raises(ValueError, match=r"the target in row 0 needs 5 steps, y has 4; zero_infinity=True leaves such"):
        loss.check_targets(target, Y.shape)


def test_weights_of_samples_in_ctc():
    loss, weights = CTC().to("float64"), np.array([1.0, 0, 2, 1, 3])
    each = [loss.fprop(Y[n : n + 1], TARGET[n : n + 1]) for n in range(5)]
    assert loss.fprop(Y, TARGET, weights) == pytest.approx(np.average(each, weights=weights), rel=1e-12)
    assert not loss.bprop()[1].any()


@pytest.mark.compiled
def test_ctc_gives_the_same_bits_for_any_number_of_threads():
    y, target = RANDOM.standard_normal((40, 60, 20)), RANDOM.integers(1, 20, (40, 20))
    loss, results = CTC(), []
    for threads in (1, 2, 3):
        with num_threads(threads):
            results.append((loss.fprop(y, target), loss.bprop().copy()))
    assert results[0][0] == results[1][0] == results[2][0]
    assert all(np.array_equal(grad_y, results[0][1]) for _, grad_y in results)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blank": -1}, r"^CTC: blank is -1, expected a class, 0 or more$"),
        ({"blank": 1.5}, r"^CTC: blank is 1\.5, expected a whole number or None$"),
        ({"ignore_index": 0}, r"^CTC: ignore_index is 0, expected a whole number other than the blank$"),
    ],
)
def test_settings_of_ctc(settings, message):
    with pytest.raises(ValueError, match=message):
        CTC(**settings)


@pytest.mark.parametrize(
    ("make", "y", "target", "message"),
    [
        (lambda: CTC(5), Y, TARGET, r"^CTC\(blank=5\): y has 5 scores, expected more than 5, the blank$"),
        (
            CTC,
            Y[0],
            TARGET,
            r"^CTC\(\): y has shape \(9, 5\) and target \(5, 4\), expected y \(N, T, K\) and target \(N, S",
        ),
        (
            lambda: CTC(input_lengths=True),
            Y,
            TARGET[:, :1],
            r"target has shape \([15], 1\), expected a column of labels at",
        ),
        (CTC, Y, TARGET + (TARGET == 4), r"^CTC\(\): label 5 in row 0, expected 0\.\.4$"),
        (
            CTC,
            Y,
            np.where(TARGET == 3, 0, TARGET),
            r"^CTC\(\): label 0 in row 1, expected a label other than the blank",
        ),
        (
            lambda: CTC(input_lengths=True),
            Y,
            np.column_stack([[1, 9, 10, 9, 9], TARGET]),
            r"^CTC\(input_lengths=True\): length 10 in row 2, expected 1\.\.9$",
        ),
    ],
)
def test_what_ctc_refuses(make, y, target, message):
    with pytest.raises(ValueError, match=message):
        make().fprop(y, target)
    step = compile_step(Sequential(Linear(5, 5)), make(), SGD(lr=0.1))
    with pytest.raises(ValueError, match=message):
        step(y, target)
    if len(y) == len(target):
        trainer = Trainer(Sequential(Linear(5, 5)), make(), SGD(lr=0.1), quiet=True)
        with pytest.raises(ValueError, match=message):
            trainer.fit(ArrayDataset(y, target, ignore_index=-1), batch_size=2)


def test_a_net_learns_to_read_without_an_alignment():
    """Digits drawn as runs of random lengths with gaps between: their order is learned from the targets alone."""
    random = np.random.default_rng(1)
    x, target = np.zeros((60, 3, 24), np.float32), np.full((60, 4), -1)
    for n in range(60):
        place = 0
        for k in range(random.integers(2, 5)):
            label, length = random.integers(0, 3), random.integers(2, 4)
            place += random.integers(1, 3)
            x[n, label, place : place + length] = 1
            target[n, k] = label + 1
            place += length
    x += 0.1 * random.standard_normal(x.shape)

    steps = np.ascontiguousarray(np.moveaxis(x, 1, 2))
    model = Sequential(Linear(3, 16), Linear(16, 4))
    trainer = Trainer(model, CTC(), Adam(lr=0.02), quiet=True)
    history = trainer.fit((steps, target), epochs=60, batch_size=20)
    assert history[-1]["train_loss"] < 0.2 < history[0]["train_loss"]
    read = trainer.predict(steps).argmax(axis=-1)
    paths = [[k for k, before in zip(row, [0, *row[:-1]], strict=True) if k not in (0, before)] for row in read]
    right = [path == [k for k in row if k > 0] for path, row in zip(paths, target, strict=True)]
    assert np.mean(right) > 0.9


# -- several labels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
def test_multi_label_soft_margin_like_pytorch(weights, reduction):
    y, target = 5 * RANDOM.standard_normal((6, 3)), RANDOM.integers(0, 2, (6, 3)).astype(float)

    def of_torch(torch, y, t):
        weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
        return torch.nn.MultiLabelSoftMarginLoss(weight, reduction=reduction)(y, t)

    value, grad_y = in_torch(of_torch, y, target)
    loss = MultiLabelSoftMargin(weights, reduction).to("float64")
    assert loss.fprop(y, target) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(loss.bprop(), grad_y, rtol=1e-12)


def test_a_training_with_several_labels():
    x = RANDOM.standard_normal((80, 3))
    trainer = Trainer(Sequential(Linear(3, 3)), MultiLabelSoftMargin(), SGD(lr=1.0), quiet=True)
    row = trainer.fit((x, (x > 0).astype(float)), epochs=30, metrics=["accuracy"])[-1]
    assert row["train_accuracy"] > 0.9
    with pytest.raises(ValueError, match=r"^MultiLabelSoftMargin\(\): target 2 in row 0, expected 0 to 1$"):
        trainer.fit((x, np.full((80, 3), 2.0)), epochs=1)
    with pytest.raises(ValueError, match=r"class_weights is \[-1\.0\], expected a list of numbers of at least 0$"):
        MultiLabelSoftMargin([-1.0])
