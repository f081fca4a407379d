"""The number of threads of a training: chosen by a probe that leaves no trace, remembered, and of no consequence."""

import json

import numpy as np
import pytest
from bprop.modules import (
    BatchNorm1d,
    Dropout,
    Linear,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
    num_threads,
)
from bprop.modules.engine import cache
from bprop.trainers import SGD, Adagrad, Adam, Optimizer, Trainer, compile_step
from bprop.trainers.optimizers.vectors import LARGE
from bprop.trainers.training import thread_choice


def train(number, loss=None):
    manual_seed(0)
    random = np.random.default_rng(0)
    x, labels = random.standard_normal((640, 200)).astype(np.float32), random.integers(0, 10, 640)
    net = Sequential(Linear(200, 160), BatchNorm1d(160), ReLU(), Dropout(0.3), Linear(160, 10))
    trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05, momentum=0.9), quiet=True)
    trainer.fit((x, labels), epochs=3, batch_size=128, threads=number)
    return trainer


@pytest.mark.jit
def test_weights_do_not_depend_on_it():
    expected = train(1).model.state_dict()
    for number in (2, None):
        for name, array in train(number).model.state_dict().items():
            np.testing.assert_array_equal(array, expected[name])


@pytest.mark.jit
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.05),
        SGD(0.05, momentum=0.9),
        SGD(0.05, momentum=0.9, nesterov=True),
        Adagrad(0.01),
        Adam(),
        Adam(amsgrad=True),
    ],
    ids=Optimizer.label,
)
def test_updates_and_activations_that_are_shared(optimizer):
    """As many parameters and activations as several threads share."""
    random = np.random.default_rng(0)
    x, labels = random.standard_normal((512, 300)).astype(np.float32), random.integers(0, 10, 512)
    found = []
    for number in (1, 2, 3):
        manual_seed(0)
        net, own = Sequential(Linear(300, 400), Tanh(), Linear(400, 10)), optimizer.copy()
        step = compile_step(net, SoftmaxCrossEntropy(), own)
        with num_threads(number):
            for _ in range(4):
                step(x, labels)
        assert net.flat_parameters.size >= LARGE
        found.append(net.flat_parameters.copy())
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@pytest.mark.jit
def test_the_choice_is_remembered(monkeypatch):
    monkeypatch.setattr(thread_choice, "count_cores", lambda: 2)
    for path in cache.find_cache_folder().glob("threads_*.json"):
        path.unlink()
    monkeypatch.setattr(thread_choice, "find_fastest", lambda *arguments: 2)
    assert train(None).threads == 2
    monkeypatch.setattr(thread_choice, "find_fastest", lambda *arguments: pytest.fail("measured again"))
    assert train(None).threads == 2
    notes = [json.loads(path.read_text()) for path in cache.find_cache_folder().glob("threads_*.json")]
    assert {"threads": 2} in notes, "other tests may write theirs at the same time"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"threads": "two"}', '{"threads": 0}', '{"threads": 1000000}'])
def test_a_damaged_note_is_not_believed(tmp_path, text):
    (tmp_path / "note").write_text(text)
    assert thread_choice.read_thread_count(tmp_path / "note") is None


@pytest.mark.jit
@pytest.mark.parametrize(("shared", "expected"), [({1: 8.0, 2: 5.0}, 2), ({1: 8.0, 2: 7.9}, 1), ({1: 8.0, 2: 9.0}, 1)])
def test_more_threads_only_where_they_gain(monkeypatch, shared, expected):
    jobs = iter(range(100))
    monkeypatch.setattr(thread_choice, "count_cores", lambda: 2)
    monkeypatch.setattr(thread_choice, "count_parallel_jobs", lambda: next(jobs))
    monkeypatch.setattr(thread_choice, "time_steps", lambda steps, last, number: shared[number])
    assert thread_choice.find_fastest(lambda first, last: (0.0, last), 1000, 10) == expected


@pytest.mark.parametrize("number", [0, -1, 1.5, True, 65, 10**12])
def test_a_wrong_number_is_refused(number):
    with pytest.raises(ValueError, match=f"^Trainer: threads is {number}, expected a whole number from 1 to 64$"):
        train(number)
