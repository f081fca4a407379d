"""The weights of a data set's samples, as a loss takes them."""

import numpy as np

from ...datasets import ArrayDataset
from ...modules.losses.loss import Loss


def cast_sample_weights(data: ArrayDataset, loss: Loss) -> np.ndarray | None:
    """Cast the weights of a data set's samples to the loss's dtype; None where all are equal."""
    weights = data.sample_weight
    if weights is None:
        return None
    alike = (weights == weights[0]).all()
    averages = all(part.averages for part in loss.all_modules() if isinstance(part, Loss))
    return None if alike and (averages or weights[0] == 1) else weights.astype(loss.dtype)
