"""Training: the Trainer, optimizers, callbacks, configs, run folders and the command line.

Names are imported when they are first used, so that `bprop --help` answers at once. Imports run downwards: cli,
tools, plots, runs, training, then optimizers, rules, schedules, metrics, augments and callbacks.
"""

from typing import TYPE_CHECKING

from .lazy_names import lazy_names

if TYPE_CHECKING:
    from .augments import *
    from .callbacks import *
    from .generation.generator import Generator, generate
    from .metrics import F1, CalibrationError, ConfusionMatrix, Metric, Precision, Recall, TopK
    from .optimizers import *
    from .recipes.estimators import BpropClassifier, BpropRegressor
    from .recipes.greedy_pretraining import GreedyPretraining
    from .report import report_runs
    from .rules import *
    from .schedules import *
    from .show.show import show_config, show_net
    from .tools.gradient_doctor import ConfigReport, check_config
    from .training.compiled_step import CompiledStep, compile_step
    from .training.minibatches import TrainingError
    from .training.trainer import Trainer

_PLACES = {
    "ASGD": "optimizers",
    "Adadelta": "optimizers",
    "Adafactor": "optimizers",
    "Adagrad": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "Adamax": "optimizers",
    "Affine": "augments",
    "Augment": "augments",
    "Augmentation": "augments",
    "BpropClassifier": "recipes",
    "BpropRegressor": "recipes",
    "CalibrationError": "metrics",
    "Callback": "callbacks",
    "ChainRule": "rules",
    "Checkpoint": "callbacks",
    "CompiledStep": "training",
    "ConfigReport": "tools",
    "ConfusionMatrix": "metrics",
    "ConjugateGradient": "optimizers",
    "ConstantSchedule": "schedules",
    "CosineRestartsSchedule": "schedules",
    "CosineSchedule": "schedules",
    "Cutout": "augments",
    "DifferenceTargetPropagation": "rules",
    "DirectFeedbackAlignment": "rules",
    "EMA": "callbacks",
    "EarlyStopping": "callbacks",
    "Elastic": "augments",
    "EquilibriumPropagation": "rules",
    "ExponentialSchedule": "schedules",
    "F1": "metrics",
    "FeedbackAlignment": "rules",
    "Flip": "augments",
    "ForwardForward": "rules",
    "FreeEnergies": "callbacks",
    "FullBatch": "optimizers",
    "Generator": "generation",
    "GreedyPretraining": "recipes",
    "Group": "optimizers",
    "Hebbian": "rules",
    "InitialWeights": "callbacks",
    "InverseTimeSchedule": "schedules",
    "LBFGS": "optimizers",
    "LambdaSchedule": "schedules",
    "LinearSchedule": "schedules",
    "Lion": "optimizers",
    "Metric": "metrics",
    "MultiStepSchedule": "schedules",
    "Muon": "optimizers",
    "NAdam": "optimizers",
    "NanGuard": "callbacks",
    "NewtonCG": "optimizers",
    "OneCycleSchedule": "schedules",
    "Optimizer": "optimizers",
    "PlateauSchedule": "schedules",
    "PolynomialSchedule": "schedules",
    "Precision": "metrics",
    "PredictiveCoding": "rules",
    "QuantizedWeights": "rules",
    "RAdam": "optimizers",
    "RMSprop": "optimizers",
    "Recall": "metrics",
    "Rprop": "optimizers",
    "Rule": "rules",
    "SGD": "optimizers",
    "Schedule": "schedules",
    "Shift": "augments",
    "SignSymmetry": "rules",
    "Statistics": "callbacks",
    "StepSchedule": "schedules",
    "TensorBoard": "callbacks",
    "TimeBudget": "callbacks",
    "TopK": "metrics",
    "Trainer": "training",
    "TrainingError": "training",
    "UpDown": "rules",
    "WarmupSchedule": "schedules",
    "check_config": "tools",
    "compile_step": "training",
    "compute_grad_x": "rules",
    "compute_parameter_gradients": "rules",
    "generate": "generation",
    "report_runs": "report",
    "show_config": "show",
    "show_net": "show",
}
_NOT_IN_ALL = {"BpropClassifier", "BpropRegressor"}  # configs import all of it, and scikit-learn takes its time

if not TYPE_CHECKING:  # type checkers read the imports above
    __all__ = sorted(_PLACES.keys() - _NOT_IN_ALL, key=lambda name: (not name.isupper(), name[0].islower(), name))

__getattr__ = lazy_names(__name__, _PLACES)
