"""Metrics of a set of predictions, by name or as objects, computed once an epoch.

They are written in NumPy, since importing scikit-learn takes longer than many a training; tests compare them with
scikit-learn's. What training minimizes is a loss, in `modules/losses`.
"""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...modules.core.type_errors import describe_wrong_type
from ...modules.losses.multi_loss import LossPart, MultiLoss
from ..files.suggest import format_suggestion
from .classification import F1, ConfusionMatrix, Precision, Recall, TopK, accuracy, error
from .metric import FunctionMetric, Metric, MetricLike
from .probabilistic import CalibrationError, brier, log_loss, roc_auc
from .probabilities import compute_means, compute_scores, drop_ignored, move_classes_last, select_samples
from .regression import mae, r2, rmse
from .sequences import bits_per_character, perplexity, sequence_accuracy

__all__ = [
    "F1",
    "METRICS",
    "CalibrationError",
    "ConfusionMatrix",
    "Metric",
    "MetricLike",
    "Precision",
    "Recall",
    "TopK",
    "accuracy",
    "bits_per_character",
    "brier",
    "compute_metrics",
    "error",
    "find_metrics",
    "larger_is_better",
    "log_loss",
    "mae",
    "perplexity",
    "r2",
    "rmse",
    "roc_auc",
    "sequence_accuracy",
]

_AVERAGED = [kind(average) for kind in (Precision, Recall, F1) for average in ("macro", "micro", "binary")]
_SINGLE = [accuracy, error, TopK(5), ConfusionMatrix(), roc_auc, log_loss, brier, CalibrationError(), rmse, mae, r2]
_SINGLE += [perplexity, bits_per_character, sequence_accuracy]
METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_SINGLE, *_AVERAGED)}


class PartMetric(Metric):
    """A metric of one part of a MultiLoss, on that part's outputs and targets."""

    def __init__(self, part: LossPart, metric: Metric):
        self.part, self.metric = part, metric
        self.better, self.number = metric.better, metric.number  # type: ignore[misc]

    @property
    def name(self) -> str:
        return f"{self.part.name}_{self.metric.name}"

    def value(self, y: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None) -> Any:
        y, target = self.part.select_outputs(y), self.part.select_targets(target)
        values = compute_metrics({"": self.metric}, self.part.loss, y, target, _OWN_UNITS, sample_weight)
        return values[""]


_OWN_UNITS = SimpleNamespace(target_mean=0, target_std=1)


def find_part_metric(name: str, loss: Any) -> Metric | None:
    """Find the metric `digit_accuracy` of the part `digit` of a MultiLoss; None if there is none."""
    for part_name, part in loss.named_parts().items() if isinstance(loss, MultiLoss) else ():
        inner = name.removeprefix(f"{part_name}_")
        if inner != name and inner in METRICS:
            return PartMetric(part, METRICS[inner])
    return None


def find_metrics(metrics: Iterable[MetricLike], loss: Any = None) -> dict[str, Metric]:
    """Find metrics by name, also objects and functions; ValueError for an unknown name.

    Args: loss: if it is a MultiLoss, a metric of one of its parts has that part's name in front.
    """
    result: dict[str, Metric] = {}
    for item in metrics:
        metric = METRICS.get(item) or find_part_metric(item, loss) if isinstance(item, str) else item
        if metric is None:
            known = ", ".join(METRICS)
            raise ValueError(
                f"Trainer: there is no metric {item!r}, expected some of {known}{format_suggestion(item, METRICS)}"
            )
        if isinstance(metric, type) or not callable(metric):
            raise ValueError(f"Trainer: a metric is {describe_wrong_type(metric, 'a name, a Metric or a function')}")
        metric = metric if isinstance(metric, Metric) else FunctionMetric(metric)
        if metric.name in result:
            raise ValueError(f"Trainer: two metrics have the name {metric.name!r}, expected different ones")
        result[metric.name] = metric
    return result


def compute_metrics(
    metrics: Mapping[str, Metric],
    loss: Any,
    y: np.ndarray,
    target: np.ndarray,
    data: Any,
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """Compute metrics of outputs and targets; `data` knows the scale of the targets, `loss` the probabilities.

    Rows whose label the loss ignores, and samples of weight 0, are left out; NaN where none remains.
    """
    sequences = y, target, weights
    y, target, weights = move_classes_last(loss, y, target, weights)
    y, target, weights = drop_ignored(loss, y, target, weights)
    expected = compute_means(loss, y) if any(metric.of_numbers for metric in metrics.values()) else y
    values = {}
    for name, metric in metrics.items():
        outputs = expected if metric.of_numbers else y
        if metric.whole_samples:
            values[name] = metric(*select_samples(loss, *sequences)) if len(sequences[0]) else np.nan
        elif not len(y):
            values[name] = np.nan
        elif metric.in_units and (data.target_mean, data.target_std) != (0, 1):
            own, targets = (np.asarray(a, np.float64) * data.target_std + data.target_mean for a in (outputs, target))
            values[name] = metric(own, targets, weights)
        else:
            values[name] = metric(*compute_scores(metric, loss, outputs, target), weights)
    return values


def larger_is_better(column: str, metrics: Mapping[str, Metric] = METRICS) -> bool:
    """Whether a column of metrics such as valid_accuracy is better when larger; a loss is not.

    Args: metrics: those that the columns may be of; of others, whose name ends in accuracy or begins with top_ does.
    """
    name = column.removeprefix("train_").removeprefix("valid_")
    metric = metrics.get(name) or METRICS.get(name)
    return name.endswith("accuracy") or name.startswith("top_") if metric is None else metric.better == "max"
