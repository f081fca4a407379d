"""The up-down algorithm: deep belief nets learn to generate what they recognise, and to recognise what they dream."""

from typing import ClassVar

import numpy as np

from ...modules.kernels.buffers import flat, reuse, reuse_like
from ...modules.kernels.elementary_functions import exp, sigmoid
from ...modules.kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows
from ...modules.kernels.philox import uniform
from ...modules.layers.energy import ClassRBM, SigmoidBelief
from ...modules.layers.energy.rbm import draw_bits
from .chain import ChainRule
from .checks import check_at_least


class Draws(ChainRule):
    """What is drawn: bits by scores or probabilities, and labels by scores."""

    kept = ("step", "chain", "label_chain")
    stream_axes: ClassVar[dict[str, int]] = {"chain": 0, "label_chain": 0}  # a chain for each sample

    def start(self, layer, input_shape, output_shape, outputs) -> None:
        chains = self.chains if isinstance(layer, ClassRBM) else 0
        self.chain, self.label_chain = np.zeros((chains, *input_shape)), np.zeros((chains, outputs))
        self.key = int(self.random().integers(2**62))
        self.lowest = self.index == 0
        self.h = self.p = self.dreamt = self.sample = self.s = np.zeros((0, 0))
        self.labels, self.noise = np.zeros((0, 0)), np.zeros(0)

    def draw_noise(self, count, like):
        """Draw numbers from 0 to 1, of the dtype of `like`; others at each call."""
        self.noise = reuse(self.noise, (count,), like.dtype)
        uniform(self.key, self.step, self.noise)
        self.step += 1

    def draw(self, scores):
        """Turn scores into bits, 1 with the probability of their sigmoid."""
        self.draw_noise(scores.size, scores)
        draw_bits(flat(scores), self.noise)

    def draw_from_probabilities(self, p):
        """Turn probabilities into bits."""
        self.draw_noise(p.size, p)
        bits = flat(p)
        for i in range(bits.size):
            bits[i] = 1 if self.noise[i] < bits[i] else 0 * bits[i]

    def draw_labels(self, scores):
        """Turn scores into one 1 a row, by the probabilities of their softmax."""
        self.draw_noise(len(scores), scores)
        for row in range(len(scores)):
            largest, total = scores[row].max(), 0 * scores[row, 0]
            for k in range(scores.shape[1]):
                scores[row, k] = exp(scores[row, k] - largest)
                total += scores[row, k]
            rest, chosen = self.noise[row] * total, 0
            for k in range(scores.shape[1]):
                chosen = k
                rest -= scores[row, k]
                if rest < 0:
                    break
            scores[row] = 0
            scores[row, chosen] = 1


class BeliefLayers(Draws):
    """Wake and sleep at each SigmoidBelief layer."""

    def wake(self, layer, x):
        """Draw the states above x, and learn to generate x from them."""
        self.h = reuse(self.h, (x.shape[0], layer.bias.size), x.dtype)
        matmul_into(x, layer.weight.T, self.h, False)
        add_to_rows(self.h, layer.bias)
        self.draw(self.h)
        self.p = reuse_like(self.p, x)
        matmul_into(self.h, layer.generative_weight, self.p, False)
        add_to_rows(self.p, layer.generative_bias)
        write_mean_errors(flat(self.p), flat(x), x.shape[0])
        matmul_into(self.h.T, self.p, layer.grad_generative_weight, False)
        sum_rows(self.p, layer.grad_generative_bias, False)
        return self.h

    def sleep(self, layer, h):
        """Dream states below h, and learn to recognise h in them."""
        self.dreamt = reuse(self.dreamt, (h.shape[0], layer.generative_bias.size), h.dtype)
        matmul_into(h, layer.generative_weight, self.dreamt, False)
        add_to_rows(self.dreamt, layer.generative_bias)
        if self.lowest:
            dreamt = flat(self.dreamt)
            for i in range(dreamt.size):
                dreamt[i] = sigmoid(dreamt[i])
        else:
            self.draw(self.dreamt)
        self.p = reuse_like(self.p, h)
        matmul_into(self.dreamt, layer.weight.T, self.p, False)
        add_to_rows(self.p, layer.bias)
        write_mean_errors(flat(self.p), flat(h), h.shape[0])
        matmul_into(self.p.T, self.dreamt, layer.grad_weight, False)
        sum_rows(self.p, layer.grad_bias, False)
        return self.dreamt


class TopLevel(BeliefLayers):
    """The associative memory of features and labels: Gibbs sampling at the ClassRBM."""

    def associate(self, layer, x, target):
        """Learn x with its label by k steps of Gibbs sampling; returns the states below in which that ends."""
        n, classes = x.shape[0], layer.label_bias.size
        self.s = reuse(self.s, (n, layer.hidden_bias.size), x.dtype)
        self.h = reuse_like(self.h, self.s)
        self.labels, self.sample = reuse(self.labels, (n, classes), x.dtype), reuse_like(self.sample, x)
        self.labels[...] = 0
        for row in range(n):
            self.labels[row, target[row]] = 1
        self.sample[...] = x
        self.write_hidden(layer)
        self.add_statistics(layer, -1, False)
        if self.chains > 0:
            self.begin_chains()
            self.write_hidden(layer)
        for step in range(self.steps):
            if step > 0:
                self.write_hidden(layer)
            self.h[...] = self.s
            self.draw_from_probabilities(self.h)
            matmul_into(self.h, layer.label_weight, self.labels, False)
            add_to_rows(self.labels, layer.label_bias)
            self.draw_labels(self.labels)
            matmul_into(self.h, layer.weight, self.sample, False)
            add_to_rows(self.sample, layer.visible_bias)
            self.draw(self.sample)
        for row in range(min(n, self.chains)):
            self.chain[row], self.label_chain[row] = self.sample[row], self.labels[row]
        self.write_hidden(layer)
        self.add_statistics(layer, 1, True)
        return self.sample

    def begin_chains(self):
        """Begin with the states in which the chains ended at the last minibatch."""
        for row in range(len(self.sample)):
            k = row % self.chains
            self.sample[row], self.labels[row] = self.chain[k], self.label_chain[k]

    def write_hidden(self, layer):
        """s = σ(c + W x + U label), the probabilities of the hidden units."""
        matmul_into(self.sample, layer.weight.T, self.s, False)
        matmul_into(self.labels, layer.label_weight.T, self.s, True)
        add_to_rows(self.s, layer.hidden_bias)
        s = flat(self.s)
        for i in range(s.size):
            s[i] = sigmoid(s[i])

    def add_statistics(self, layer, sign, add):
        """The gradients: sign times the means over the samples of s xᵀ, s labelᵀ, s, x and label, added or written."""
        scale = self.s.dtype.type(sign) / len(self.s)
        self.h[...] = scale * self.s
        matmul_into(self.h.T, self.sample, layer.grad_weight, add)
        matmul_into(self.h.T, self.labels, layer.grad_label_weight, add)
        sum_rows(self.h, layer.grad_hidden_bias, add)
        add_scaled_rows(self.sample, scale, layer.grad_visible_bias, add)
        add_scaled_rows(self.labels, scale, layer.grad_label_bias, add)


class UpDown(TopLevel):
    """Up-down: contrastive wake-sleep, for a chain of SigmoidBelief layers with a ClassRBM at the end.

        wake     h ~ σ(x Wᵀ + b), layer by layer upwards         ΔG = hᵀ (x - σ(h G + g)) / N
        top      k steps of Gibbs sampling from (x, label)       ΔW = (sᵀ x - s'ᵀ x') / N, likewise U and the biases
        sleep    x' ~ σ(h' G + g), layer by layer downwards      ΔW = (h' - σ(x' Wᵀ + b))ᵀ x' / N

    x and h are a layer's lower and upper states, W its recognition and G its generative weights; s are the
    probabilities of the top's hidden units given what is below and the label, x' and s' those after the Gibbs steps.
    The biases change alike, and the optimizer gets -Δ as the gradients. The lowest layer sees and dreams probabilities.
    The loss is told only. A ClassRBM alone learns by contrastive divergence (CD-k) with labels joined.

    With `chains` Gibbs sampling at the top goes on from where it ended at the last minibatch, not from (x, label). CD-k
    from the data shapes the energy near the data alone: what is generated for a label then may stay where it began.

    Args: steps: k, at least 1; chains: 0, or the number of chains that persist, of which a minibatch moves on as many
        as it has samples; seed: of what is drawn.
    Errors: ValueError for other steps and chains, for a net that is no such chain, and for targets that are no labels.
    Source: Hinton, Osindero and Teh, A fast learning algorithm for deep belief nets (2006), section 5 and appendix B;
        Tieleman, Training restricted Boltzmann machines using approximations to the likelihood gradient (2008), on
        chains; Géron, appendix E, on deep belief nets.
    """

    def __init__(self, steps: int = 3, chains: int = 0, seed: int = 0):
        super().__init__(seed)
        check_at_least("UpDown", 1, steps=steps)
        check_at_least("UpDown", 0, chains=chains)
        self.steps, self.chains = steps, chains
        self.step = 0

    def make_copies(self, net, x_shape) -> None:
        super().make_copies(net, x_shape)
        for block in self.blocks:
            kind = ClassRBM if block is self.blocks[-1] else SigmoidBelief
            where = f"{block.layer.path()} {block.layer.label()}"
            if not isinstance(block.layer, kind):
                place = "as the last layer" if kind is ClassRBM else "below the last layer"
                raise ValueError(f"{self.label()}: there is {where}, expected a {kind.__name__} {place}")
            if block.units:
                unit = block.units[0].label()
                raise ValueError(f"{self.label()}: {unit} stands after {where}, expected the next layer, or the end")

    def check_target(self, target) -> None:
        if target.ndim != 1 or target.dtype.kind != "i":
            shown = f"{target.dtype} of shape {target.shape}"
            raise ValueError(f"{self.label()}: the targets are {shown}, expected labels (N,), one for each sample")

    def write_step(self, operations, net, loss, x, *targets):
        x = self.write_first(operations, x)
        y = x
        for block in self.blocks:
            y = operations.fprop(block.layer, y)
        value = operations.call(loss, "fprop", y, *targets)
        *belief, top = self.blocks
        for block in belief:
            x = operations.call(block.copy, "wake", x, other=block.layer)
        x = operations.call(top.copy, "associate", x, targets[0], other=top.layer)
        for block in reversed(belief):
            x = operations.call(block.copy, "sleep", x, other=block.layer)
        return value, y


def write_mean_errors(scores, states, samples):
    """scores = (σ(scores) - states) / samples."""
    for i in range(scores.size):
        scores[i] = (sigmoid(scores[i]) - states[i]) / samples


def add_scaled_rows(rows, scale, out, add):
    """out (+)= scale Σₙ rows[n]."""
    if not add:
        out[...] = 0
    for n in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            out[i] += scale * rows[n, i]
