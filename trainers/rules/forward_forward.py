"""The forward-forward algorithm: two forward passes, of right and of wrong labels, and no backward pass."""

import numpy as np

from ...modules.kernels.buffers import flat, reuse, reuse_like
from ...modules.kernels.philox import uniform
from .chain import ChainRule, Switches
from .checks import check_scale


class LabelledInputs:
    """Samples with labels in their first numbers, right, wrong and each in turn: compiled, at the first block."""

    def without_label(self, x):
        """x with zeros in the place of a label."""
        self.labelled = reuse_like(self.labelled, x)
        self.labelled[:] = x
        self.labelled[:, : self.classes] = 0
        return self.labelled

    def draw_wrong(self, y, target):
        """Draw a wrong label for each sample, by the probabilities that the last layer's outputs y give."""
        self.noise = reuse(self.noise, (len(y),), y.dtype)
        self.wrong = reuse(self.wrong, (len(y),), target.dtype)
        uniform(self.key, self.step, self.noise)
        self.step += 1
        for n in range(len(y)):
            largest, total = y[n].max(), y.dtype.type(0)
            for k in range(self.classes):
                if k != target[n]:
                    total += np.exp(y[n, k] - largest) + y.dtype.type(1e-3)
            rest, chosen = self.noise[n] * total, 0
            for k in range(self.classes):
                if k != target[n]:
                    chosen = k
                    rest -= np.exp(y[n, k] - largest) + y.dtype.type(1e-3)
                    if rest < 0:
                        break
            self.wrong[n] = chosen

    def with_labels(self, x, target):
        """x with the right labels, then x with the wrong ones: (2N, ...)."""
        n = len(x)
        self.labelled = reuse(self.labelled, (2 * n, x.shape[1]), x.dtype)
        self.labelled[:n] = x
        self.labelled[n:] = x
        self.labelled[:, : self.classes] = 0
        for k in range(n):
            self.labelled[k, target[k]] = self.strength
            self.labelled[n + k, self.wrong[k]] = self.strength
        return self.labelled

    def begin_scores(self, x):
        """Begin with zeros as scores."""
        self.scores = reuse(self.scores, (len(x), self.classes), x.dtype)
        self.scores[:] = 0
        self.class_index = 0

    def with_next_label(self, x):
        """x with the next class as the label of all samples."""
        self.labelled = reuse_like(self.labelled, x)
        self.labelled[:] = x
        self.labelled[:, : self.classes] = 0
        self.labelled[:, self.class_index] = self.strength
        self.class_index += 1
        return self.labelled

    def add_score(self, y):
        """Add a block's goodness to the scores of the class."""
        for n in range(len(y)):
            row = flat(y[n])
            total = y.dtype.type(0)
            for i in range(row.size):
                total += row[i] * row[i]
            self.scores[n, self.class_index - 1] += self.sharpness * total / row.size

    def get_scores(self):
        """The scores (N, classes)."""
        return self.scores


class LocalLoss:
    """What a block learns from its own outputs alone: compiled, at each block."""

    def normalize(self, h):
        """h / √mean h² of each sample."""
        self.normal = reuse_like(self.normal, h)
        for n in range(len(h)):
            row, out = flat(h[n]), flat(self.normal[n])
            total = h.dtype.type(0)
            for i in range(row.size):
                total += row[i] * row[i]
            scale = 1 / (np.sqrt(total / row.size) + h.dtype.type(1e-4))
            for i in range(row.size):
                out[i] = row[i] * scale
        return self.normal

    def push(self, y):
        """The gradient of the local loss by y, whose first half has the right labels."""
        self.grad = reuse_like(self.grad, y)
        for n in range(len(y)):
            row, out = flat(y[n]), flat(self.grad[n])
            total = y.dtype.type(0)
            for i in range(row.size):
                total += row[i] * row[i]
            logit = self.sharpness * (total / row.size - self.threshold)
            slope = -1 / (1 + np.exp(logit)) if 2 * n < len(y) else 1 / (1 + np.exp(-logit))
            scale = y.dtype.type(slope * self.sharpness * 2 / (row.size * len(y)))
            for i in range(row.size):
                out[i] = scale * row[i]
        return self.grad


class ForwardForward(LabelledInputs, LocalLoss, Switches, ChainRule):
    """Forward-forward: each layer alone tells samples with their label from samples with a wrong one.

        goodness     g = mean y²                          of a block's outputs y, for one sample
        local loss   log(1 + exp(∓ sharpness (g - threshold)))   - for the right label, + for a wrong one
        input        h / √mean h²                         of a block after the first: the goodness below is hidden

    The label stands in the first inputs of a sample, one for each class, which the data must leave free (the corner of
    MNIST's images is blank). Wrong labels are drawn from what the last layer takes for likely. The last layer learns
    the targets by the loss, from the block before it, of samples without a label. In `Trainer.evaluate` and `predict`
    the net answers with a score for each class, `sharpness` times the goodness summed over all blocks but the first
    (over it, too, if there is one alone), with each label in turn; its own fprop answers by the last layer.

    Args: threshold: of the goodness; sharpness: of the local loss; strength: the input that stands for a label; seed:
        of the wrong labels.
    Errors: ValueError for settings out of range, for a net that is no Sequential, has no block before the last layer,
        or whose samples are no vectors longer than the classes; for targets that are no labels.
    Source: Hinton, The forward-forward algorithm: some preliminary investigations (2022), sections 2 and 3.3.
    """

    changes_outputs = True
    kept = ("step",)

    def __init__(self, threshold: float = 1.0, sharpness: float = 10.0, strength: float = 1.0, seed: int = 0):
        super().__init__(seed)
        self.threshold = check_scale("ForwardForward", threshold, "threshold")
        self.sharpness = check_scale("ForwardForward", sharpness, "sharpness")
        self.strength = check_scale("ForwardForward", strength, "strength")
        self.step = 0

    def make_copies(self, net, x_shape) -> None:
        super().make_copies(net, x_shape)
        if len(self.blocks) < 2:
            raise ValueError(f"{self.label()}: the model has one layer with weights, expected at least 2")

    def check_target(self, target) -> None:
        if target.ndim != 1 or target.dtype.kind != "i":
            shown = f"{target.dtype} of shape {target.shape}"
            raise ValueError(f"{self.label()}: the targets are {shown}, expected labels (N,), one for each sample")

    def start(self, layer, input_shape, output_shape, outputs) -> None:
        if self.index == 0 and (len(input_shape) != 1 or input_shape[0] <= outputs):
            problem = f"{layer.path()} takes samples of shape {input_shape}"
            raise ValueError(f"{self.label()}: {problem}, expected more than {outputs} numbers, the first for labels")
        self.classes = outputs
        self.key = int(self.random().integers(2**62))
        self.class_index = 0
        self.labelled, self.noise = np.zeros((0, 0)), np.zeros(0)
        self.wrong = np.zeros(0, np.int64)
        self.scores = np.zeros((0, 0))
        self.normal = np.zeros((0,) * (len(input_shape) + 1))
        self.grad = np.zeros((0,) * (len(output_shape) + 1))

    # -- the plan ----------------------------------------------------------------------------------------------------

    def write_hidden(self, operations, x):
        """Write the blocks before the last on the inputs x; yields each with the name of its output."""
        for k, block in enumerate(self.blocks[:-1]):
            x = block.write_fprop(operations, operations.call(block.copy, "normalize", x) if k else x)
            yield block, x

    def write_step(self, operations, net, loss, x, *targets):
        first, last = self.blocks[0].copy, self.blocks[-1]
        x = self.write_first(operations, x)
        for block in self.blocks:
            operations.call(block.copy, "ask_parameters", other=block.layer)
        *_, (_, h) = self.write_hidden(operations, operations.call(first, "without_label", x))
        y = last.write_fprop(operations, operations.call(last.copy, "normalize", h))
        value = operations.call(loss, "fprop", y, *targets)
        last.write_bprop(operations, operations.call(loss, "bprop"))
        operations.call(first, "draw_wrong", y, targets[0])
        for block, h in self.write_hidden(operations, operations.call(first, "with_labels", x, targets[0])):
            block.write_bprop(operations, operations.call(block.copy, "push", h))
        self.write_end(operations)
        return value, y

    def write_outputs(self, operations, net, x):
        first, hidden = self.blocks[0].copy, self.blocks[:-1]
        x = self.write_first(operations, x)
        operations.call(first, "begin_scores", x)
        with operations.repeated(first, "classes"):
            for block, h in self.write_hidden(operations, operations.call(first, "with_next_label", x)):
                if block is not self.blocks[0] or len(hidden) == 1:
                    operations.call(first, "add_score", h)
        return operations.call(first, "get_scores")
