"""Callbacks: hooks of a training, such as checkpoints and early stopping.

They see a Trainer through its public attributes. What every training does is in `training`.
"""

from .callback import Callback
from .checkpoint import Checkpoint
from .early_stopping import EarlyStopping
from .ema import EMA
from .free_energies import FreeEnergies
from .initial_weights import InitialWeights
from .nan_guard import NanGuard
from .statistics import Statistics
from .tensor_board import TensorBoard
from .time_budget import TimeBudget

__all__ = [
    "EMA",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "FreeEnergies",
    "InitialWeights",
    "NanGuard",
    "Statistics",
    "TensorBoard",
    "TimeBudget",
]
