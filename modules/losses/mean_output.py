"""The mean of a model's output as its loss."""

from ..kernels.buffers import flat
from ..kernels.sums import sum_of
from .loss_bases import SampleLoss


class MeanOutput(SampleLoss):
    """The mean over samples of a model's outputs, for models whose output is what is to be made small.

        value    = Σₙₖ y[n, k] / N
        grad_y   = 1 / N

    Such outputs are energies (of Hopfield) and costs that a model computes itself. Targets are not looked at.

    Shapes: y (N, ...) of at least two axes; target (N, ...), whatever the data set has; sample_weight (N,).
    Args: reduction: mean (N counts samples) or sum (N is 1).
    Errors: ValueError for another number of targets.
    Source: LeCun et al., A tutorial on energy-based learning (2006), section 2.2.1, the energy loss.
    """

    def of_sample(self, y, target, grad_y):
        grad_y[...] = 1
        return sum_of(flat(y))

    def change_of_sample(self, y, target, v, change):
        """0: the gradient is constant."""

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        super().check_arguments(y_shape, y_shape)
        if tuple(y_shape[:1]) != tuple(target_shape[:1]):
            shapes = f"y has shape {tuple(y_shape)} and target {tuple(target_shape)}"
            raise ValueError(f"{self.label()}: {shapes}, expected one target a sample")
        return ()
