"""Learning rules: what travels backward through a net in the place of the gradient; optimizers are beside them.

A rule is compiled into the training step; a Trainer takes it as `rule=`, a config as `rule:`.
"""

from .chain import ChainRule
from .equilibrium_propagation import EquilibriumPropagation
from .feedback import DirectFeedbackAlignment, FeedbackAlignment, SignSymmetry
from .forward_forward import ForwardForward
from .gradients import compute_grad_x, compute_parameter_gradients
from .hebbian import Hebbian
from .predictive_coding import PredictiveCoding
from .quantized import QuantizedWeights
from .rule import Rule
from .target_propagation import DifferenceTargetPropagation
from .up_down import UpDown

__all__ = [
    "ChainRule",
    "DifferenceTargetPropagation",
    "DirectFeedbackAlignment",
    "EquilibriumPropagation",
    "FeedbackAlignment",
    "ForwardForward",
    "Hebbian",
    "PredictiveCoding",
    "QuantizedWeights",
    "Rule",
    "SignSymmetry",
    "UpDown",
    "compute_grad_x",
    "compute_parameter_gradients",
]
