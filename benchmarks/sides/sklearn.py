"""scikit-learn: grid searches, of its own MLPClassifier and of estimators like it."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext

from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from ..workloads import GridSearch
from . import describe_blas


def describe_kernels() -> str:
    return f"BLAS: {describe_blas()}"


def use_threads(threads: int):
    """Set by the environment of the process, before NumPy is imported."""
    return nullcontext()


def search(estimator, work: GridSearch, **grid) -> Callable[[], object]:
    """Search a grid, without the last fit on all data; each call begins anew."""
    x, labels = work.data()
    return lambda: GridSearchCV(estimator, grid, cv=5, refit=False).fit(x, labels)


def grid(work: GridSearch) -> Callable[[], object]:
    """All epochs, without weight decay, as the other side."""
    settings = {"batch_size": work.batch, "max_iter": work.epochs, "alpha": 0.0, "tol": 0.0}
    estimator = MLPClassifier((work.sizes[1],), n_iter_no_change=work.epochs, random_state=0, **settings)
    warnings.simplefilter("ignore", ConvergenceWarning)
    return search(estimator, work, learning_rate_init=work.rates())
