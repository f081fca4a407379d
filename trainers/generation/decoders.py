"""The scores of the next token, computed step by step from what layers have cached, or anew from a window of tokens.

A layer whose outputs depend on earlier steps can say how it goes on from them, by two methods:

    decode_start(samples, length)    make the state of so many samples for up to `length` steps, empty
    decode(x)                        the outputs (N, 1, ...) of the next step, from x (N, 1, ...), which joins the state

Recurrent layers carry their state from step to step, as they do in training on streams. Layers of positions, which have
a setting `first`, are told the position of the step. All other layers are run on the
one step. Whether that is right, a trial tells: the outputs of all steps must be those
of one pass over the whole window.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...modules.core.module import Module
from ...modules.core.parameter import Buffer
from ...modules.engine.operations import Function, Operations
from ...modules.engine.plan import Plan
from ...modules.engine.stateful import jit_disabled, plain_python

TRIAL = 256  # steps at most, or those of the context
TOLERANCE = 1e-3  # of the largest score

Arrange = Callable[[np.ndarray], np.ndarray]  # moves the axis of the classes to the end


def leave(y: np.ndarray) -> np.ndarray:
    """Leave the axes as they are."""
    return y


class DecodeOperations(Operations):
    """The operations of one step: `decode` of the layers that have it, `fprop` of all others."""

    def fprop(self, module, *arguments) -> Any:
        if hasattr(module, "decode"):
            return self.call(module, "decode", *arguments)
        return module.write_fprop(self, *arguments)


class StepDecoder:
    """Computes scores from the last token alone; layers have cached what they need of those before.

    Args: model: which is copied, as its layers keep what they have seen; samples: how many are decoded side by side;
        length: how many steps may follow a start.
    """

    def __init__(self, model: Module, samples: int, length: int, arrange: Arrange = leave) -> None:
        self.model = model = model.copy().eval()
        self.samples, self.length, self.arrange, self.steps = samples, length, arrange, 0
        self.layers = [module for module in model.all_modules() if hasattr(module, "decode_start")]
        self.recurrent = [each for each in model.all_modules() if is_recurrent(each) and each.directions == 1]
        for layer in self.recurrent:
            carry_state(layer, samples)
        self.positions = [each for each in model.all_modules() if has_position(each)]
        self.limited = bool(self.positions) or any(not hasattr(layer, "reset_state") for layer in self.layers)
        self._plan: Plan | None = None
        self._version = -1

    def start(self) -> None:
        """Forget all tokens."""
        for layer in self.layers:
            layer.decode_start(self.samples, self.length)  # type: ignore[operator]
        for layer in self.recurrent:
            layer.reset_state()  # type: ignore[operator]
        self._move_to(0)

    def _move_to(self, step: int) -> None:
        self.steps = step
        for layer in self.positions:
            layer.first = step  # type: ignore[assignment]

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Compute the outputs (N, ...) after one more token of each sample, (N,)."""
        x = np.ascontiguousarray(tokens.reshape(self.samples, 1))
        if self._version != self.model._version:
            self._prepare(x)
        y = self._run(x)
        self._move_to(self.steps + 1)
        return self.arrange(y)[:, -1].copy()

    def _run(self, x: np.ndarray) -> np.ndarray:
        if self._plan is not None:
            return self._plan.call(self._function, x)
        with plain_python(), np.errstate(all="ignore"):
            values = {"x": x}
            for each in self._function.operations:
                values[each.target] = getattr(each.module, each.method)(*[values[name] for name in each.arguments])
        return values[self._function.results[0]]

    def _prepare(self, x: np.ndarray) -> None:
        operations = DecodeOperations()
        y = operations.fprop(self.model, "x")
        self._function = Function("decode", operations.items, ("x",), (y,))
        title = f"One step of {self.model.outline()}, from what its layers have cached."
        self._plan = None if jit_disabled() else Plan(title, [self._function], {"x": x})
        self._version = self.model._version


def is_recurrent(module: Module) -> bool:
    """Whether a layer has a state that it can carry from call to call."""
    return hasattr(module, "state_names") and hasattr(module, "carried")


def carry_state(layer: Any, samples: int) -> None:
    """Let a recurrent layer carry its state from call to call, for so many samples; with 0 it begins each at zero."""
    layer.streams, layer.carried = samples, "states" if samples else None
    for name in layer.state_names if samples else ():
        setattr(layer, name, Buffer(np.zeros((layer.num_layers, samples, layer.hidden_size), layer.dtype)))


def copy_without_state(model: Module) -> Module:
    """Copy a model, in evaluation mode; its recurrent layers carry no state from call to call."""
    model = model.copy().eval()
    for module in model.all_modules():
        if is_recurrent(module):
            carry_state(module, 0)
    return model


def has_position(module: Module) -> bool:
    """Whether a layer is told the position of its first step by a setting `first`."""
    return isinstance(getattr(module, "first", None), int) and not hasattr(module, "decode")


class WindowDecoder:
    """Computes scores by running the whole model on the last tokens.

    Args: length: how many at most; whole: the model takes so many and no fewer; fill: the token that stands before the
        first one, where it does.
    """

    limited = False  # the window moves on

    def __init__(
        self,
        model: Module,
        samples: int,
        length: int,
        arrange: Arrange = leave,
        *,
        whole: bool = False,
        fill: int | None = None,
    ) -> None:
        self.model, self.samples, self.length, self.arrange = model, samples, length, arrange
        self.whole, self.fill, self.steps = whole, fill, 0

    def start(self) -> None:
        """Forget all tokens."""
        self.steps = 0
        self.window = np.empty((self.samples, 0), np.int64)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Compute the outputs (N, ...) after one more token of each sample, (N,)."""
        self.steps += 1
        self.window = np.concatenate([self.window, tokens.reshape(-1, 1)], axis=1)[:, -self.length :]
        return self.compute_scores(self.window)

    def compute_scores(self, window: np.ndarray) -> np.ndarray:
        """Compute the outputs (N, ...) after windows of tokens (N, t), t at most `length`."""
        missing = self.length - window.shape[1]
        if self.whole and missing > 0:
            if self.fill is None:
                needed = f"the model takes {self.length} tokens at once"
                raise ValueError(f"generate: {needed}, expected a prompt of as many, not of {window.shape[1]}")
            window = np.concatenate([np.full((len(window), missing), self.fill), window], axis=1)
        y = self.arrange(self.model.fprop(np.ascontiguousarray(window, dtype=np.int64)))
        return y if y.ndim == 2 else y[:, -1].copy()


Decoder = StepDecoder | WindowDecoder


def make_decoder(
    model: Module, context: int, classes: int, arrange: Arrange = leave, end: int | None = None, samples: int = 1
) -> Decoder:
    """Make a decoder of a model in evaluation mode: by steps where a trial shows that this is right, or by windows."""
    try:
        output = model.output_shape((1, 1))
        takes_fewer = True
    except ValueError:
        output, takes_fewer = model.output_shape((1, context)), context == 1
    if takes_fewer and len(output) == 3:
        decoder = StepDecoder(model, samples, context, arrange)
        if decodes_in_steps(decoder, model, min(context, TRIAL), classes):
            return decoder
    whole = not takes_fewer or (len(output) == 2 and context > 1)
    return WindowDecoder(model, samples, context, arrange, whole=whole, fill=end)


def decodes_in_steps(decoder: StepDecoder, model: Module, steps: int, classes: int) -> bool:
    """Whether the outputs of some steps are those of one pass over all of them."""
    samples = decoder.samples
    tokens = np.random.default_rng(0).integers(0, classes, (samples, steps))
    try:
        decoder.start()
        found = np.stack([decoder.step(column) for column in tokens.T], axis=1)
        expected = decoder.arrange(model.fprop(tokens))
    except (ValueError, TypeError, RuntimeError, IndexError, NotImplementedError):
        return False
    largest = np.abs(expected).max()
    if found.shape != expected.shape or not np.isfinite(largest):  # of a model that diverged
        return False
    return bool(np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE * largest))
