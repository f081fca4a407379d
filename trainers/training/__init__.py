"""The Trainer: epochs, minibatches, the compiled step, evaluation, the state of a fit.

`thread_choice` decides the number of threads, `trainer_state` what a checkpoint holds; how it is written is in
`files`. Run folders are above it, in `runs`; optimizers, schedules and callbacks below.
"""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .compiled_step import CompiledStep, compile_step
    from .minibatches import TrainingError
    from .trainer import Trainer

__getattr__ = lazy_names(
    __name__,
    {
        "CompiledStep": "compiled_step",
        "Trainer": "trainer",
        "TrainingError": "minibatches",
        "compile_step": "compiled_step",
    },
)
