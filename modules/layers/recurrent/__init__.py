"""Recurrent layers: sequences (N, T, D) with or without lengths, cells of one step, and pools over time."""

from .cells import GRUCell, LSTMCell, RNNCell
from .gru import GRU
from .lstm import LSTM
from .over_time import LastStep, MaxOverTime, MeanOverTime
from .rnn import RNN
from .with_state import WithState

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "LastStep",
    "MaxOverTime",
    "MeanOverTime",
    "RNNCell",
    "WithState",
]
