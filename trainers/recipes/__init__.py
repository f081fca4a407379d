"""Trainings made of a Trainer: scikit-learn's estimators, and layers that are trained one after the other."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .estimators import BpropClassifier, BpropRegressor
    from .greedy_pretraining import GreedyPretraining

__getattr__ = lazy_names(
    __name__,
    {
        "BpropClassifier": "estimators",
        "BpropRegressor": "estimators",
        "GreedyPretraining": "greedy_pretraining",
    },
)
