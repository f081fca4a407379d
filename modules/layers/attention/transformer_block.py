"""Blocks of transformers: attention and a feed-forward net, each with a skip connection and a normalization."""

from collections.abc import Callable
from typing import Any, Literal

from ...core.module import Module
from ...core.shapes import check_sizes
from ..activations.elementwise import ReLU
from ..activations.gated import GELU, SiLU
from ..activations.glu import SwiGLU
from ..dropout import Dropout
from ..linear import Linear
from ..normalization.layer_norm import LayerNorm, RMSNorm
from .attention import check_dropout
from .multihead import MultiheadAttention
from .sequence_container import SequenceContainer

Activation = Literal["relu", "gelu", "gelu_tanh", "silu", "swiglu"]
Norm = Literal["layer", "rms"]
ACTIVATIONS: dict[str, Callable[[], Module]] = {
    "relu": ReLU,
    "gelu": GELU,
    "gelu_tanh": lambda: GELU("tanh"),
    "silu": SiLU,
    "swiglu": SwiGLU,
}


class FeedForwardBlock(SequenceContainer):
    """Base of the layers of transformers: the feed-forward net, the norms, dropout, and skip connections around both.

    Before norm and branch (`norm_first`): y = x + f(norm(x)); after them: y = norm(x + f(x)).
    """

    framework_base = True

    def __init__(
        self, embed_dim: int, hidden: int | None, dropout: float, activation: str, norm: str, eps: float | None,
        norm_first: bool, bias: bool, **attention: Module,
    ):  # fmt: skip
        super().__init__()
        if activation not in ACTIVATIONS:
            expected = ", ".join(ACTIVATIONS)
            raise ValueError(f"{type(self).__name__}: activation is {activation!r}, expected one of {expected}")
        if norm not in ("layer", "rms"):
            raise ValueError(f"{type(self).__name__}: norm is {norm!r}, expected layer or rms")
        gated = activation == "swiglu"
        if hidden is None:  # a gated net has three matrices, so it is narrower
            hidden = -(-8 * embed_dim // 24) * 8 if gated else 4 * embed_dim
        check_sizes(self, embed_dim=embed_dim, hidden=hidden)
        rate = check_dropout(self, dropout)
        vars(self).update(embed_dim=embed_dim, hidden=hidden, norm_first=bool(norm_first), activation_name=activation)
        for name, module in attention.items():
            self._add_module(name, module)
        branches = 1 + len(attention)
        self.linear1 = Linear(embed_dim, 2 * hidden if gated else hidden, bias)
        self.activation = ACTIVATIONS[activation]()
        self.linear2 = Linear(hidden, embed_dim, bias)
        for k in range(1, branches + 1):
            made = (
                LayerNorm(embed_dim, 1e-5 if eps is None else eps, bias=bias)
                if norm == "layer"
                else RMSNorm(embed_dim, eps)
            )
            self._add_module(f"norm{k}", made)
        if rate is not None:
            self.dropout = Dropout(rate)
            for k in range(1, branches + 1):
                self._add_module(f"dropout{k}", Dropout(rate))

    def child(self, name: str) -> Module | None:
        """The child of this name; None if there is none."""
        return self._modules.get(name)

    def pass_through(self, call, method: str, names: list[str], x):
        """Call a method of the children of these names, those that are there, one after another."""
        for name in names:
            child = self.child(name)
            x = x if child is None else call(child, method, x)
        return x

    def feed_forward(self, call, x):
        """The feed-forward net."""
        return self.pass_through(call, "fprop", ["linear1", "activation", "dropout", "linear2"], x)

    def feed_forward_back(self, call, grad):
        """The backward pass of `feed_forward`."""
        return self.pass_through(call, "bprop", ["linear2", "dropout", "activation", "linear1"], grad)

    def branch(self, call, k: int, x, function: Callable[[Any], Any]):
        """One branch with its norm, its dropout, and the skip connection around them."""
        inner = function(call(self._modules[f"norm{k}"], "fprop", x) if self.norm_first else x)
        y = self.add(call, f"_sum{k}", x, self.pass_through(call, "fprop", [f"dropout{k}"], inner))
        return y if self.norm_first else call(self._modules[f"norm{k}"], "fprop", y)

    def branch_back(self, call, k: int, grad, function: Callable[[Any], Any]):
        """The backward pass of `branch`."""
        norm = self._modules[f"norm{k}"]
        grad = grad if self.norm_first else call(norm, "bprop", grad)
        inner = function(self.pass_through(call, "bprop", [f"dropout{k}"], grad))
        inner = call(norm, "bprop", inner) if self.norm_first else inner
        return self.add_gradients(call, f"_grad_sum{k}", grad, inner)

    def comment_on(self, name: str) -> list[str]:
        return [] if name.startswith("_") else super().comment_on(name)


class TransformerBlock(FeedForwardBlock):
    """Self-attention and a feed-forward net, each added to what it reads: one layer of a transformer.

        norm_first: a = x + attention(norm₁(x)),   y = a + feed_forward(norm₂(a))
        otherwise:  a = norm₁(x + attention(x)),   y = norm₂(a + feed_forward(a))
        feed_forward(a) = W₂ activation(W₁ a + b₁) + b₂
        norm_first: grad_a = grad_y + N₂ᵀ F₂ᵀ grad_y,   grad_x = grad_a + N₁ᵀ A₁ᵀ grad_a
        otherwise:  g = N₂ᵀ grad_y,   h = N₁ᵀ (g + F₂ᵀ g),   grad_x = h + A₁ᵀ h

    with N, F and A the Jacobians of the norms, of the feed-forward net and of attention. Dropout comes after attention,
    activation and feed-forward net, and leaves out weights of attention.

    Shapes: x, y (N, T, embed_dim); lengths (N,), whose padded steps are zeros in y and grad_x. The parameters have
        PyTorch's names: self_attn.in_proj_weight, self_attn.out_proj.weight, linear1, linear2, norm1, norm2.
    Args: embed_dim, num_heads: as of MultiheadAttention; hidden: width of the hidden layer, by default 4 embed_dim (of
        swiglu 8/3 of it, rounded up to a multiple of 8); dropout: the probability; activation: relu, gelu, gelu_tanh,
        silu, or swiglu, for which W₁ has 2 hidden rows; norm_first: normalize before the branches; norm: layer or rms;
        eps: of the norms, by default 1e-5 of LayerNorm and None of RMSNorm; bias: of all layers; causal, num_kv_heads,
        rope, alibi: as of MultiheadAttention.
    Errors: ValueError for such settings, for an x of another width, for lengths that are not 1 to T.
    Source: Vaswani et al., Attention is all you need (2017), section 3; Bishop and Bishop, Deep Learning, section
        12.1.7; Xiong et al., On layer normalization in the transformer architecture (2020); PyTorch's
        TransformerEncoderLayer.
    """

    framework_base = True

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        hidden: int | None = None,
        dropout: float = 0.0,
        activation: Activation = "gelu",
        *,
        norm_first: bool = True,
        norm: Norm = "layer",
        eps: float | None = None,
        bias: bool = True,
        causal: bool = False,
        num_kv_heads: int | None = None,
        rope: bool | int = False,
        alibi: bool = False,
    ):
        attention = MultiheadAttention(
            embed_dim, num_heads, dropout, bias, causal=causal, num_kv_heads=num_kv_heads, rope=rope, alibi=alibi
        )
        super().__init__(embed_dim, hidden, dropout, activation, norm, eps, norm_first, bias, self_attn=attention)

    def call_fprop(self, call, x, *lengths):
        a = self.branch(call, 1, x, lambda x: call(self.self_attn, "fprop", x, *lengths))
        y = self.branch(call, 2, a, lambda a: self.feed_forward(call, a))
        return self.clear_padded(call, y, lengths)

    def call_bprop(self, call, grad_y):
        grad = self.clear_padded_back(call, grad_y)
        grad = self.branch_back(call, 2, grad, lambda grad: self.feed_forward_back(call, grad))
        return self.branch_back(call, 1, grad, lambda grad: call(self.self_attn, "bprop", grad))

    def extra_repr(self) -> str:
        attention = self.self_attn
        parts = [f"{self.embed_dim}, {attention.num_heads} heads, {self.hidden} hidden, {self.activation_name}"]
        return ", ".join(
            [*parts, *(["causal"] if attention.causal else []), *([] if self.norm_first else ["norm last"])]
        )


class TransformerEncoderLayer(TransformerBlock):
    """TransformerBlock with the arguments and defaults of PyTorch's layer of this name.

        a = norm₁(x + attention(x)),   y = norm₂(a + feed_forward(a))
        g = N₂ᵀ grad_y,   h = N₁ᵀ (g + F₂ᵀ g),   grad_x = h + A₁ᵀ h

    with N, F and A the Jacobians of the norms, the feed-forward net and attention; as TransformerBlock if norm_first.

    Shapes: x, y (N, T, d_model): the batch is first; lengths (N,).
    Args: d_model, nhead, dim_feedforward: embed_dim, num_heads and hidden of TransformerBlock; dropout; activation:
        as of TransformerBlock; layer_norm_eps; norm_first; bias; causal.
    Errors: as of TransformerBlock.
    Source: PyTorch's TransformerEncoderLayer with batch_first=True.
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
        causal: bool = False,
    ):
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, norm_first=norm_first, eps=layer_norm_eps, bias=bias,
            causal=causal,
        )  # fmt: skip
