"""Models as scikit-learn estimators: for pipelines, cross-validation and hyperparameter search.

Layer sizes make a multilayer perceptron; any other model is given as a module, or as a function that makes one.
"""

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from ... import modules
from ...modules import Linear, Loss, Module, Sequential, Softmax
from ...modules.initializers.initializers import use_seed
from .. import optimizers
from ..optimizers import Optimizer
from ..training.evaluation import split_rows
from ..training.trainer import Trainer

Maker = Callable[[int, int], Module]


class BpropEstimator(BaseEstimator):
    """Base of the estimators: the model, its training, and its outputs."""

    default_loss = ""
    net_: Module

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (100,),
        *,
        activation: str = "ReLU",
        model: Module | Maker | None = None,
        loss: str | Loss | None = None,
        optimizer: str | Optimizer = "Adam",
        lr: float = 1e-3,
        epochs: int = 100,
        batch_size: int = 32,
        dtype: str | None = None,
        random_state=None,
        verbose: bool = False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    # -- the parts of a training -----------------------------------------------------------------------------------

    def _new_net(self, inputs: int, outputs: int) -> Module:
        if isinstance(self.model, Module):
            return self.model.copy().to(self.dtype_)
        if self.model is not None:
            return self.model(inputs, outputs).to(self.dtype_)
        sizes = [inputs, *np.atleast_1d(self.hidden_layer_sizes).astype(int).tolist(), outputs]
        unit = self._named(modules, self.activation, Module, "activation")
        layers = [layer for pair in pairwise(sizes) for layer in (Linear(*pair), unit())]
        return Sequential(*layers[:-1]).to(self.dtype_)

    def _new_loss(self) -> Loss:
        if isinstance(self.loss, Loss):
            return self.loss.copy().to(self.dtype_)
        return self._named(modules, self.loss or self.default_loss, Loss, "loss")().to(self.dtype_)

    def _new_optimizer(self) -> Optimizer:
        if isinstance(self.optimizer, Optimizer):
            optimizer = self.optimizer.copy()
            optimizer.reset()
            return optimizer
        return self._named(optimizers, self.optimizer, Optimizer, "optimizer")(lr=self.lr)

    def _named(self, package, name, kind: type, setting: str) -> Any:
        """Find the class of that name, as in a config; ValueError if there is none."""
        value = getattr(package, name, None) if isinstance(name, str) and name in package.__all__ else None
        if not (isinstance(value, type) and issubclass(value, kind)):
            expected = f"the name of {'an' if kind is Optimizer else 'a'} {kind.__name__}"
            expected += "" if setting == "activation" else " or an object"
            raise ValueError(f"{type(self).__name__}: {setting} is {name!r}, expected {expected}")
        return value

    def _new_trainer(self, net: Module, seed: int) -> Trainer:
        return Trainer(net, self._new_loss(), self._new_optimizer(), seed=seed, quiet=not self.verbose)

    def _train(self, x, y, outputs: int, epochs: int, weights, *, anew: bool) -> None:
        """Train for some epochs, from new or existing weights; samples of weight 0 are left out."""
        if weights is not None:
            weights = _check_sample_weight(weights, x, dtype=x.dtype, ensure_non_negative=True)
            mask = weights > 0
            x, y, weights = x[mask], y[mask], weights[mask]
        if anew or not hasattr(self, "net_"):
            self.dtype_ = str(np.dtype(self.dtype or x.dtype))
            seed = int(check_random_state(self.random_state).randint(2**31))
            with use_seed(seed):
                self._trainer = self._new_trainer(self._new_net(x.shape[1], outputs), seed)
        elif not hasattr(self, "_trainer"):  # loaded from a file: the weights go on, the optimizer starts anew
            self._trainer = self._new_trainer(self.net_.copy(), 0)
        trainer, x = self._trainer, x.astype(self.dtype_, copy=False)
        y = y if y.dtype.kind == "i" else y.astype(self.dtype_)
        data = (x, y) if weights is None else (x, y, weights)
        trainer.fit(data, epochs=epochs, batch_size=min(self.batch_size, len(x)), metrics=[])
        with trainer.optimizer.evaluated_weights(trainer.model):
            self.net_ = trainer.model.copy().eval()
        self.loss_curve_ = [row["train_loss"] for row in trainer.history]

    def _outputs(self, x) -> np.ndarray:
        """Compute the model's outputs for checked inputs."""
        check_is_fitted(self)
        x = validate_data(self, x, dtype=[np.float64, np.float32], reset=False).astype(self.dtype_, copy=False)
        return np.concatenate([self.net_.fprop(x[rows]) for rows in split_rows(len(x))])

    # -- copies and files ------------------------------------------------------------------------------------------

    def __deepcopy__(self, memo):
        """An estimator like this one, which goes on as this one would; a pickled one has the weights alone."""
        made = memo[id(self)] = object.__new__(type(self))
        vars(made).update(copy.deepcopy(vars(self), memo))
        return made

    def __getstate__(self):
        """Settings and arrays alone: a model that was made from layer sizes or by a function is made anew."""
        state = dict(super().__getstate__())
        state.pop("_trainer", None)
        if (net := state.pop("net_", None)) is not None:
            state["_weights"] = net.state_dict(), self._sizes()
        return state

    def __setstate__(self, state) -> None:
        state = dict(state)
        saved = state.pop("_weights", None)
        super().__setstate__(state)
        if saved is not None:
            self.net_ = self._new_net(*saved[1]).eval()
            self.net_.load_state_dict(saved[0])

    def _sizes(self) -> tuple[int, int]:
        return self.n_features_in_, self._n_outputs()


class BpropClassifier(ClassifierMixin, BpropEstimator):
    """A model as a scikit-learn classifier.

    Args: hidden_layer_sizes: units of each hidden layer; activation: a unit by its name in bprop.modules; model: in
        place of both, a module from (N, features) to (N, outputs), or a function (features, outputs) -> module; loss:
        a name or a Loss, by default SoftmaxCrossEntropy; optimizer: a name, made with `lr`, or an Optimizer; lr: the
        learning rate of an optimizer that is named; epochs, batch_size: as for Trainer.fit; dtype: float32, which
        trains faster, or float64, by default that of X; random_state: decides initial weights and the order of samples;
        verbose: show progress.
    After fit: net_ is the trained module, in evaluation mode; loss_curve_ the training loss of each epoch.
    Pickling, by which scikit-learn shares work among processes, takes settings and weights, no modules: for that, give
    a `model` as a function, and a loss and an optimizer by name. Inputs should be of the size of 1 (StandardScaler).
    Errors: ValueError for names that do not exist and data that do not fit; TrainingError if the loss is not finite.
    Source: Goodfellow et al., Deep Learning, section 6.2.2.3, in the draft 6.3.2; scikit-learn's MLPClassifier.
    """

    default_loss = "SoftmaxCrossEntropy"

    def fit(self, X, y, sample_weight=None) -> "BpropClassifier":
        """Train from new weights. Args: X (N, features); y (N,): labels of any kind; sample_weight (N,): at least 0."""
        X, y = self._checked(X, y, reset=True)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self._train(X, labels, self._n_outputs(), self.epochs, sample_weight, anew=True)
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None) -> "BpropClassifier":
        """Train for one epoch, on from the weights that are there. Args: classes: all labels, at the first call."""
        first = not hasattr(self, "net_")
        X, y = self._checked(X, y, reset=first)
        if first and classes is None:
            raise ValueError(f"{type(self).__name__}: classes is None, expected all labels at the first partial_fit")
        if first:
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"{type(self).__name__}: classes are {list(classes)}, expected {list(self.classes_)}")
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(f"{type(self).__name__}: y has {list(unknown)}, expected some of {list(self.classes_)}")
        self._train(X, np.searchsorted(self.classes_, y), self._n_outputs(), 1, sample_weight, anew=first)
        return self

    def predict_proba(self, X) -> np.ndarray:
        """Probabilities (N, classes), in the order of `classes_`."""
        y = self._outputs(X)
        return Softmax().to(self.dtype_).fprop(y)

    def predict(self, X) -> np.ndarray:
        """The most probable labels (N,)."""
        y = self._outputs(X)
        return self.classes_[y.argmax(axis=1)]

    def _checked(self, X, y, reset: bool):
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], reset=reset)
        check_classification_targets(y)
        return X, column_or_1d(y)

    def _n_outputs(self) -> int:
        return len(self.classes_)


class BpropRegressor(RegressorMixin, BpropEstimator):
    """A model as a scikit-learn regressor.

    Args, attributes and errors are those of BpropClassifier; the loss is by default MeanSquaredError. Targets (N,) or
    (N, K) are learned as they are: those far from the size of 1 want a TransformedTargetRegressor.
    Source: Goodfellow et al., Deep Learning, section 6.2.2.1, in the draft 6.3.2; scikit-learn's MLPRegressor.
    """

    default_loss = "MeanSquaredError"

    def fit(self, X, y, sample_weight=None) -> "BpropRegressor":
        """Train from new weights. Args: X (N, features); y (N,) or (N, K); sample_weight (N,): at least 0."""
        return self._fit(X, y, self.epochs, sample_weight, anew=True)

    def partial_fit(self, X, y, sample_weight=None) -> "BpropRegressor":
        """Train for one epoch, on from the weights that are there."""
        return self._fit(X, y, 1, sample_weight, anew=not hasattr(self, "net_"))

    def predict(self, X) -> np.ndarray:
        """Predictions, of the shape of the targets."""
        y = self._outputs(X).astype(np.float64)
        return y if self.target_ndim_ == 2 else y[:, 0]

    def _fit(self, X, y, epochs: int, weights, *, anew: bool) -> "BpropRegressor":
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True, reset=anew)
        self.target_ndim_ = y.ndim
        y = y.reshape(len(y), -1).astype(np.float64)
        self._train(X, y, y.shape[1], epochs, weights, anew=anew)
        self.n_outputs_ = y.shape[1]
        return self

    def _n_outputs(self) -> int:
        return self.n_outputs_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
