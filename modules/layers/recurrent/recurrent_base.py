"""The base of recurrent layers, without its passes: settings, parameters and their lists, carried states, shapes."""

import math

import numpy as np

from ...core.parameter import Buffer, Counter
from ...core.sequences import SequenceModule, as_sequence_shape
from ...core.shapes import check_sizes
from ...initializers.initializers import get_generator, new_key
from .parameters import KINDS, add_parameters, compose_list, name_parameters

LIST_NAMES = [
    [(name, ending) for name in names]
    for names, ending in (
        (("weights", "grads", "directions"), "_ih"),
        (("weights", "grads", "directions"), "_hh"),
        (("biases", "grads_bias", "directions_bias"), "_ih"),
        (("biases", "grads_bias", "directions_bias"), "_hh"),
    )
]  # of the methods that list parameters, their gradients and their directions, in the order of KINDS
PLACES = ("first", "last", "grad_first", "grad_last", "v_first", "v_last", "r_first", "r_last")


def draw_memory(hidden_size: int, longest: int) -> np.ndarray:
    """Draw the log-odds with which each unit keeps its state: log s, uniform on 0 to log(longest - 1).

    A gate of sigmoid(log s) = s / (1 + s) keeps a state for about 1 + s steps.

    Source: Tallec and Ollivier, Can recurrent neural networks warp time? (2018), eq. 12, who draw s itself uniformly,
        so that few units have a short memory.
    """
    return get_generator().uniform(0, math.log(longest - 1), hidden_size)


def given_names(state_names: tuple[str, ...]) -> tuple[str, ...]:
    """Name the arrays of given states, in given_states.py: `first_hidden`, `last_hidden`, `grad_first_hidden`..."""
    return tuple(f"{place}_{name.removesuffix('_state')}" for name in state_names for place in PLACES)


class RecurrentBase(SequenceModule):
    """Settings, parameters and states of RNN, LSTM and GRU; the passes are in recurrent.py.

    `gates` are the rows of the weights in units of hidden_size, `state_names` the buffers of carried states, `scratch`
    more arrays that are reused from step to step.
    """

    gates = 1
    state_names: tuple[str, ...] = ("hidden_state",)
    scratch: tuple[str, ...] = ()

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        streams: int = 0,
        memory: int = 0,
    ):
        super().__init__()
        check_sizes(self, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        who = type(self).__name__
        if not 0 <= dropout < 1:
            raise ValueError(f"{who}: dropout is {dropout}, expected at least 0 and below 1")
        if dropout > 0 and num_layers == 1:
            raise ValueError(f"{who}: dropout is {dropout} with one layer, expected more: it stands between layers")
        if streams < 0:
            raise ValueError(f"{who}: streams is {streams}, expected at least 0")
        if streams and bidirectional:
            raise ValueError(f"{who}: streams with bidirectional, expected one: the future of a stream is not known")
        if memory == 1 or memory < 0:
            raise ValueError(f"{who}: memory is {memory}, expected the steps to remember, at least 2, or 0")
        if memory and not bias:
            raise ValueError(f"{who}: memory with bias false, expected biases: it sets their initial values")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.dropout, self.streams, self.has_bias = float(dropout), streams, bool(bias)
        self.directions, self.width = 1 + bidirectional, hidden_size * (1 + bidirectional)
        self.rows_of_gates = type(self).gates * hidden_size
        for layer in range(num_layers):
            for ending in ("", "_reverse")[: self.directions]:
                inputs = self.width if layer else input_size
                add_parameters(self, inputs, hidden_size, type(self).gates, bias, f"_l{layer}{ending}")
                if memory:
                    self.start_biases(f"_l{layer}{ending}", draw_memory(hidden_size, memory))
        self.no_bias = np.zeros(self.rows_of_gates)  # stands for those that there are not
        self.noise = "dropout" if dropout > 0 else None  # None: compiled without
        if dropout > 0:
            self.key, self.draws = Counter(new_key()), Counter()
        self.carried = "states" if streams else None
        self.given: str | None = None  # "states" where WithState gives the first states and takes the last ones
        for name in self.state_names if streams else ():
            setattr(self, name, Buffer(np.zeros((num_layers * self.directions, streams, hidden_size))))
        self.samples = self.steps = self.rows = self.blocks = 0
        self.order = self.ends = self.counts = self.starts = self.places = self.line = np.empty(0, np.int64)
        self.first_rows = np.empty((0, 0), np.int64)
        self.inputs = self.hidden = self.gate_values = self.states = self.packed = self.biases = np.empty((0, 0))
        self.grads = self.grad_states = self.grad_hidden = self.grad_inputs = self.mask = np.empty((0, 0))
        self.tangent_inputs = self.tangent_hidden = self.tangent_values = self.tangent_states = np.empty((0, 0))
        self.has_first = self.has_last = self.has_tangent = self.has_change = False
        for name in self.scratch + given_names(self.state_names):
            setattr(self, name, np.empty((0, 0)))
        self.y = self.grad_x = np.empty((0, 0, 0))

    def start_biases(self, ending: str, memory: np.ndarray) -> None:
        """Write initial biases of the gates that remember from the log-odds of keeping a state, (H,)."""
        raise NotImplementedError(f"{type(self).__name__} has no gates that remember")

    # -- lists of parameters: for compiled code, see `list_compiled_methods` -----------------------------------------

    def list_weights_ih(self):
        return self.list_parameters("weight_ih")

    def list_weights_hh(self):
        return self.list_parameters("weight_hh")

    def list_biases_ih(self):
        return self.list_parameters("bias_ih")

    def list_biases_hh(self):
        return self.list_parameters("bias_hh")

    def list_grads_ih(self):
        return self.list_parameters("weight_ih", "grad_")

    def list_grads_hh(self):
        return self.list_parameters("weight_hh", "grad_")

    def list_grads_bias_ih(self):
        return self.list_parameters("bias_ih", "grad_")

    def list_grads_bias_hh(self):
        return self.list_parameters("bias_hh", "grad_")

    def list_directions_ih(self):
        return self.list_parameters("weight_ih", "v_")

    def list_directions_hh(self):
        return self.list_parameters("weight_hh", "v_")

    def list_directions_bias_ih(self):
        return self.list_parameters("bias_ih", "v_")

    def list_directions_bias_hh(self):
        return self.list_parameters("bias_hh", "v_")

    def list_parameters(self, kind, prefix=""):
        """The parameters of a kind, their gradients (`grad_`) or directions (`v_`), layer by layer."""
        return tuple(getattr(self, name) for name in self.name_attributes(kind, prefix))

    def name_attributes(self, kind, prefix=""):
        """Name the attributes of a kind of parameters; one stands for all biases that there are not."""
        names = name_parameters(kind, self.num_layers, self.directions)
        if kind.startswith("bias") and not self.has_bias:
            return ("no_bias",) * len(names)
        return tuple(f"{prefix}{name}" for name in names)

    def list_compiled_methods(self):
        methods = {
            f"list_{name}{kind}": compose_list(self.name_attributes(parameter, prefix))
            for parameter, kinds in zip(KINDS, LIST_NAMES, strict=True)
            for prefix, (name, kind) in zip(("", "grad_", "v_"), kinds, strict=True)
        }
        return super().list_compiled_methods() | methods

    def describe_layout(self) -> str:
        return f"{super().describe_layout()}l{self.num_layers}d{self.directions}b{int(self.has_bias)}"

    # -- states and shapes, in plain Python --------------------------------------------------------------------------

    @property
    def stream_axes(self) -> dict[str, int]:
        """The axes of the streams in the states that are carried from minibatch to minibatch."""
        return dict.fromkeys(self.state_names, 1) if self.streams else {}

    def reset_state(self) -> None:
        """Set the states that are carried from minibatch to minibatch to zero; nothing without streams."""
        for name in self.state_names if self.streams else ():
            getattr(self, name)[...] = 0

    def last_state(self):
        """The states after each sample's last step of the last fprop, h_n (L D, N, H), in PyTorch's order."""
        return self.collect_last(self.states)

    def collect_last(self, states) -> np.ndarray:
        """Copy the last states of all layers and directions out of `self.states`, or an array like it."""
        count, rows, samples = self.num_layers * self.directions, self.rows, self.samples
        if not samples:
            raise RuntimeError(f"{self.label()}: last_state without a fprop; call fprop(x) first")
        result = np.empty((count, samples, self.hidden_size), self.dtype)
        for k in range(count):
            first = k * (rows + samples) + rows
            result[k, self.order[:samples]] = states[first : first + samples]
        return result

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        samples, steps, _ = as_sequence_shape(self, input_shape, self.input_size)
        if self.streams and samples > self.streams:
            raise ValueError(f"{self.label()}: x has {samples} samples, expected {self.streams} streams at most")
        return samples, steps, self.width

    def flops(self, input_shape) -> tuple[int, int]:
        """Floating-point operations of the products of both passes."""
        steps, layers = input_shape[0] * input_shape[1], range(self.num_layers)
        inputs = sum((self.width if layer else self.input_size) + self.hidden_size for layer in layers)
        forward = 2 * steps * self.directions * self.rows_of_gates * inputs
        return forward, 2 * forward

    def extra_repr(self) -> str:
        text = f"{self.input_size} -> {self.hidden_size}"
        text += f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        text += "" if self.has_bias else ", bias=False"
        text += f", dropout={self.dropout:g}" if self.dropout else ""
        text += ", bidirectional=True" if self.directions > 1 else ""
        return text + (f", streams={self.streams}" if self.streams else "")
