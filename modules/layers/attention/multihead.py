"""Self-attention: each step of a sequence looks at the others."""

import numpy as np

from ...core.sequences import as_sequence_shape
from ...core.shapes import check_sizes
from ...initializers.initializers import Initializer
from ...kernels.attention.spans import fill_spans, pack_steps, unpack_steps
from ...kernels.buffers import as_rows, reuse, reuse_like
from ...kernels.matmul.gemm import matmul_into
from .attention import Attention


class MultiheadAttention(Attention):
    """Self-attention of several heads, each of which weighs the steps of a sequence by how their keys fit a query.

        [q, k, v] = x W_inᵀ + b_in,   S = scale q kᵀ + bias,   P = softmax(S),   o = P v,   y = o W_outᵀ + b_out
        grad_o = grad_y W_out,   D = Σₖ grad_o[k] o[k],   grad_v = Pᵀ grad_o,   grad_S = P ∘ (grad_o vᵀ - D)
        grad_q = scale grad_S k,   grad_k = scale grad_Sᵀ q,   grad_x = [grad_q, grad_k, grad_v] W_in
        grad_W_out += grad_yᵀ o,   grad_W_in += [grad_q, grad_k, grad_v]ᵀ x,   biases: their sums

    for each head, with scale = 1 / √(embed_dim / num_heads).

    Shapes: x, y (N, T, embed_dim); lengths (N,); in_proj_weight (embed_dim + 2 num_kv_heads head_dim, embed_dim), the
        rows of q first, then k, then v; out_proj.weight (embed_dim, embed_dim); both biases.
    Args: embed_dim: the width; num_heads: divides it; dropout: probability of leaving a weight of P out in training;
        bias: of both projections; causal: step i sees steps up to i; num_kv_heads: heads of keys and values, each
        shared by num_heads / num_kv_heads heads of queries (grouped queries), by default as many; rope: rotary
        positions, True or the base of their angles (True is 10,000): the first half of a head and the second are the
        pairs that are turned; alibi: S less a slope times the distance of the steps; score_bias: added to S, (T, T) or
        (num_heads, T, T) for the longest T; learn_score_bias: make it a parameter; weight_init: of in_proj_weight, by
        default PyTorch's.
    Errors: ValueError for such settings, for an x of another width, for lengths that are not 1 to T.
    Memory: of the outputs and one number for each query and head; a matrix (T, T) of each head up to 32 steps only.
    Source: Vaswani et al., Attention is all you need (2017), equation 1 and section 3.2.2; Bishop and Bishop, Deep
        Learning, section 12.1; Dao et al., FlashAttention (2022); Ainslie et al., GQA (2023); Su et al., RoFormer
        (2021), section 3.2; Press, Smith and Lewis, ALiBi (2022); PyTorch's MultiheadAttention.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        causal: bool = False,
        num_kv_heads: int | None = None,
        rope: bool | int = False,
        alibi: bool = False,
        score_bias=None,
        learn_score_bias: bool = False,
        weight_init: Initializer | None = None,
    ):
        super().__init__(
            embed_dim, num_heads, dropout, bias, causal=causal, num_kv_heads=num_kv_heads, rope=rope, alibi=alibi,
            score_bias=score_bias, learn_score_bias=learn_score_bias, weight_init=weight_init,
        )  # fmt: skip
        self.spans, self.total = np.empty((0, 0), np.int64), 0
        self.qkv = self.grad_qkv = self.packed = self.packed_y = self.packed_grad = np.empty((0, 0))
        self.y = self.grad_x = np.empty((0, 0, 0))
        self.cache, self.cached = np.empty((0, 0)), np.empty((0, 0), np.int64)
        self.decoding = self.capacity = self.decoded = 0  # samples, steps at most, and steps so far

    def fprop(self, x, lengths=None):
        samples, steps = x.shape[0], x.shape[1]
        self.x = x
        self.spans = reuse(self.spans, (samples, 2), np.int64)
        self.total = total = fill_spans(self.spans, steps, lengths)
        rows = as_rows(x)
        if lengths is not None:
            self.packed = reuse(self.packed, rows.shape, x.dtype)
            pack_steps(x, self.spans, self.packed)
            rows = self.packed[:total]
        self.qkv = reuse(self.qkv, (total, self.in_proj_weight.shape[0]), x.dtype)
        self.project(rows, 0, self.qkv)
        self.rotate(self.qkv, self.spans, self.num_heads + self.num_kv_heads, 0, False)
        self.attend(self.qkv, self.spans, self.qkv, self.embed_dim, self.spans)
        self.y = reuse_like(self.y, x)
        if lengths is None:
            self.write_outputs(self.heads, as_rows(self.y))
        else:
            self.packed_y = reuse(self.packed_y, self.heads.shape, x.dtype)
            self.write_outputs(self.heads, self.packed_y)
            unpack_steps(self.packed_y, self.spans, self.y)
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        rows, grad, grad_x = as_rows(self.x), as_rows(grad_y), as_rows(self.grad_x)
        packed = self.total < rows.shape[0]
        if packed:
            self.packed_grad = reuse(self.packed_grad, self.heads.shape, grad_y.dtype)
            pack_steps(grad_y, self.spans, self.packed_grad)
            rows, grad, grad_x = self.packed[: self.total], self.packed_grad, self.packed_y
        self.grad_heads = reuse_like(self.grad_heads, self.heads)
        self.grad_qkv = reuse_like(self.grad_qkv, self.qkv)
        self.write_grad_heads(self.heads, grad, self.grad_heads)
        self.attend_back(self.qkv, self.spans, self.qkv, self.embed_dim, self.spans, self.grad_qkv, self.grad_qkv)
        self.rotate(self.grad_qkv, self.spans, self.num_heads + self.num_kv_heads, 0, True)
        if self.needs_grad_parameters:
            self.project_back(rows, 0, self.grad_qkv)
        if self.needs_grad_x:
            matmul_into(self.grad_qkv, self.in_proj_weight, grad_x, False)
            if packed:
                unpack_steps(grad_x, self.spans, self.grad_x)
        return self.grad_x

    def jvp(self, v):
        """The directional derivative of each product and of the softmax; see kernels/attention/derivatives.py."""
        _, v_heads = self.tangents(as_rows(v))
        out = np.empty(self.x.shape, v.dtype)
        self.output_tangent(self.heads, v_heads, as_rows(out))
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """The change of each product of `bprop` along the directions of its factors."""
        rows, v_rows, grad, r_grad = as_rows(self.x), as_rows(v), as_rows(grad_y), as_rows(r_grad_y)
        v_qkv, v_heads = self.tangents(v_rows)
        grad_heads, r_heads = np.empty(self.heads.shape, v.dtype), np.empty(self.heads.shape, v.dtype)
        matmul_into(grad, self.out_proj.weight, grad_heads, False)
        self.output_change(self.heads, v_heads, grad, r_grad, r_heads)
        r_qkv, out = np.empty(self.qkv.shape, v.dtype), np.empty(self.x.shape, v.dtype)
        self.attend_change(
            self.qkv, self.spans, self.qkv, self.embed_dim, self.spans, v_qkv, v_qkv, grad_heads, r_heads, r_qkv, r_qkv
        )
        grad_qkv = np.empty(self.qkv.shape, v.dtype)
        self.attend_back_to(self.qkv, self.spans, self.qkv, self.embed_dim, self.spans, grad_heads, grad_qkv, grad_qkv)
        self.rotate(grad_qkv, self.spans, self.num_heads + self.num_kv_heads, 0, True)
        self.rotate(r_qkv, self.spans, self.num_heads + self.num_kv_heads, 0, True)
        self.project_change(rows, v_rows, 0, grad_qkv, r_qkv, as_rows(out))
        return out

    def tangents(self, v):
        """The directional derivatives of q, k and v, and of the heads."""
        v_qkv, v_heads = np.empty(self.qkv.shape, v.dtype), np.empty(self.heads.shape, v.dtype)
        self.project_tangent(as_rows(self.x), v, 0, v_qkv)
        self.rotate(v_qkv, self.spans, self.num_heads + self.num_kv_heads, 0, False)
        self.attend_tangent(self.qkv, self.spans, self.qkv, self.embed_dim, self.spans, v_qkv, v_qkv, v_heads)
        return v_qkv, v_heads

    def decode(self, x):
        """The outputs of new steps of sequences, whose earlier steps came before; see `decode_start`.

        Keys and values are kept, so that a step computes only its own.
        """
        samples, steps = x.shape[0], x.shape[1]
        if samples != self.decoding or self.decoded + steps > self.capacity:
            raise ValueError("decode: more samples or steps than decode_start was told")
        width = 2 * self.num_kv_heads * self.head_dim
        self.cache = reuse(self.cache, (samples * self.capacity, width), x.dtype)
        self.spans, self.cached = reuse(self.spans, (samples, 2), np.int64), reuse(self.cached, (samples, 2), np.int64)
        fill_spans(self.spans, steps, None)
        self.qkv = reuse(self.qkv, (samples * steps, self.in_proj_weight.shape[0]), x.dtype)
        self.project(as_rows(x), 0, self.qkv)
        self.rotate(self.qkv, self.spans, self.num_heads + self.num_kv_heads, self.decoded, False)
        for n in range(samples):
            self.cached[n, 0], self.cached[n, 1] = n * self.capacity, self.decoded + steps
            for t in range(steps):
                row, kept = self.qkv[n * steps + t], self.cache[n * self.capacity + self.decoded + t]
                for k in range(width):
                    kept[k] = row[self.embed_dim + k]
        self.decoded += steps
        self.attend(self.qkv, self.spans, self.cache, 0, self.cached)
        self.y = reuse_like(self.y, x)
        self.write_outputs(self.heads, as_rows(self.y))
        return self.y

    def decode_start(self, samples: int, length: int) -> None:
        """Begin new sequences of at most `length` steps, which `decode` continues; what was kept is forgotten.

        Errors: ValueError where attention is not causal: then a new step changes the outputs of all before it.
        """
        if not self.causal:
            raise ValueError(f"{self.label()}: sees later steps, expected causal attention to decode step by step")
        check_sizes(self, samples=samples, length=length)
        self.check_steps(length, length)
        for name, number in (("decoding", samples), ("capacity", length), ("decoded", 0)):
            self.write_number(name, number)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = as_sequence_shape(self, input_shape, self.embed_dim)
        self.check_steps(shape[1], shape[1])
        return shape

    def flops(self, input_shape: tuple[int, ...]) -> tuple[int, int]:
        """Floating-point operations of both passes, for the table of costs."""
        samples, steps, width = input_shape
        weights = vars(self)["in_proj_weight"].size + width * width
        scores = samples * steps * (steps + 1) // 2 if self.causal else samples * steps * steps
        forward = 2 * samples * steps * weights + 4 * scores * width
        return forward, 4 * samples * steps * weights + 10 * scores * width
