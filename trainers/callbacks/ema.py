"""Exponential moving average of the weights, for evaluation and for the saved model."""

from ..optimizers.full_batch import FullBatch
from ..optimizers.optimizer import Optimizer
from .callback import Callback


class EMA(Callback):
    """Exponential moving average of the weights: it is evaluated and kept, while the training goes on without it.

        average = decay average + (1 - decay) parameter      after each step; after the first, the parameter itself

    It turns on the setting `ema` of the optimizer, whose compiled step averages: so metrics of validation and test, the
    best weights of EarlyStopping and Checkpoint and the weights of a run are averaged ones, and a resumed training has
    the same bits. `trainer.model` itself has the weights of the last step; within
    `trainer.optimizer.evaluated_weights(model)` it has the averaged ones.

    Args: decay: how much of the average a step leaves; about 1 / (1 - decay) steps count.
    Errors: ValueError for a decay that is not between 0 and 1, for an optimizer that has another `ema`, and for one
        that looks at all samples.
    Source: Goodfellow et al., Deep Learning, section 8.7.3; torch.optim.swa_utils.get_ema_avg_fn.
    """

    def __init__(self, decay: float = 0.999):
        if not 0 < decay < 1:
            raise ValueError(f"EMA: decay is {decay}, expected between 0 and 1")
        self.decay = float(decay)

    def prepare(self, optimizer: Optimizer) -> None:
        name = type(optimizer).__name__
        if isinstance(optimizer, FullBatch):
            raise ValueError(f"EMA: {name} looks at all samples for each step, expected an optimizer of minibatches")
        if optimizer.ema not in (0.0, self.decay):
            raise ValueError(
                f"EMA: decay is {self.decay}, but {name} has ema={optimizer.ema} already, expected one of both"
            )
        optimizer.ema = self.decay
