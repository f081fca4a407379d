"""Contrastive divergence: data shall have less free energy than what a net draws itself."""

from .loss_bases import SampleLoss


class ContrastiveDivergence(SampleLoss):
    """The mean of F(x) - F(x'), the outputs of an RBM: free energies of data and of samples.

        value  = Σₙ (y[n, 0] - y[n, 1]) / N
        grad_y = (1, -1) / N

    Its gradient, that of an RBM which draws x' by k steps of Gibbs sampling from x, is that of CD-k. The value is no
    measure of progress: it is about 0 for any weights that the samples have caught up with. Targets are not looked at.

    Shapes: y (N, 2); target (N, ...), whatever the data set has; sample_weight (N,).
    Args: reduction: mean (N counts samples) or sum (N is 1).
    Errors: ValueError for another shape of y, and for another number of targets.
    Source: Hinton, Training products of experts by minimizing contrastive divergence (2002), equation 8.
    """

    def of_sample(self, y, target, grad_y):
        grad_y[0], grad_y[1] = 1, -1
        return y[0] - y[1]

    def change_of_sample(self, y, target, v, change):
        """0: the gradient is constant."""

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        shapes = f"y has shape {tuple(y_shape)} and target {tuple(target_shape)}"
        if len(y_shape) != 2 or y_shape[1] != 2:
            raise ValueError(
                f"{self.label()}: y has shape {tuple(y_shape)}, expected (N, 2), two free energies a sample"
            )
        if y_shape[:1] != target_shape[:1]:
            shapes = f"y has shape {y_shape} and target {target_shape}"
            raise ValueError(f"{self.label()}: {shapes}, expected one target a sample")
        return ()
