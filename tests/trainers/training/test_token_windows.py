"""Training on windows of a text: minibatches of views, streams, and what is told from other data."""

from contextlib import nullcontext

import numpy as np
import pytest
from bprop.datasets import TextDataset
from bprop.modules import (
    LSTM,
    Constant,
    Embedding,
    Linear,
    Reshape,
    Sequential,
    SoftmaxCrossEntropy,
    manual_seed,
)
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import SGD, Trainer
from bprop.trainers.configs import parse_config
from bprop.trainers.files.data_digests import compute_data_digests
from bprop.trainers.files.weights_file import read_weights
from bprop.trainers.runs.resume import resume_run
from bprop.trainers.runs.run_folder import train_config

TEXT = "the quick brown fox jumps over the lazy dog. " * 12


def read(tmp_path, text=TEXT, **options):
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    return TextDataset(tmp_path / "t.txt", **({"context": 8} | options))


def train(data, part, **options):
    model = Embedding(data.classes, data.classes, weight_init=Constant(0.0))
    trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(lr=2.0), seed=3, quiet=True)
    history = trainer.fit(part, data.valid, **({"epochs": 2, "batch_size": 16} | options))
    return model.weight.copy(), history


@pytest.mark.parametrize("text", [TEXT, TEXT + "".join(map(chr, range(0x4E00, 0x4E00 + 300))) + TEXT])
def test_windows_train_as_their_copies_do(tmp_path, text):
    data = read(tmp_path, text)
    weights, history = train(data, data.train)
    expected, _ = train(data, data.train[:])
    np.testing.assert_array_equal(weights, expected)
    assert history[-1]["valid_loss"] < history[0]["valid_loss"]
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_windows_of_a_file_train_alike(tmp_path):
    data = read(tmp_path)
    mapped = read(tmp_path, tokens=tmp_path / "tokens.npy")
    np.testing.assert_array_equal(train(mapped, mapped.train)[0], train(data, data.train)[0])


def test_a_model_of_plain_numbers_reads_tokens_as_such(tmp_path):
    data, weights = read(tmp_path), []
    for part in (data.train, (data.train[:][0].astype(np.float32), data.train[:][1])):
        manual_seed(0)
        model = Sequential(Linear(8, 8 * data.classes), Reshape((8, data.classes)))
        Trainer(model, SoftmaxCrossEntropy(), SGD(lr=0.01), quiet=True).fit(part, epochs=1, batch_size=16)
        weights.append(model.flat_parameters.copy())
    np.testing.assert_array_equal(*weights)


def test_streams_need_their_batch_size_and_order(tmp_path):
    data = read(tmp_path, streams=4)
    weights, _ = train(data, data.train, batch_size=4, shuffle=False)
    expected, _ = train(data, data.train[:], batch_size=4, shuffle=False)
    np.testing.assert_array_equal(weights, expected)
    for wrong in ({"batch_size": 5, "shuffle": False}, {"batch_size": 4}):
        with pytest.raises(ValueError, match=r"the data are 4 streams, .*, expected batch_size 4 and shuffle false"):
            train(data, data.train, **wrong)


def test_a_model_of_too_few_tokens_is_refused(tmp_path):
    data = read(tmp_path)
    trainer = Trainer(Embedding(data.classes, data.classes - 1), SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True)
    with pytest.raises(ValueError, match=f"label {data.classes - 1} in row 0, expected"):
        trainer.fit(data.train, epochs=1, batch_size=4)


def test_digests_tell_texts_apart(tmp_path):
    one, same = read(tmp_path), read(tmp_path, tokens=tmp_path / "t.npy")
    digests = compute_data_digests(one.train)
    assert set(digests) == {"form", "x"}
    assert compute_data_digests(same.train) == digests
    other = read(tmp_path, TEXT.replace("lazy", "lzay"))
    assert {name for name, digest in compute_data_digests(other.train).items() if digest != digests[name]} == {"x"}


def test_evaluation_goes_on_along_streams(tmp_path):
    """The validation loss of a net that carries its state is that of each stream as one long sequence."""
    text = "to be or not to be, that is the question: " * 12
    (tmp_path / "text.txt").write_text(text)
    data = TextDataset(tmp_path / "text.txt", context=8, valid_size=200, streams=3)
    size, context, streams = data.vocabulary.size, 8, 3
    net = Sequential(Embedding(size, 6), LSTM(6, 5, streams=streams), Linear(5, size))
    trainer = Trainer(net, SoftmaxCrossEntropy(class_axis=-1), SGD(lr=0.5), quiet=True)
    row = trainer.fit(data, epochs=2, batch_size=streams, shuffle=False, metrics=[])[-1]
    whole = Sequential(Embedding(size, 6), LSTM(6, 5), Linear(5, size))
    whole.load_state_dict({name: array for name, array in net.state_dict().items() if "state" not in name})
    x, y = (each.reshape(-1, streams, context).swapaxes(0, 1).reshape(streams, -1) for each in data.valid[:])
    assert x.shape[1] > 5 * context
    expected = SoftmaxCrossEntropy(class_axis=-1)(whole.fprop(x), y)
    assert row["valid_loss"] == pytest.approx(expected, rel=1e-5)


CONFIG = """
dataset:
  TextDataset: {path: PATH, context: 8, valid_size: 100, streams: 3}
model:
  - Embedding: {num_embeddings: SIZE, embedding_dim: 6}
  - LAYER: {input_size: 6, hidden_size: 5, num_layers: 2, dropout: 0.2, streams: 3}
  - Linear: {in_features: 5, out_features: SIZE}
loss:
  SoftmaxCrossEntropy: {class_axis: -1}
optimizer:
  Adam: {lr: 0.01}
trainer: {steps: 24, evaluate_every: 5, batch_size: 3, shuffle: false}
callbacks:
  - Checkpoint
"""


@pytest.mark.parametrize("layer", ["RNN", "GRU", "LSTM"])
def test_a_net_that_carries_its_state_resumes_to_the_same_bits(tmp_path, layer):
    """The one of two states compiled; the others, which differ in their equations alone, as plain Python."""
    with nullcontext() if layer == "LSTM" else uncompiled():
        check_resumed(tmp_path, layer)


def check_resumed(tmp_path, layer):
    (tmp_path / "text.txt").write_text(TEXT)
    size = TextDataset(tmp_path / "text.txt").vocabulary.size
    text = CONFIG.replace("PATH", str(tmp_path / "text.txt")).replace("SIZE", str(size)).replace("LAYER", layer)
    train_config(parse_config(text, folder=tmp_path), tmp_path / "whole", quiet=True)
    train_config(parse_config(text.replace("steps: 24", "steps: 10"), folder=tmp_path), tmp_path / "part", quiet=True)
    resumed, over = resume_run(tmp_path / "part", ["trainer.steps=24"], quiet=True)
    assert (resumed["steps"], over) == (24, False)
    weights = [read_weights(tmp_path / name / "model.safetensors")[0] for name in ("whole", "part")]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert any("state" in name and array.any() for name, array in weights[0].items())
