"""Layers defined by an energy, and associative memories: what they store are minima of it.

Losses that are energies of data and of what a net draws belong in `losses`.
"""

from .boltzmann_machine import BoltzmannMachine
from .hopfield import Hopfield, Recall
from .modern_hopfield import ModernHopfield
from .rbm import RBM
from .self_organizing_map import SelfOrganizingMap

__all__ = ["RBM", "BoltzmannMachine", "Hopfield", "ModernHopfield", "Recall", "SelfOrganizingMap"]
