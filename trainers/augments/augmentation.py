"""A sequence of augmentations, for trainings and for plots of them."""

from collections.abc import Sequence

import numpy as np

from ...modules.engine.operations import Function, Operation
from ...modules.engine.plan import Plan
from ...modules.engine.stateful import jit_disabled
from .augment import Augment

SEEDS = 2**64 - 2  # an epoch that no training reaches, so that the keys have random numbers of their own


class Augmentation:
    """What a training does to its images: `augmentation(x, place)` are those (N, C, H, W) that the model sees.

    A Trainer takes `augment=[Shift(2), Flip()]`; in a custom loop

        augmentation, size = Augmentation([Shift(2), Flip()]), 32
        for epoch in range(10):
            augmentation.begin(epoch)
            for k, (x, target) in enumerate(train.minibatches(size, shuffle=True, epoch=epoch)):
                step(augmentation(x, k * size), target)

    Args: augments: copied, so that one object may stand in two trainings; seed: decides all that is drawn.
    """

    def __init__(self, augments: Sequence[Augment], seed: int = 0):
        self.augments = tuple(augment.copy() for augment in augments)
        words = np.random.Philox(key=np.array([seed, SEEDS], np.uint64)).random_raw(len(self.augments))
        for augment, word in zip(self.augments, words, strict=True):
            augment.key = int(word >> np.uint64(1))
        self._plan: tuple[Plan, Function] | None = None

    def begin(self, epoch: int, dtype: str | np.dtype = "float32") -> None:
        """Draw the random numbers of this epoch, in the model's dtype."""
        for augment in self.augments:
            if augment.dtype != dtype:
                vars(augment)["_dtype"] = np.dtype(dtype)
                augment.forget_plans()
                self._plan = None
            augment.epoch = epoch

    def check(self, input_shape: tuple[int, ...]) -> None:
        """Raise ValueError for samples that are no images, or too small."""
        for augment in self.augments:
            augment.check(input_shape)

    def operations(self, place: str) -> list[Operation]:
        """Append the operations that transform `x` to a plan."""
        return [Operation("x", augment, "apply", ("x", place)) for augment in self.augments]

    def __call__(self, x: np.ndarray, place: int = 0) -> np.ndarray:
        """Transform the images x, whose first one is at this position in the epoch's order."""
        if not self.augments:
            return x
        x = np.ascontiguousarray(x, self.augments[0].dtype)
        if jit_disabled():
            for augment in self.augments:
                x = augment.apply(x, place)
            return x.copy()
        if self._plan is None:
            title = f"Augmentation by {', '.join(augment.outline() for augment in self.augments)}."
            function = Function("augment", self.operations("place"), ("x", "place"), ("x",))
            self._plan = Plan(title, [function], {"x": x, "place": place}), function
        plan, function = self._plan
        return plan.call(function, x, place).copy()
