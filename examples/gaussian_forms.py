"""Three ways for a model to say how sure it is: precision, variance, standard deviation; and a full covariance.

The same net learns the mean and the spread of a noisy sine, whose noise is small on the left and large on the right.
The losses say the same of the same variance; what differs is the gradient, which divides by the variance where that is
the output (Goodfellow et al., Deep Learning, section 6.2.2.4).

python examples/gaussian_forms.py
"""

import numpy as np
from bprop.modules import GaussianNLL, Linear, MultivariateGaussianNLL, Sequential, Tanh, manual_seed
from bprop.trainers import SGD, Adam, Callback, Trainer, TrainingError

random = np.random.default_rng(0)
x = random.uniform(-1, 1, (400, 1))
deviation = np.exp(2 * x - 4)  # 0.0025 to 0.14
t = np.sin(3 * x) + deviation * random.standard_normal(x.shape)


class LargestGradient(Callback):
    """Keeps the largest norm of a minibatch's gradient."""

    def __init__(self):
        self.norm = 0.0

    def on_batch_end(self, trainer, row):
        self.norm = max(self.norm, float(np.linalg.norm(trainer.model.flat_gradients.astype(np.float64))))


print("output of the net   learning rate   largest gradient   loss after 100 epochs")
for lr in (0.02, 0.3):
    for form in ("precision", "variance", "std"):
        manual_seed(0)
        model, largest = Sequential(Linear(1, 16), Tanh(), Linear(16, 2)), LargestGradient()
        trainer = Trainer(model, GaussianNLL(parametrization=form), SGD(lr=lr), callbacks=[largest], quiet=True)
        try:
            trainer.fit((x, t), epochs=100, batch_size=20, threads=1)
            loss = f"{trainer.evaluate((x, t))['loss']:.3f}"
        except TrainingError:
            loss = "not finite"
        print(f"{form:17}   {lr:13}   {largest.norm:16.3g}   {loss}")

# Two targets whose errors go together: their covariance B Bᵀ is an output of the net, too.
x = random.uniform(-1, 1, (2000, 1))
noise, correlation = 0.3 * random.standard_normal((2000, 2)), 0.8 * np.sign(x[:, 0])
pair = np.column_stack([x[:, 0] + noise[:, 0], correlation * noise[:, 0] + 0.6 * noise[:, 1]])
manual_seed(0)
model, loss = Sequential(Linear(1, 16), Tanh(), Linear(16, 6)), MultivariateGaussianNLL(2)
trainer = Trainer(model, loss, Adam(lr=0.02), quiet=True)
trainer.fit((x, pair), epochs=40, batch_size=20, threads=1)
left, right = trainer.distribution(np.array([[-0.7], [0.7]])).correlation[:, 0, 1]
print(f"correlation of two targets: {left:.2f} on the left (drawn with -0.80), {right:.2f} on the right (0.80)")
