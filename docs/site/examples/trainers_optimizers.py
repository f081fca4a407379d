"""Examples of bprop.trainers.optimizers, for the reference."""

from bprop.datasets import Iris
from bprop.modules import Linear, ReLU, Sequential, SoftmaxCrossEntropy
from bprop.trainers import (
    ASGD,
    LBFGS,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    ConjugateGradient,
    FullBatch,
    Group,
    Lion,
    Muon,
    NAdam,
    NewtonCG,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    Trainer,
)

# %% bprop.trainers.Adadelta
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), Adadelta(), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.Adafactor
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), Adafactor(lr=0.05), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.Adagrad
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), Adagrad(lr=0.1), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.Adam
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), Adam(lr=0.05), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.Adamax
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), Adamax(lr=0.05), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.AdamW
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), AdamW(lr=0.05, weight_decay=0.1), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.ASGD
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), ASGD(lr=0.1), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.ConjugateGradient
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), ConjugateGradient(), quiet=True)
trainer.fit(data, batch_size=97, epochs=5)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.LBFGS
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), LBFGS(), quiet=True)
trainer.fit(data, batch_size=97, epochs=5)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.Lion
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), Lion(lr=0.01), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.Muon
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), Muon(lr=0.02), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.NAdam
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), NAdam(lr=0.05), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.NewtonCG
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), NewtonCG(), quiet=True)
trainer.fit(data, batch_size=97, epochs=5)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.RAdam
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), RAdam(lr=0.05), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.RMSprop
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), RMSprop(lr=0.01), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.Rprop
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), Rprop(), quiet=True)
trainer.fit(data, batch_size=97, epochs=5)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.SGD
data = Iris()
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9), quiet=True)
trainer.fit(data, epochs=10)
print(round(trainer.evaluate(data)["accuracy"], 2))

# %% bprop.trainers.FullBatch
print(issubclass(LBFGS, FullBatch), issubclass(NewtonCG, FullBatch))

# %% bprop.trainers.Group
optimizer = SGD(lr=0.1, groups=[Group(match="0.*", frozen=True)])
net = Sequential(Linear(4, 5), ReLU(), Linear(5, 3))
before = net[0].weight.copy()
Trainer(net, SoftmaxCrossEntropy(), optimizer, quiet=True).fit(Iris(), epochs=1)
print((net[0].weight == before).all())

# %% bprop.trainers.Optimizer
print(issubclass(Adam, Optimizer), SGD(lr=0.1, weight_decay=1e-4, clip_norm=1.0))
