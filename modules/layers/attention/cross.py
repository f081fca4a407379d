"""Cross-attention: each step of a sequence looks at those of another one."""

import numpy as np

from ...core.module import Module
from ...core.sequences import as_sequence_shape, check_lengths, check_lengths_shape
from ...initializers.initializers import Initializer
from ...kernels.attention.spans import fill_spans, pack_steps, unpack_steps
from ...kernels.buffers import as_rows, reuse, reuse_like
from ...kernels.matmul.gemm import matmul_into
from .attention import Attention


class CrossAttention(Attention):
    """Attention of a sequence over another one, the memory: queries of x, keys and values of the memory.

        q = x W_qᵀ + b_q,   [k, v] = m W_kvᵀ + b_kv,   S = scale q kᵀ + bias,   P = softmax(S),   y = P v W_outᵀ + b_out

    for each head; the gradients are those of MultiheadAttention, with grad_x = grad_q W_q and
    grad_memory = [grad_k, grad_v] W_kv.

    `fprop(x, memory)` or `fprop(x, memory, lengths)`; `bprop(grad_y)` returns (grad_x, grad_memory).

    Shapes: x, y (N, T, embed_dim), memory (N, S, embed_dim), lengths (N,) of the memories; parameters as of
        MultiheadAttention.
    Args: as of MultiheadAttention, without `causal`, `rope` and `alibi`; score_bias: (T, S) or (num_heads, T, S).
    Errors: ValueError for such settings, for shapes that do not fit, for lengths that are not 1 to S.
    Source: Vaswani et al., Attention is all you need (2017), section 3.2.3; Bishop and Bishop, Deep Learning, section
        12.3.4; PyTorch's MultiheadAttention.
    """

    label_arguments = (2,)

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        num_kv_heads: int | None = None,
        score_bias=None,
        learn_score_bias: bool = False,
        weight_init: Initializer | None = None,
    ):
        super().__init__(
            embed_dim, num_heads, dropout, bias, num_kv_heads=num_kv_heads, score_bias=score_bias,
            learn_score_bias=learn_score_bias, weight_init=weight_init,
        )  # fmt: skip
        self.q_spans = self.k_spans = np.empty((0, 0), np.int64)
        self.q = self.kv = self.grad_q = self.grad_kv = self.packed = self.packed_grad = np.empty((0, 0))
        self.y = self.grad_x = self.grad_memory = self.r_grad_memory = np.empty((0, 0, 0))

    def fprop(self, x, memory, lengths=None):  # type: ignore[override]
        self.x, self.memory = x, memory
        self.q_spans = reuse(self.q_spans, (x.shape[0], 2), np.int64)
        self.k_spans = reuse(self.k_spans, (x.shape[0], 2), np.int64)
        fill_spans(self.q_spans, x.shape[1], None)
        total = fill_spans(self.k_spans, memory.shape[1], lengths)
        rows, memory_rows = as_rows(x), as_rows(memory)
        if lengths is not None:
            self.packed = reuse(self.packed, memory_rows.shape, x.dtype)
            pack_steps(memory, self.k_spans, self.packed)
            memory_rows = self.packed[:total]
        self.q = reuse(self.q, rows.shape, x.dtype)
        self.kv = reuse(self.kv, (total, self.in_proj_weight.shape[0] - self.embed_dim), x.dtype)
        self.project(rows, 0, self.q)
        self.project(memory_rows, self.embed_dim, self.kv)
        self.attend(self.q, self.q_spans, self.kv, 0, self.k_spans)
        self.y = reuse_like(self.y, x)
        self.write_outputs(self.heads, as_rows(self.y))
        return self.y

    def bprop(self, grad_y):
        memory = as_rows(self.memory)
        packed = self.kv.shape[0] < memory.shape[0]
        if packed:
            memory = self.packed[: self.kv.shape[0]]
        self.grad_heads = reuse_like(self.grad_heads, self.heads)
        self.grad_q, self.grad_kv = reuse_like(self.grad_q, self.q), reuse_like(self.grad_kv, self.kv)
        self.write_grad_heads(self.heads, as_rows(grad_y), self.grad_heads)
        self.attend_back(self.q, self.q_spans, self.kv, 0, self.k_spans, self.grad_q, self.grad_kv)
        if self.needs_grad_parameters:
            self.project_back(as_rows(self.x), 0, self.grad_q)
            self.project_back(memory, self.embed_dim, self.grad_kv)
        self.grad_x, self.grad_memory = reuse_like(self.grad_x, self.x), reuse_like(self.grad_memory, self.memory)
        matmul_into(self.grad_q, self.in_proj_weight[: self.embed_dim], as_rows(self.grad_x), False)
        weight = self.in_proj_weight[self.embed_dim :]
        if packed:
            self.packed_grad = reuse(self.packed_grad, memory.shape, memory.dtype)
            matmul_into(self.grad_kv, weight, self.packed_grad, False)
            unpack_steps(self.packed_grad, self.k_spans, self.grad_memory)
        else:
            matmul_into(self.grad_kv, weight, as_rows(self.grad_memory), False)
        return self.grad_x

    def bprop_other(self, grad_y):
        """The gradient of the memory, which `bprop` has computed."""
        return self.grad_memory

    def jvp(self, v, v_memory):
        """The directional derivative of each product and of the softmax; see kernels/attention/derivatives.py."""
        _, _, v_heads = self.tangents(as_rows(v), as_rows(v_memory))
        out = np.empty(self.x.shape, v.dtype)
        self.output_tangent(self.heads, v_heads, as_rows(out))
        return out

    def rbprop(self, v, v_memory, grad_y, r_grad_y):
        """The change of each product of `bprop` along the directions of its factors."""
        v_q, v_kv, v_heads = self.tangents(as_rows(v), as_rows(v_memory))
        grad, r_grad = as_rows(grad_y), as_rows(r_grad_y)
        grad_heads, r_heads = np.empty(self.heads.shape, v.dtype), np.empty(self.heads.shape, v.dtype)
        matmul_into(grad, self.out_proj.weight, grad_heads, False)
        self.output_change(self.heads, v_heads, grad, r_grad, r_heads)
        grad_q, grad_kv = np.empty(self.q.shape, v.dtype), np.empty(self.kv.shape, v.dtype)
        r_q, r_kv = np.empty(self.q.shape, v.dtype), np.empty(self.kv.shape, v.dtype)
        self.attend_back_to(self.q, self.q_spans, self.kv, 0, self.k_spans, grad_heads, grad_q, grad_kv)
        self.attend_change(self.q, self.q_spans, self.kv, 0, self.k_spans, v_q, v_kv, grad_heads, r_heads, r_q, r_kv)
        out = np.empty(self.x.shape, v.dtype)
        self.r_grad_memory = np.empty(self.memory.shape, v.dtype)
        self.project_change(as_rows(self.x), as_rows(v), 0, grad_q, r_q, as_rows(out))
        self.project_change(
            as_rows(self.memory), as_rows(v_memory), self.embed_dim, grad_kv, r_kv, as_rows(self.r_grad_memory)
        )
        return out

    def rbprop_other(self, v, v_memory, grad_y, r_grad_y):
        """R{grad_memory}, which `rbprop` has computed."""
        return self.r_grad_memory

    def tangents(self, v, v_memory):
        """The directional derivatives of q, of k and v, and of the heads."""
        v_q, v_kv = np.empty(self.q.shape, v.dtype), np.empty(self.kv.shape, v.dtype)
        v_heads = np.empty(self.heads.shape, v.dtype)
        self.project_tangent(as_rows(self.x), v, 0, v_q)
        self.project_tangent(as_rows(self.memory), v_memory, self.embed_dim, v_kv)
        self.attend_tangent(self.q, self.q_spans, self.kv, 0, self.k_spans, v_q, v_kv, v_heads)
        return v_q, v_kv, v_heads

    # -- plain Python --------------------------------------------------------------------------------------------------

    def __call__(self, x, memory, lengths=None):  # type: ignore[override]
        """`fprop`."""
        return self.fprop(x, memory) if lengths is None else self.fprop(x, memory, lengths)

    def _enter_fprop(self, raw, x, memory=None, lengths=None):  # type: ignore[override]
        if memory is None:
            raise ValueError(f"{self.label()}: got x alone, expected x and a memory")
        if lengths is None:
            return Module._enter_fprop(self, raw, x, memory)
        check_lengths(self, np.shape(memory), lengths)
        return Module._enter_fprop(self, raw, x, memory, lengths)

    def _enter_bprop(self, raw, *arguments):
        """grad_x and grad_memory for users; a container asks for the latter by `bprop_other`."""
        grad_x = super()._enter_bprop(raw, *arguments)
        return grad_x if self.parent is not None else (grad_x, np.array(self.grad_memory))

    def check_arguments(self, *shapes):
        if len(shapes) < 2:
            raise ValueError(f"{self.label()}: got x alone, expected x and a memory")
        return self.output_shape(*shapes)

    def output_shape(self, input_shape: tuple[int, ...], memory_shape=None, lengths_shape=None) -> tuple[int, ...]:
        shape = as_sequence_shape(self, input_shape, self.embed_dim)
        if memory_shape is None:
            return shape
        if len(memory_shape) != 3 or memory_shape[0] != shape[0] or memory_shape[2] != self.embed_dim:
            expected = f"({shape[0]}, S, {self.embed_dim})"
            raise ValueError(f"{self.label()}: memory has shape {tuple(memory_shape)}, expected {expected}")
        if lengths_shape is not None:
            check_lengths_shape(self, memory_shape, lengths_shape)
        self.check_steps(shape[1], memory_shape[1])
        return shape

    def flops(self, input_shape: tuple[int, ...]) -> tuple[int, int]:
        """Floating-point operations of both passes, for a memory as long as x."""
        samples, steps, width = input_shape
        weights = vars(self)["in_proj_weight"].size + width * width
        forward = 2 * samples * steps * weights + 4 * samples * steps * steps * width
        return forward, 4 * samples * steps * weights + 10 * samples * steps * steps * width
