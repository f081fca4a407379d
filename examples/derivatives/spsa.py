"""A net of steps learns without any derivative: two evaluations of its loss a step, whatever the number of weights.

The derivative of a step is 0, so bprop has nothing to send through it. Spall's simultaneous perturbation moves all
weights at once, by random signs; with gains that fall as he proposes, its mean follows the gradient. Beside it: the
perceptron's rule of the same unit, which needs no derivative either, where a line is enough.

python examples/derivatives/spsa.py
"""

import numpy as np
from bprop.datasets import Iris
from bprop.modules import Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy, Step, manual_seed
from bprop.modules.derivatives import make_loss_function, spsa_gradient
from bprop.trainers import SGD, Trainer

iris = Iris(standardize=True)
x, labels = iris.train.x, iris.train.y
manual_seed(0)
model, random = Sequential(Linear(4, 16), Step(-1, 1), Linear(16, 3)), np.random.default_rng(0)
loss_of = make_loss_function(model, SoftmaxCrossEntropy(), x, labels)

w = model.flat_parameters.astype(np.float64)
print(f"{w.size} weights, loss {loss_of(w):.3f}")
for k in range(1000):
    step = 0.3 / (k + 1) ** 0.101
    w -= 1.0 / (k + 50) ** 0.602 * spsa_gradient(loss_of, w, step, random, pairs=2)
model.flat_parameters[:] = w
model.eval()
accuracy = np.mean(model.fprop(iris.test.x).argmax(axis=1) == iris.test.y)
print(f"after 4000 evaluations: loss {loss_of(w):.3f}, {accuracy:.1%} of the test set right")

# One class against the others is separable by a line: the rule stops when it makes no mistake.
setosa = (labels == 0).astype(float)[:, None]
perceptron = Sequential(Linear(4, 1), Step())
trainer = Trainer(perceptron, MeanSquaredError(half=True), SGD(lr=1.0), quiet=True)
history = trainer.fit((x, setosa), epochs=5, batch_size=1, metrics=[], threads=1)
print("mistakes of the perceptron's rule:", *(round(2 * len(x) * row["train_loss"]) for row in history))
