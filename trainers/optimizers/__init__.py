"""Optimizers: rules that update a model's flat parameter vector by its gradient.

Penalties, clipping, groups of parameters and averaged weights, which all rules share, are in `extras` and `groups`.
How a rate changes with time is a schedule, in `schedules`.
"""

from .adadelta import Adadelta
from .adafactor import Adafactor
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax
from .asgd import ASGD
from .conjugate_gradient import ConjugateGradient
from .full_batch import FullBatch
from .groups import Group
from .lbfgs import LBFGS
from .lion import Lion
from .muon import Muon
from .nadam import NAdam
from .newton_cg import NewtonCG
from .optimizer import Optimizer
from .radam import RAdam
from .rmsprop import RMSprop
from .rprop import Rprop
from .sgd import SGD

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ConjugateGradient",
    "FullBatch",
    "Group",
    "Lion",
    "Muon",
    "NAdam",
    "NewtonCG",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
]
