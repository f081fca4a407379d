"""Layers defined by an energy, and associative memories: what they store are minima of it.

Losses that are energies of data and of what a net draws belong in `losses`.
"""

from .boltzmann_machine import BoltzmannMachine
from .class_rbm import ClassRBM
from .hopfield import Hopfield, Recall
from .modern_hopfield import ModernHopfield
from .rbm import RBM
from .self_organizing_map import SelfOrganizingMap
from .sigmoid_belief import SigmoidBelief

__all__ = [
    "RBM",
    "BoltzmannMachine",
    "ClassRBM",
    "Hopfield",
    "ModernHopfield",
    "Recall",
    "SelfOrganizingMap",
    "SigmoidBelief",
]
