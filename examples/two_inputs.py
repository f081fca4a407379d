"""Two inputs and two outputs: the upper half of a digit and whether it is odd; which digit it is, and its ink below.

python examples/two_inputs.py writes both inputs and both targets into two_inputs.npz and trains in Python;
`bprop train examples/two_inputs.yaml` trains the same model from the file. Draws the model to two_inputs.svg, or to
what is named: svg, png, or files.
"""

import sys
from pathlib import Path

import numpy as np
from bprop.datasets import Digits, side_by_side
from bprop.modules import (
    Graph,
    JoinTable,
    Linear,
    LossPart,
    MeanSquaredError,
    MultiLoss,
    NarrowTable,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
)
from bprop.trainers import SGD, Trainer
from bprop.trainers.plots.files import save_plots, split_plot_files

files, _ = split_plot_files(sys.argv[1:], "two_inputs.svg")
digits = Digits()
images = np.concatenate([digits.train.x, digits.test.x]) / np.float32(16)
digit = np.concatenate([digits.train.y, digits.test.y])
upper, odd = images[:, :, :4], digit % 2
ink = images[:, 0, 4:].sum(axis=(1, 2))
np.savez(Path(__file__).with_name("two_inputs.npz"), upper=upper, odd=odd, digit=digit, ink=ink)

manual_seed(0)
model = Sequential(
    NarrowTable([32, 1]),
    Graph(
        inputs=["upper", "odd"],
        nodes={
            "seen": ([Linear(32, 64), Tanh()], "upper"),
            "both": (JoinTable(), ["seen", "odd"]),
            "hidden": ([Linear(65, 32), Tanh()], "both"),
            "digit": (Linear(32, 10), "hidden"),
            "ink": (Linear(32, 1), "hidden"),
        },
        outputs=["digit", "ink"],
    ),
    JoinTable(),
)
loss = MultiLoss(
    [
        LossPart(SoftmaxCrossEntropy(), outputs="0:10", targets=0, name="digit"),
        LossPart(MeanSquaredError(), outputs=10, targets=1, weight=0.1, name="ink"),
    ]
)

x, target = side_by_side({"upper": upper, "odd": odd}), side_by_side({"digit": digit, "ink": ink})
trainer = Trainer(model, loss, SGD(lr=0.1, momentum=0.9), quiet=True)
trainer.fit((x[:1400], target[:1400]), epochs=30, batch_size=32)
metrics = trainer.evaluate((x[1400:], target[1400:]))
print(f"digits right: {metrics['digit_accuracy']:.3f}   ink: rmse {metrics['ink_rmse']:.2f} of {ink.std():.2f}")
print(save_plots(model.graph("svg", (1, 33), loss, (1, 2)), files))
