"""Does a net take minibatches of such sizes? The last one of an epoch is often smaller, and some modules refuse that.

Modules of this package say so by `check_minibatch`; those of a user are tried on zeros, alone and as plain Python.
"""

import numpy as np

from ..core.module import Module
from ..engine.sources import is_ours
from ..engine.stateful import plain_python
from ..engine.tables import is_table_of_shapes
from ..losses.loss import Loss


def check_minibatch_sizes(net: Module, loss: Loss, input_shape, targets: np.ndarray, size: int, last: int) -> None:
    """ValueError if training does not take minibatches of `size` samples, or the last one of `last`; names the module.

    Args: input_shape: of one sample; targets: at least `size` of them.
    """
    try:
        check_minibatch(net, loss, (size, *input_shape), targets[:size], trial=False)
    except MinibatchError as error:
        raise refusal(f"Trainer: minibatches of {size}: {error}", error) from None
    except Exception:  # that is no matter of sizes: the first step tells it
        return
    if last == size:
        return
    try:
        check_minibatch(net, loss, (last, *input_shape), targets[:last], trial=True)
    except Exception as error:  # of a module of the user's own, anything
        if not isinstance(error, MinibatchError):
            try:
                check_minibatch(net, loss, (size, *input_shape), targets[:size], trial=True)
            except Exception:
                return
        many = f"{last} sample{'s' if last > 1 else ''}, not {size}"
        way_out = "drop_last=True leaves it out, or take another batch_size"
        raise refusal(f"Trainer: the last minibatch has {many}: {error}; {way_out}", error) from None


def refusal(text: str, error: Exception) -> ValueError:
    """The error of this text, with the place in the net of another."""
    found = ValueError(text)
    for note in getattr(error, "__notes__", ()):
        if note.startswith("in "):
            found.add_note(note)
    return found


class MinibatchError(ValueError):
    """A module refuses minibatches of such a size."""


def check_minibatch(net: Module, loss: Loss, shape: tuple[int, ...], targets: np.ndarray, *, trial: bool) -> None:
    """An error of the module that does not take a minibatch of this shape in training; `trial` runs the user's own."""
    copy = net.copy().train()
    for module in copy.all_modules():
        listen(module, trial)
    y_shape = copy.one_output_shape(shape)
    loss.check_arguments(y_shape, targets.shape)
    if trial and not is_ours(type(loss).__module__):
        run_alone(loss, np.zeros(y_shape, loss.dtype), targets)


def listen(module: Module, trial: bool) -> None:
    """Make a module, a copy that nobody else sees, check each minibatch whose shape is asked for."""
    output_shape = module.output_shape
    own = trial and not is_ours(type(module).__module__) and type(module).output_shape is not Module.output_shape

    def checked_shape(input_shape):
        if not is_table_of_shapes(input_shape):
            try:
                ask(module, tuple(input_shape))
                if own:
                    labels = 0 in module.label_arguments
                    run_alone(module, np.zeros(input_shape, np.int64 if labels else module.dtype))
            except Exception as error:
                module.place_once(error)
                raise
        return output_shape(input_shape)

    vars(module)["output_shape"] = checked_shape


def ask(module: Module, input_shape: tuple[int, ...]) -> None:
    """MinibatchError if a module says that such a minibatch is too small."""
    try:
        module.check_minibatch(input_shape)
    except ValueError as error:
        raise MinibatchError(str(error)) from None


def run_alone(module: Module, *arguments) -> None:
    """Run a copy of a module as plain Python."""
    alone = module.copy()
    for inside in alone.all_modules():
        vars(inside).pop("output_shape", None)
    with plain_python(), np.errstate(all="ignore"):
        alone.fprop(*arguments)
