"""Examples of schedules, metrics, augmentations and callbacks, for the reference."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from bprop.datasets import Iris, Triplets
from bprop.modules import RBM, ContrastiveDivergence, Linear, SoftmaxCrossEntropy
from bprop.trainers import (
    EMA,
    F1,
    SGD,
    Affine,
    Augment,
    Augmentation,
    CalibrationError,
    Callback,
    Checkpoint,
    ConfusionMatrix,
    ConstantSchedule,
    CosineRestartsSchedule,
    CosineSchedule,
    Cutout,
    EarlyStopping,
    Elastic,
    ExponentialSchedule,
    Flip,
    FreeEnergies,
    InitialWeights,
    InverseTimeSchedule,
    LambdaSchedule,
    LinearSchedule,
    Metric,
    MultiStepSchedule,
    NanGuard,
    OneCycleSchedule,
    PlateauSchedule,
    PolynomialSchedule,
    Precision,
    Recall,
    Schedule,
    Shift,
    Statistics,
    StepSchedule,
    TensorBoard,
    TimeBudget,
    TopK,
    Trainer,
    WarmupSchedule,
)
from safetensors.numpy import save_file

# %% bprop.trainers.ConstantSchedule
print([ConstantSchedule(0.5, 3).value(0.1, t, 6) for t in range(6)])

# %% bprop.trainers.CosineRestartsSchedule
print([round(CosineRestartsSchedule(T_0=3).value(1.0, t, 6), 3) for t in range(6)])

# %% bprop.trainers.CosineSchedule
print([round(CosineSchedule().value(1.0, t, 6), 3) for t in range(6)])

# %% bprop.trainers.ExponentialSchedule
print([round(ExponentialSchedule(0.5).value(1.0, t, 6), 3) for t in range(6)])

# %% bprop.trainers.InverseTimeSchedule
print([round(InverseTimeSchedule(0.5).value(1.0, t, 6), 3) for t in range(6)])

# %% bprop.trainers.LambdaSchedule
print([LambdaSchedule(lambda t: 1 / (1 + t)).value(1.0, t, 4) for t in range(4)])

# %% bprop.trainers.LinearSchedule
print([round(LinearSchedule(1.0, 0.0).value(1.0, t, 6), 3) for t in range(6)])

# %% bprop.trainers.MultiStepSchedule
print([round(MultiStepSchedule([2, 4]).value(1.0, t, 6), 3) for t in range(6)])

# %% bprop.trainers.OneCycleSchedule
print([round(OneCycleSchedule().value(1.0, t, 6), 4) for t in range(6)])

# %% bprop.trainers.PlateauSchedule
data = Iris()
trainer = Trainer(
    Linear(4, 3),
    SoftmaxCrossEntropy(),
    SGD(lr=0.1),
    schedules={"optimizer.lr": PlateauSchedule(patience=2)},
    quiet=True,
)
trainer.fit(data, epochs=5)
print(trainer.optimizer.lr)

# %% bprop.trainers.PolynomialSchedule
print([round(PolynomialSchedule(power=2).value(1.0, t, 6), 3) for t in range(6)])


# %% bprop.trainers.Schedule
class Halving(Schedule):
    """Halves at each time."""

    def value(self, base, t, total):
        return base / 2**t


print([Halving().value(0.8, t, 4) for t in range(4)])

# %% bprop.trainers.StepSchedule
print([round(StepSchedule(2, gamma=0.5).value(1.0, t, 6), 3) for t in range(6)])

# %% bprop.trainers.WarmupSchedule
print([round(WarmupSchedule(2, CosineSchedule()).value(1.0, t, 6), 3) for t in range(6)])

# %% bprop.trainers.CalibrationError
print(CalibrationError()(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1])))

# %% bprop.trainers.ConfusionMatrix
print(ConfusionMatrix()(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]]), np.array([0, 1, 1])))

# %% bprop.trainers.F1
print(F1()(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]]), np.array([0, 1, 1])))


# %% bprop.trainers.Metric
class WithinTenth(Metric):
    """The share of outputs within 0.1 of the target."""

    better = "max"

    def value(self, y, target):
        return np.mean(np.abs(y - target) < 0.1)


print(WithinTenth()(np.array([[1.0], [2.0]]), np.array([[1.05], [2.5]])))

# %% bprop.trainers.Precision
print(Precision()(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]]), np.array([0, 1, 1])))

# %% bprop.trainers.Recall
print(Recall()(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]]), np.array([0, 1, 1])))

# %% bprop.trainers.TopK
print(TopK(2)(np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), np.array([1, 2])))

# %% bprop.trainers.Affine
augmentation = Augmentation([Affine(degrees=15)])
augmentation.begin(epoch=0)
print(augmentation(np.ones((2, 1, 8, 8), np.float32)).shape)


# %% bprop.trainers.Augment
class Negative(Augment):
    """The negative of half of the images."""

    def numbers(self, shape):
        return 1

    def transform(self, x, y, u):
        for i in range(x.size):
            y.flat[i] = 1 - x.flat[i] if u[0] < 0.5 else x.flat[i]


augmentation = Augmentation([Negative()])
augmentation.begin(epoch=0)
print(augmentation(np.zeros((4, 1, 1, 1), np.float32)).ravel())

# %% bprop.trainers.Augmentation
augmentation = Augmentation([Flip(), Shift(1)], seed=3)
augmentation.begin(epoch=0)
print(augmentation(np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)))

# %% bprop.trainers.Cutout
augmentation = Augmentation([Cutout(2)])
augmentation.begin(epoch=0)
print(augmentation(np.ones((1, 1, 4, 4), np.float32)))

# %% bprop.trainers.Elastic
augmentation = Augmentation([Elastic()])
augmentation.begin(epoch=0)
print(augmentation(np.ones((2, 1, 12, 12), np.float32)).shape)

# %% bprop.trainers.Flip
augmentation = Augmentation([Flip(1.0)])
augmentation.begin(epoch=0)
print(augmentation(np.array([[[[1.0, 2.0, 3.0]]]], np.float32)))

# %% bprop.trainers.Shift
augmentation = Augmentation([Shift(1)])
augmentation.begin(epoch=0)
print(augmentation(np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)))


# %% bprop.trainers.Callback
class Announce(Callback):
    """Prints the loss of each epoch."""

    def on_epoch_end(self, trainer, row):
        print(row["epoch"], round(row["train_loss"], 2))


trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), SGD(lr=0.1), callbacks=[Announce()], quiet=True)
trainer.fit(Iris(), epochs=2)

# %% bprop.trainers.Checkpoint
with TemporaryDirectory() as folder:
    trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), SGD(lr=0.1), callbacks=[Checkpoint(folder)], quiet=True)
    trainer.fit(Iris(), epochs=2)
    print(sorted(path.name for path in Path(folder).iterdir()))

# %% bprop.trainers.EarlyStopping
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), SGD(lr=5.0), callbacks=[EarlyStopping(patience=2)], quiet=True)
trainer.fit(Iris(), epochs=50)
print(len(trainer.history) <= 50)

# %% bprop.trainers.EMA
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), SGD(lr=0.1), callbacks=[EMA(0.9)], quiet=True)
trainer.fit(Iris(), epochs=3)
print(len(trainer.history))

# %% bprop.trainers.FreeEnergies
trainer = Trainer(RBM(3, 2), ContrastiveDivergence(), SGD(lr=0.1), callbacks=[FreeEnergies()], quiet=True)
trainer.fit(Triplets(), epochs=1, batch_size=20)
print("free_energy.train" in trainer.history[-1])

# %% bprop.trainers.InitialWeights
with TemporaryDirectory() as folder:
    first = Linear(4, 3)
    save_file(dict(first.named_parameters()), f"{folder}/first.safetensors")
    second = Linear(4, 3)
    trainer = Trainer(
        second,
        SoftmaxCrossEntropy(),
        SGD(lr=0.0001),
        callbacks=[InitialWeights(f"{folder}/first.safetensors")],
        quiet=True,
    )
    trainer.fit(Iris(), epochs=1)
    print(np.abs(first.weight - second.weight).max() < 0.01)

# %% bprop.trainers.NanGuard
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), SGD(lr=0.1), callbacks=[NanGuard(".")], quiet=True)
trainer.fit(Iris(), epochs=1)
print(len(trainer.history))

# %% bprop.trainers.Statistics
with TemporaryDirectory() as folder:
    trainer = Trainer(
        Linear(4, 3), SoftmaxCrossEntropy(), SGD(lr=0.1), callbacks=[Statistics(folder=folder)], quiet=True
    )
    trainer.fit(Iris(), epochs=2)
    print(sorted(path.name for path in Path(folder).iterdir()))

# %% bprop.trainers.TensorBoard
print(TensorBoard.__init__.__annotations__["folder"])  # Trainer(..., callbacks=[TensorBoard("logs")])

# %% bprop.trainers.TimeBudget
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), SGD(lr=0.1), callbacks=[TimeBudget(seconds=60)], quiet=True)
trainer.fit(Iris(), epochs=2)
print(len(trainer.history))
