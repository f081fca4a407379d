"""One input, up to three right outputs: a mixture of Gaussians against the best single Gaussian on the inverse problem.

Both models differ in their outputs only, and are trained by maximum likelihood (Bishop and Bishop, Deep Learning,
section 6.5). With matplotlib the predicted densities are drawn into inverse_density.png, or what is named: svg, png, or
files.
"""

import sys

import numpy as np
from bprop.datasets import InverseProblem
from bprop.modules import Constant, GaussianNLL, Linear, MixtureDensity, Sequential, Tanh, manual_seed
from bprop.trainers import Adam, CosineSchedule, Trainer
from bprop.trainers.plots.files import save_plots, split_plot_files

files, _ = split_plot_files(sys.argv[1:], "inverse_density.png")
data = InverseProblem()


def fitted(loss, outputs):
    """A trainer whose model predicts the parameters of a density of t for each x; `outputs` are its first biases."""
    manual_seed(0)
    model = Sequential(Linear(1, 32), Tanh(), Linear(32, len(outputs), bias_init=Constant(outputs)))
    schedules = {"optimizer.lr": CosineSchedule(per="step")}
    trainer = Trainer(model, loss, Adam(lr=0.03), schedules=schedules, quiet=True)
    trainer.fit(data, epochs=300, batch_size=64)
    return trainer


def density(trainer, x, t):
    """p(t | x) on a grid: (len(t), len(x))."""
    log_density = trainer.distribution(np.repeat(x, len(t)).reshape(-1, 1)).log_density(
        np.tile(t, len(x)).reshape(-1, 1)
    )
    return np.exp(log_density).reshape(len(x), len(t)).T


def draw(trainers):
    """A panel for each trainer: the density that it predicts, and the test samples; returns the figure."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    x, t = np.linspace(-0.15, 1.15, 400), np.linspace(-0.15, 1.15, 400)
    figure = Figure(figsize=(9.6, 4.9), layout="constrained")
    for axes, (title, trainer) in zip(figure.subplots(1, 2, sharey=True), trainers.items(), strict=True):
        p = np.minimum(density(trainer, x, t), 8) ** 0.5  # the root shows faint parts, too
        axes.imshow(p, origin="lower", extent=(-0.15, 1.15, -0.15, 1.15), cmap=colormaps["Blues"], vmin=0, vmax=8**0.5)
        axes.plot(data.test.x[:400], data.test.y[:400], ".", color="#d1495b", markersize=2.6, alpha=0.8)
        if trainer is trainers["one Gaussian"]:
            axes.plot(x, trainer.distribution(x.reshape(-1, 1)).mean, color="#1b3a5c", linewidth=1.4)
        axes.set_title(f"{title}, test loss {trainer.evaluate(data)['loss']:.3f} nats", fontsize=11)
        axes.set(xlabel="x", xlim=(-0.15, 1.15), ylim=(-0.15, 1.15), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("t")
    figure.suptitle("Predicted density p(t | x) and test samples", fontsize=12)
    return figure


trainers = {
    "one Gaussian": fitted(GaussianNLL(), [0.5, 100]),  # a mean, a raw precision
    "three Gaussians": fitted(MixtureDensity(3, dims=1), [0, 0, 0, 0.2, 0.5, 0.8, 100, 100, 100]),  # scores come first
}
for title, trainer in trainers.items():
    print(f"{title:15}  test loss {trainer.evaluate(data)['loss']:.4f}")
try:
    print(save_plots(draw(trainers), files))
except ImportError:
    print("no plot: pip install 'bprop[plot]' brings matplotlib")
