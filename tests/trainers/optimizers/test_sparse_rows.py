"""Optimizers that leave rows of embeddings alone: beside PyTorch, beside updates of all rows, and what refuses."""

import numpy as np
import pytest
from bprop.modules import (
    Embedding,
    EmbeddingBag,
    Flatten,
    Linear,
    Sequential,
    Share,
    SoftmaxCrossEntropy,
    manual_seed,
)
from bprop.trainers import SGD, Adam, AdamW, Group, Muon, RMSprop, Trainer, compile_step
from bprop.trainers.configs import parse_config

ROWS, LABELS = 20, np.array([0, 1, 2, 3, 0])
EVERY = np.arange(ROWS).reshape(5, 4)  # a minibatch in which each token occurs
MOMENTS = ("mean", "square", "velocity")


def batches(steps=6):
    random = np.random.default_rng(1)
    return [random.integers(0, ROWS, (5, 4)) for _ in range(steps)]


def make_model(make=Embedding, **settings):
    manual_seed(0)
    return Sequential(make(ROWS, 6, **settings), Flatten(), Linear(24 if make is Embedding else 6, 4))


def make_step(optimizer, **settings):
    return compile_step(make_model(**settings), SoftmaxCrossEntropy(), optimizer)


@pytest.mark.compiled
def test_adam_like_sparse_adam_of_pytorch():
    torch = pytest.importorskip("torch")
    model, there = make_model().to("float64"), torch.nn.Embedding(ROWS, 6, sparse=True, dtype=torch.float64)
    step = compile_step(model, SoftmaxCrossEntropy(), Adam(lr=0.05, eps=1e-16, sparse_rows=True))
    last = torch.nn.Linear(24, 4, dtype=torch.float64)
    there.load_state_dict({"weight": torch.tensor(model[0].weight)})
    last.load_state_dict({"weight": torch.tensor(model[2].weight), "bias": torch.tensor(model[2].bias)})
    optimizers = [
        torch.optim.SparseAdam(there.parameters(), lr=0.05, eps=1e-16),
        torch.optim.Adam(last.parameters(), lr=0.05, eps=1e-16),
    ]
    for x in batches():
        step(x, LABELS)
        for each in optimizers:
            each.zero_grad()
        scores = last(there(torch.tensor(x)).flatten(1))
        torch.nn.functional.cross_entropy(scores, torch.tensor(LABELS)).backward()
        for each in optimizers:
            each.step()
        np.testing.assert_allclose(model[0].weight, there.weight.detach().numpy(), rtol=1e-9)
        np.testing.assert_allclose(model[2].weight, last.weight.detach().numpy(), rtol=1e-9)


OPTIMIZERS = {
    "AdamW": lambda **more: AdamW(lr=0.05, weight_decay=0.1, amsgrad=True, clip_norm=0.1, **more),
    "SGD": lambda **more: SGD(lr=0.05, momentum=0.9, weight_decay=0.1, l1=0.01, max_norm=9.0, **more),
    "RMSprop": lambda **more: RMSprop(
        lr=0.05, centered=True, maximize=True, groups=[Group("2.*", frozen=True)], **more
    ),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_rows_that_do_not_occur_stay_and_those_that_do_move_to_the_same_bits(make):
    sparse, dense = make_step(make(sparse_rows=True)), make_step(make())
    for _ in range(3):
        assert sparse(EVERY, LABELS) == dense(EVERY, LABELS)
        assert np.array_equal(sparse.net.flat_parameters, dense.net.flat_parameters)
    for x in batches(3):
        before, state = sparse.net[0].weight.copy(), sparse.optimizer.state_dict()
        sparse(x, LABELS)
        absent = np.setdiff1d(np.arange(ROWS), x)
        assert np.array_equal(sparse.net[0].weight[absent], before[absent])
        assert (sparse.net[0].weight != before).any(axis=1).sum() == ROWS - len(absent)
        for name in set(MOMENTS) & set(state):
            moved = (sparse.optimizer.state_dict()[name] != state[name])[: ROWS * 6].reshape(ROWS, 6).any(axis=1)
            assert not moved[absent].any()
    dense(x, LABELS)
    assert (dense.net[0].weight[absent] != before[absent]).any()


@pytest.mark.compiled
def test_by_hand_in_parts_and_in_steps_the_same_rows_move():
    """What no layer knows, as the gradients of an update by hand, is found by looking at all of them."""
    twins = [make_step(AdamW(lr=0.05, clip_norm=0.1, sparse_rows=True), padding_idx=3) for _ in range(3)]
    steps, parts, hand = twins
    parts.set_accumulation(2)
    padding = steps.net[0].weight[3].copy()
    for x in batches(3):
        steps(x, LABELS)
        parts(x, LABELS)
        hand.net.zero_grad()
        hand.loss.fprop(hand.net.fprop(x), LABELS)
        hand.net.bprop(hand.loss.bprop())
        hand.optimizer.update(hand.net)
        assert np.array_equal(hand.net.flat_parameters, steps.net.flat_parameters)
        np.testing.assert_allclose(parts.net.flat_parameters, steps.net.flat_parameters, rtol=1e-4, atol=1e-5)
    assert np.array_equal(steps.net[0].weight[3], padding)
    assert steps.optimizer.span_counts[0] < ROWS


def test_a_table_whose_weights_are_shared_moves_as_a_whole():
    """All rows of scores have a gradient, so a shared table moves as a whole."""
    results = []
    for sparse in (True, False):
        manual_seed(0)
        model = Sequential(Embedding(ROWS, 6), Share(0, Linear(6, ROWS)))
        step = compile_step(model, SoftmaxCrossEntropy(), AdamW(lr=0.05, sparse_rows=sparse))
        for x in batches(3):
            step(x, np.roll(x, 1, axis=1))
        results.append(model.flat_parameters.copy())
    assert np.array_equal(*results)


def test_bags_train_and_resume_to_the_same_bits(tmp_path):
    x, labels = np.random.default_rng(2).integers(0, ROWS, (40, 3)), np.arange(40) % 4

    def make_trainer():
        return Trainer(
            make_model(EmbeddingBag), SoftmaxCrossEntropy(), Adam(lr=0.05, sparse_rows=True), seed=1, quiet=True
        )

    whole, first, second = make_trainer(), make_trainer(), make_trainer()
    whole.fit((x, labels), epochs=4, batch_size=4)
    first.fit((x, labels), epochs=2, batch_size=4)
    first.save(tmp_path / "trainer")
    second.load(tmp_path / "trainer")
    second.fit((x, labels), epochs=2, batch_size=4)
    assert np.array_equal(second.model.flat_parameters, whole.model.flat_parameters)
    assert set(second.optimizer.state_dict()) == {"steps", "mean", "square", "largest"}


CONFIG = """\
dataset: Digits
model: [Flatten, Linear: {in_features: 64, out_features: 10}]
loss: SoftmaxCrossEntropy
optimizer:
  Adam: {sparse_rows: true}
trainer: {epochs: 1}
"""


def test_a_config_asks_for_it_and_what_cannot_is_refused():
    optimizer = parse_config(CONFIG).build().optimizer
    assert repr(optimizer) == "Adam(lr=0.001, sparse_rows=True)"
    with pytest.raises(
        ValueError, match=r"^Muon: sparse_rows is true, but a step is not one of single rows, expected f"
    ):
        Muon(sparse_rows=True)
    with pytest.raises(TypeError, match=r"^Adam: sparse_rows is 1, expected true or false$"):
        Adam(sparse_rows=1)
    with pytest.raises(AttributeError, match="sparse_rows"):
        optimizer.sparse_rows = False
