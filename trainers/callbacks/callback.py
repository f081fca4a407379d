"""The base class of callbacks: the hooks that a training calls, and their saved state."""

from typing import Any


class Callback:
    """Base of callbacks; each method may be left out. Callbacks run in the order in which they are given.

        prepare           when a trainer is made
        on_fit_start      before the first epoch
        load_state_dict   only if the training is resumed: takes back what state_dict gave
        before_epochs     after these of all callbacks: long work on the model, such as pretraining
        on_batch_end      after each minibatch, with its loss; at a price: see there
        on_pause          between compiled stretches of an epoch, about ten times a second
        on_epoch_end      after each epoch, with its metrics
        on_pause          after the on_epoch_end of all callbacks; all pauses: twice if one of them stops the training
        on_not_finite     when the loss or a weight is NaN or infinite, before the weights go back
        on_fit_end        after the last epoch, however the training ends

    `row` is the epoch's line of metrics, a dict such as {"epoch": 1, "train_loss": ..., "valid_loss": ...}; what a
    callback adds to it is seen by those after it. `trainer.stop(reason)` ends the training after this epoch.

    How often pauses come depends on the machine's speed, so nothing that the results depend on may happen there; but
    all that a training needs to go on exactly can be saved then, by `trainer.save(folder)`. What a callback must know
    after that, `state_dict` gives: numbers, strings, None, arrays, and lists and dicts of them.
    On several ranks of MPI each runs the callbacks, with the same row; on_pause, and callbacks with
    `first_rank_only = True`, run on rank 0 alone. `trainer.folder` is the folder of the run, or None. In a training
    that counts steps, an epoch is what a row of metrics is of, and the row has `step`, too.

    Errors: ValueError from `load_state_dict`, for a state of a callback that has none.
    """

    first_rank_only = False  # whether it runs on rank 0 alone, of several: as it writes files, and changes nothing else

    @property
    def monitored(self) -> str | None:
        """The metric that this callback watches; one that there will not be is refused before the training."""
        return None

    def prepare(self, optimizer) -> None:
        """When a trainer is made: settings of its optimizer may be changed here. It may come again for the same one."""

    def on_fit_start(self, trainer) -> None:
        """Before the first epoch."""

    def before_epochs(self, trainer) -> None:
        """After `on_fit_start`, and after `load_state_dict` of a resumed training, of all callbacks.

        What takes long here calls `trainer.pause(done)` now and then, so that it is saved by its `state_dict`, and ends
        when `trainer.stopped` is not None.
        """

    def on_batch_end(self, trainer, row: dict) -> None:
        """After each minibatch: {"epoch": 1, "done": 64, "samples": 32, "loss": 0.7}, counted with it.

        A callback that writes this method brings Python in after each step, which otherwise runs a tenth of a second of
        steps in one compiled call: some ten microseconds a step. What an optimizer that looks at all samples at once
        does in an epoch counts as one minibatch.
        """

    def on_epoch_end(self, trainer, row: dict) -> None:
        """After each epoch, with its metrics."""

    def is_due(self, trainer) -> bool:
        """Whether on_pause has something to do at this pause. On several ranks gathering all state takes time."""
        return type(self).on_pause is not Callback.on_pause

    def on_pause(self, trainer) -> None:
        """After each epoch, and now and then within one, if it is due: then `trainer.position` is above 0."""

    def on_not_finite(self, trainer, epoch, position: int) -> str | None:
        """The `Epoch` that fails, and the place in its order; what this says is added to the TrainingError."""

    def on_fit_end(self, trainer) -> None:
        """After the last epoch, however the training ends."""

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed training needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of `state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__}: the state has {sorted(state)}, expected none")
