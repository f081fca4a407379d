"""Examples of training, rules, checks of configs and generation, for the reference."""

import numpy as np
from bprop.datasets import CharacterVocabulary, Digits, Iris
from bprop.modules import (
    GRU,
    ClassRBM,
    Embedding,
    Flatten,
    Linear,
    ReLU,
    Sequential,
    SigmoidBelief,
    SoftmaxCrossEntropy,
    Tanh,
)
from bprop.trainers import (
    SGD,
    Adam,
    ChainRule,
    CompiledStep,
    ConfigReport,
    DifferenceTargetPropagation,
    DirectFeedbackAlignment,
    EquilibriumPropagation,
    FeedbackAlignment,
    ForwardForward,
    Generator,
    GreedyPretraining,
    Hebbian,
    PredictiveCoding,
    QuantizedWeights,
    Rule,
    SignSymmetry,
    Trainer,
    TrainingError,
    UpDown,
    check_config,
    compile_step,
    compute_grad_x,
    compute_parameter_gradients,
    generate,
    report_runs,
    show_config,
    show_net,
)
from bprop.trainers.configs import parse_config


# %% bprop.trainers.Rule
class HalfGradient(Rule):
    """Sends half of the gradient back."""

    def bprop(self, layer, grad_y):
        return 0.5 * layer.bprop(grad_y)


net = Sequential(Linear(4, 8), ReLU(), Linear(8, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), Adam(lr=0.05), rule=HalfGradient(), quiet=True)
trainer.fit(Iris(), epochs=5)
print(len(trainer.history))

# %% bprop.trainers.ChainRule
print(issubclass(PredictiveCoding, ChainRule), issubclass(ChainRule, Rule))

# %% bprop.trainers.compute_parameter_gradients
layer = Linear(2, 1)
layer.fprop(np.array([[3.0, 4.0]], np.float32))
compute_parameter_gradients(layer, np.ones((1, 1), np.float32))
print(layer.grad_weight)


# %% bprop.trainers.compute_grad_x
class ThroughSigns(Rule):
    """The error goes back through the signs of the weights."""

    def start(self, layer, input_shape, output_shape, outputs):
        self.matrix = np.zeros(self.weight.shape)

    def bprop(self, layer, grad_y):
        self.matrix[:] = np.sign(self.weight)
        grad_x = compute_parameter_gradients(layer, grad_y)
        if self.needs_grad_x:
            grad_x = compute_grad_x(self, layer, grad_y, self.matrix)
        return grad_x


net = Sequential(Linear(4, 8), ReLU(), Linear(8, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=ThroughSigns(), quiet=True)
trainer.fit(Iris(), epochs=2)
print(len(trainer.history))

# %% bprop.trainers.UpDown
net = Sequential(Flatten(), SigmoidBelief(64, 16), ClassRBM(16, 10, 16))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=UpDown(), quiet=True)
trainer.fit(Digits(), epochs=1)
print(len(trainer.history))

# %% bprop.trainers.check_config
config = parse_config(
    """
    dataset: Iris
    model: [{Linear: {in_features: 4, out_features: 8}}, Tanh, {Linear: {in_features: 8, out_features: 3}}]
    loss: SoftmaxCrossEntropy
    optimizer: {SGD: {lr: 0.1}}
    trainer: {epochs: 1}
    """
)
print(check_config(config))

# %% bprop.trainers.ConfigReport
report = ConfigReport("a model of no modules", {})
print(report.ok)

# %% bprop.trainers.compile_step
net = Sequential(Linear(4, 8), Tanh(), Linear(8, 3))
step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.5))
x, target = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32), np.array([0, 1, 2, 0, 1, 2])
losses = [step(x, target) for _ in range(20)]
print(losses[-1] < losses[0])

# %% bprop.trainers.CompiledStep
step = compile_step(Linear(4, 3), SoftmaxCrossEntropy(), SGD(lr=0.5))
print(isinstance(step, CompiledStep), step.output_shape((6, 4)))

# %% bprop.trainers.GreedyPretraining
net = Sequential(Flatten(), SigmoidBelief(64, 16), ClassRBM(16, 10, 16))
pretraining = GreedyPretraining(epochs=1)
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=UpDown(), callbacks=[pretraining], quiet=True)
trainer.fit(Digits(), epochs=1)
print(len(trainer.history))

# %% bprop.trainers.Trainer
data = Iris()
trainer = Trainer(Sequential(Linear(4, 16), ReLU(), Linear(16, 3)), SoftmaxCrossEntropy(), Adam(lr=0.02), quiet=True)
trainer.fit(data, epochs=20)
print(trainer.evaluate(data)["accuracy"] > 0.8, trainer.predict(data.test.x[:2]).shape)

# %% bprop.trainers.TrainingError
trainer = Trainer(Linear(4, 3), SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True)
x = np.full((8, 4), np.nan, np.float32)
try:
    trainer.fit((x, np.zeros(8, int)), epochs=1)
except (TrainingError, ValueError) as error:
    print(type(error).__name__)

# %% bprop.trainers.Generator
net = Sequential(Embedding(3, 4), GRU(4, 8), Linear(8, 3))
generator = Generator(net, CharacterVocabulary("abc"), context=16)
print(len(generate(generator, "ab", length=5, seed=0)))

# %% bprop.trainers.generate
net = Sequential(Embedding(3, 4), GRU(4, 8), Linear(8, 3))
text = generate(Generator(net, CharacterVocabulary("abc"), context=16), "ab", length=5, temperature=0.5, seed=0)
print(set(text) <= set("abc"))

# %% bprop.trainers.DifferenceTargetPropagation
net = Sequential(Linear(4, 16), Tanh(), Linear(16, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=DifferenceTargetPropagation(), quiet=True)
trainer.fit(Iris(), epochs=3)
print(len(trainer.history))

# %% bprop.trainers.DirectFeedbackAlignment
net = Sequential(Linear(4, 16), Tanh(), Linear(16, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=DirectFeedbackAlignment(), quiet=True)
trainer.fit(Iris(), epochs=3)
print(len(trainer.history))

# %% bprop.trainers.EquilibriumPropagation
net = Sequential(Linear(4, 16), Tanh(), Linear(16, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=EquilibriumPropagation(), quiet=True)
trainer.fit(Iris(), epochs=3)
print(len(trainer.history))

# %% bprop.trainers.FeedbackAlignment
net = Sequential(Linear(4, 16), ReLU(), Linear(16, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=FeedbackAlignment(), quiet=True)
trainer.fit(Iris(), epochs=3)
print(len(trainer.history))

# %% bprop.trainers.ForwardForward
net = Sequential(Linear(4, 16), ReLU(), Linear(16, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=ForwardForward(), quiet=True)
trainer.fit(Iris(), epochs=3)
print(len(trainer.history))

# %% bprop.trainers.Hebbian
net = Sequential(Linear(4, 16), Tanh(), Linear(16, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=Hebbian(), quiet=True)
trainer.fit(Iris(), epochs=3)
print(len(trainer.history))

# %% bprop.trainers.PredictiveCoding
net = Sequential(Linear(4, 16), Tanh(), Linear(16, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=PredictiveCoding(), quiet=True)
trainer.fit(Iris(), epochs=3)
print(len(trainer.history))

# %% bprop.trainers.QuantizedWeights
net = Sequential(Linear(4, 16), ReLU(), Linear(16, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=QuantizedWeights(), quiet=True)
trainer.fit(Iris(), epochs=3)
print(len(trainer.history))

# %% bprop.trainers.SignSymmetry
net = Sequential(Linear(4, 16), ReLU(), Linear(16, 3))
trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.05), rule=SignSymmetry(), quiet=True)
trainer.fit(Iris(), epochs=3)
print(len(trainer.history))

# %% bprop.trainers.show_config
page = show_config("two_curves", steps=0)
print(page.startswith("<!DOCTYPE html>"))

# %% bprop.trainers.show_net
net = Sequential(Linear(4, 8), Tanh(), Linear(8, 3))
page = show_net(net, SoftmaxCrossEntropy(), np.ones((1, 4)), np.array([2]), SGD(lr=0.1))
print(page.startswith("<!DOCTYPE html>"))

# %% bprop.trainers.report_runs
try:
    report_runs(["runs/none"])  # report_runs(["runs/x"]) writes runs/x/report.html
except FileNotFoundError as error:
    print(type(error).__name__)
