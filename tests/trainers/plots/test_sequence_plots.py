"""Plots of models of sequences: states over time, attention maps, embeddings."""

import numpy as np
import pytest
from bprop.modules import MultiheadAttention
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.plots import PLOTS, UnsuitableRun, plot_runs
from bprop.trainers.plots.sequences import compute_attention, find_embedding
from bprop.trainers.plots.trained_run import TrainedRun
from bprop.trainers.runs.run_folder import train_config

pytest.importorskip("matplotlib")

LAYERS = '''\
import numpy as np
from bprop.modules import Module


class RunningMean(Module):
    """y[n, t] = the mean of x[n, s] for s up to t, which attends to all of them alike."""

    def fprop(self, x):
        y = np.empty_like(x)
        for n in range(x.shape[0]):
            for t in range(x.shape[1]):
                for k in range(x.shape[2]):
                    y[n, t, k] = x[n, : t + 1, k].sum() / (t + 1)
        return y

    def bprop(self, grad_y):
        grad_x = np.empty_like(grad_y)
        steps = grad_y.shape[1]
        for n in range(grad_y.shape[0]):
            for k in range(grad_y.shape[2]):
                total = grad_y[n, 0, k] * 0
                for t in range(steps - 1, -1, -1):
                    total += grad_y[n, t, k] / (t + 1)
                    grad_x[n, t, k] = total
        return grad_x

    def output_shape(self, input_shape):
        return input_shape

    def decode(self, x):
        return x

    def attention_weights(self, x):
        steps = x.shape[1]
        rows = np.tril(np.ones((steps, steps))) / np.arange(1, steps + 1)[:, None]
        return np.stack([rows, np.eye(steps)])[None].repeat(len(x), axis=0)
'''
CONFIG = """\
dataset:
  TextDataset: {path: t.txt, context: 12, valid_size: 0.2}
model:
  - Embedding: {num_embeddings: 7, embedding_dim: 10}
  - layers.RunningMean
  - Linear: {in_features: 10, out_features: 7}
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 0.1}
trainer: {epochs: 1, batch_size: 8}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "layers.py").write_text(LAYERS)
    (folder / "c.yaml").write_text(CONFIG)
    (folder / "t.txt").write_text("a bad cab_\n" * 30)
    train_config(load_config(folder / "c.yaml"), run=folder / "run", quiet=True)
    return folder / "run"


def axes_of(figure):
    return [axes for axes in figure.axes if axes.get_title()]


def test_states_are_what_layers_make(run):
    trained = TrainedRun(run)
    figure = PLOTS["states"](trained, [1])
    (axes,) = axes_of(figure)  # of the layer that has a context
    model = trained.model
    x = trained.data[1:2][0]
    expected = np.asarray(model[1].fprop(model[0].fprop(x)))[0].T
    np.testing.assert_allclose(axes.get_images()[0].get_array(), expected, rtol=1e-5)
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == [
        {"' '": "␣", r"'\n'": "↵"}.get(name, name) for name in (trained.token_names[token] for token in x[0])
    ]
    assert axes.get_title().startswith("RunningMean")


def test_attention_maps(run):
    figure = PLOTS["attention"](TrainedRun(run), [0])
    panels = axes_of(figure)
    assert [axes.get_title() for axes in panels] == ["layer 1, head 1", "layer 1, head 2"]
    np.testing.assert_allclose(panels[1].get_images()[0].get_array(), np.eye(12))
    assert panels[0].get_images()[0].get_array()[3, :5].tolist() == [0.25] * 4 + [0]


@pytest.mark.parametrize(
    "options",
    [{}, {"causal": True, "rope": True}, {"alibi": True}, {"num_kv_heads": 2}, {"score_bias": np.eye(7)}],
    ids=lambda options: " ".join(options),
)
def test_maps_of_self_attention_are_those_of_its_outputs(options):
    layer = MultiheadAttention(16, 4, **options).to("float64")
    x = np.random.default_rng(1).standard_normal((1, 7, 16))
    with uncompiled():
        y, weights, kv_heads = layer.fprop(x), compute_attention(layer, [x]), options.get("num_kv_heads", 4)
    rows = x[0] @ layer.in_proj_weight.T + layer.in_proj_bias
    v = rows[:, 16 + 4 * kv_heads :].reshape(7, kv_heads, 4).repeat(4 // kv_heads, axis=1)
    heads = np.einsum("hij,jhd->ihd", weights, v).reshape(7, 16)
    np.testing.assert_allclose(heads @ layer.out_proj.weight.T + layer.out_proj.bias, y[0], rtol=1e-10)


def test_embeddings_in_the_plane(run):
    trained = TrainedRun(run)
    figure = PLOTS["embeddings"](trained, [0])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == 7
    assert texts[2:] == ["_", "a", "b", "c", "d"]
    weight, _ = find_embedding(trained)
    centred = weight - weight.mean(axis=0)
    shares = np.linalg.svd(centred, compute_uv=False) ** 2
    assert f"component 1, {shares[0] / shares.sum():.0%} of the variance" in figure.axes[0].get_xlabel()


def test_all_that_fit_are_drawn(run, tmp_path):
    paths, omitted = plot_runs([run], out=tmp_path)
    names = {path.stem for path in paths}
    assert {"curves", "states", "attention", "embeddings"} <= names
    assert {"states", "attention", "embeddings"}.isdisjoint(omitted)


def test_other_models_have_none(tmp_path):
    folder = tmp_path / "run"
    assert main(["train", "digits_mlp", "trainer.epochs=1", "--run", str(folder), "--quiet"]) == 0
    for name, message in (
        ("states", r"an input has shape \(1, 8, 8\), expected a sequence"),
        ("attention", r"an input has shape \(1, 8, 8\), expected a sequence"),
        ("embeddings", "the model has no embedding of tokens"),
    ):
        with pytest.raises(UnsuitableRun, match=f"{name}: {message}"):
            plot_runs([folder], [name], out=tmp_path)
    assert {path.stem for path in plot_runs([folder], out=tmp_path)[0]}.isdisjoint({"states", "attention"})


def test_samples_out_of_range(run, tmp_path):
    with pytest.raises(UnsuitableRun, match="states: the sample is 999, expected 0 to"):
        plot_runs([run], ["states"], out=tmp_path, samples=[999])
