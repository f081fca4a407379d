"""Decoder layers, and stacks of encoder and decoder layers."""

from ...containers.container import check_table
from ...containers.sequential import Sequential
from ...core.module import Module
from ...core.type_errors import describe_wrong_type
from ...initializers.initializers import new_key
from .cross import CrossAttention
from .multihead import MultiheadAttention
from .sequence_container import SequenceContainer
from .transformer_block import Activation, FeedForwardBlock


class TransformerDecoderLayer(FeedForwardBlock):
    """Self-attention, attention over a memory, and a feed-forward net, each added to what it reads.

        norm_first: a = x + self_attention(norm₁(x)),   c = a + attention(norm₂(a), memory),   y = c + f(norm₃(c))
        otherwise:  a = norm₁(x + self_attention(x)),   c = norm₂(a + attention(a, memory)),   y = norm₃(c + f(c))
        grad_x and grad_memory: the gradients of the branches, in reverse order, plus those of the skip connections

    Its input is a table, `fprop((x, memory))`; `bprop(grad_y)` returns (grad_x, grad_memory).

    Shapes: x, y (N, T, d_model), memory (N, S, d_model), lengths (N,) of the memories. The parameters have PyTorch's
        names: self_attn, multihead_attn, linear1, linear2, norm1, norm2, norm3.
    Args: as of TransformerEncoderLayer; causal: of the self-attention.
    Errors: as of TransformerEncoderLayer; ValueError for an input that is no table of two arrays.
    Source: Vaswani et al., Attention is all you need (2017), section 3.1; PyTorch's TransformerDecoderLayer with
        batch_first=True.
    """

    framework_base = True

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        norm_first: bool = False,
        bias: bool = True,
        *,
        causal: bool = True,
    ):
        super().__init__(
            d_model, dim_feedforward, dropout, activation, "layer", layer_norm_eps, norm_first, bias,
            self_attn=MultiheadAttention(d_model, nhead, dropout, bias, causal=causal),
            multihead_attn=CrossAttention(d_model, nhead, dropout, bias),
        )  # fmt: skip

    def call_fprop(self, call, x, *lengths):
        check_table(self, x, 2)
        x, memory = x
        a = self.branch(call, 1, x, lambda x: call(self.self_attn, "fprop", x))
        c = self.branch(call, 2, a, lambda a: call(self.multihead_attn, "fprop", a, memory, *lengths))
        return self.branch(call, 3, c, lambda c: self.feed_forward(call, c))

    def call_bprop(self, call, grad_y):
        memory_grads = []

        def attention_back(grad):
            grad_x = call(self.multihead_attn, "bprop", grad)
            memory_grads.append(call(self.multihead_attn, "bprop_other", grad))
            return grad_x

        grad = self.branch_back(call, 3, grad_y, lambda grad: self.feed_forward_back(call, grad))
        grad = self.branch_back(call, 2, grad, attention_back)
        grad = self.branch_back(call, 1, grad, lambda grad: call(self.self_attn, "bprop", grad))
        return grad, memory_grads[0]

    def padded_part(self, x):
        """The memory."""
        return x[1] if type(x) is tuple and len(x) == 2 else x

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.self_attn.num_heads} heads, {self.hidden} hidden, {self.activation_name}"


class EncoderStack(SequenceContainer, Sequential):
    """The layers of an encoder: each gets the output of the one before, and the lengths."""

    framework_base = True

    def __init__(self, *layers: Module):
        super().__init__()
        for layer in layers:
            self.append(layer)

    def call_fprop(self, call, x, *lengths):
        for layer in self:
            x = call(layer, "fprop", x, *lengths)
        return x


class DecoderStack(EncoderStack):
    """The layers of a decoder: each gets the output of the one before, the memory, and its lengths."""

    framework_base = True

    def call_fprop(self, call, x, *lengths):
        x, memory = x
        for layer in self:
            x = call(layer, "fprop", (x, memory), *lengths)
        return x

    def call_bprop(self, call, grad_y):
        memory_grads = []
        for layer in reversed(list(self)):
            grad_y, memory_grad = call(layer, "bprop", grad_y)
            memory_grads.append(memory_grad)
        return grad_y, self.sum_gradients(call, "_memory_sum", memory_grads)

    def padded_part(self, x):
        """The memory."""
        return x[1] if type(x) is tuple and len(x) == 2 else x


class TransformerEncoder(SequenceContainer):
    """A stack of encoder layers, and a normalization of what the last one makes.

        y      = norm(fₖ(... f₂(f₁(x))))
        grad_x = J₁ᵀ J₂ᵀ ... Jₖᵀ Nᵀ grad_y

    Shapes: x, y (N, T, d_model); lengths (N,).
    Args: encoder_layer: the first layer, such as a TransformerEncoderLayer or a TransformerBlock; num_layers: how many,
        at least 1: the others are copies, whose weights begin with the same values (as PyTorch's do; `initialize`
        draws others) and whose dropout draws other numbers; norm: a module, such as LayerNorm(d_model), or None.
    Errors: TypeError for layers that are no modules; ValueError for a num_layers below 1.
    Source: PyTorch's TransformerEncoder.
    """

    framework_base = True

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None):
        super().__init__()
        self.layers = EncoderStack(*repeat_layer(self, encoder_layer, num_layers))
        self.norm = norm

    def call_fprop(self, call, x, *lengths):
        x = call(self.layers, "fprop", x, *lengths)
        return self.clear_padded(call, x if self.norm is None else call(self.norm, "fprop", x), lengths)

    def call_bprop(self, call, grad_y):
        grad = self.clear_padded_back(call, grad_y)
        return call(self.layers, "bprop", grad if self.norm is None else call(self.norm, "bprop", grad))


class TransformerDecoder(SequenceContainer):
    """A stack of decoder layers over one memory, and a normalization of what the last one makes.

        x₀ = x,   xᵢ = fᵢ(xᵢ₋₁, memory),   y = norm(xₖ)
        grad_xᵢ₋₁ = Jᵢᵀ grad_xᵢ,   grad_memory = Σᵢ Mᵢᵀ grad_xᵢ,   grad_xₖ = Nᵀ grad_y

    Its input is a table, `fprop((x, memory))`; `bprop(grad_y)` returns (grad_x, grad_memory).

    Shapes: x, y (N, T, d_model), memory (N, S, d_model), lengths (N,) of the memories.
    Args: decoder_layer, num_layers, norm: as of TransformerEncoder.
    Errors: as of TransformerEncoder; ValueError for an input that is no table of two arrays.
    Source: PyTorch's TransformerDecoder.
    """

    framework_base = True

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None):
        super().__init__()
        self.layers = DecoderStack(*repeat_layer(self, decoder_layer, num_layers))
        self.norm = norm

    def call_fprop(self, call, x, *lengths):
        check_table(self, x, 2)
        x = call(self.layers, "fprop", x, *lengths)
        return x if self.norm is None else call(self.norm, "fprop", x)

    def call_bprop(self, call, grad_y):
        return call(self.layers, "bprop", grad_y if self.norm is None else call(self.norm, "bprop", grad_y))

    def padded_part(self, x):
        """The memory."""
        return x[1] if type(x) is tuple and len(x) == 2 else x


def repeat_layer(owner: Module, layer: Module, count: int) -> list[Module]:
    """List a layer and copies of it, each with random numbers of its own."""
    if not isinstance(layer, Module):
        raise TypeError(f"{type(owner).__name__}: the layer is {describe_wrong_type(layer, 'a Module')}")
    if count < 1:
        raise ValueError(f"{type(owner).__name__}: num_layers is {count}, expected at least 1")
    layers = [layer, *(layer.copy() for _ in range(count - 1))]
    for module in [module for copy in layers[1:] for module in copy.all_modules()]:
        if "key" in module._counters:
            module.key = new_key()
    return layers
