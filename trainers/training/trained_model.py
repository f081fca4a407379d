"""What a trained model is used for."""

from typing import Any

import numpy as np

from ...datasets import ArrayDataset, Dataset
from ..metrics import MetricLike
from ..parallel.reading import share_parts
from .arguments import Data, check_token_inputs, choose_metrics, convert_to_labels, select_part
from .inputs import takes_table
from .parts import TrainingParts


class TrainedModel(TrainingParts):
    """The part of a Trainer that uses its model: evaluation, predictions, the distribution of targets."""

    def evaluate(self, data: Data, *, metrics: list[MetricLike] | None = None) -> dict[str, Any]:
        """Mean loss and metrics of a data set, in evaluation mode. A Dataset stands for its test part."""
        if self.ranks is not None:
            share_parts(self.ranks, data, ("test",))
        data = select_part(data, "test", self.loss)
        chosen = choose_metrics(self, data, metrics)
        return self.evaluation.compute_metrics(convert_to_labels(self, data), chosen, self.threads or 1)

    def predict(self, x, lengths=None) -> np.ndarray:
        """The outputs (N, ...) in evaluation mode, for an array of inputs (N, ...), or for data as `evaluate` takes.

        Args: lengths (N,): of the sequences x (N, T, ...); or x is the table (x, lengths).
        """
        if lengths is None and takes_table(self.model, x):
            x, lengths = x
        if lengths is None and isinstance(x, Dataset | ArrayDataset | tuple):
            data = select_part(x, "test", self.loss)
        else:
            x = np.atleast_1d(x)
            data = ArrayDataset(x, np.zeros(len(x), np.float32), lengths=lengths)
        check_token_inputs(self.model, data)
        return self.evaluation.compute_outputs(data, self.threads or 1)

    def distribution(self, x):
        """What the fitted model says of the targets of x: the distribution that the loss reads into `predict(x)`.

        Probabilities, samples and quantiles are one call away:

            trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1))
            trainer.fit(digits)
            trainer.distribution(x).probabilities               # (N, 10); .classes() are the most probable ones
            trainer.distribution(x).sample(random, 5)           # (5, N), random = np.random.default_rng(0)

        and of a regression with GaussianNLL or MixtureDensity

            trainer.distribution(x).mean                        # (N, ...)
            trainer.distribution(x).quantile(0.95)              # below it lie 95 % of the targets
            trainer.distribution(x).log_density(target)         # of each sample

        Where the data set standardises its targets, numbers are in those units.

        Errors: ValueError for a loss that is no likelihood.
        """
        return self.loss.distribution(self.predict(x))
