"""The base of attention layers: settings, output projection, and calls of the kernels for all samples and heads."""

import math
from typing import Any

import numpy as np

from ...core.module import Module
from ...core.parameter import Buffer, Counter, Parameter
from ...core.sequences import SequenceModule
from ...core.shapes import check_sizes
from ...initializers.initializers import Constant, Initializer, new_key
from ...initializers.scaled import GlorotUniform
from ...kernels.attention.backward import attend_tiles_back
from ...kernels.attention.block_products import MAX_SIZE
from ...kernels.attention.derivatives import attend_tiles_change, attend_tiles_tangent
from ...kernels.attention.forward import attend_tiles
from ...kernels.attention.rotary import fill_rotations, rotate_rows
from ...kernels.attention.score_columns import SIDE
from ...kernels.attention.short import attend_short, attend_short_back, find_short
from ...kernels.buffers import empty, flat, reuse
from ...kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows
from ...kernels.threads import parallel_for
from ..linear import Linear

BASE = 10000  # of the angles of rotary positions, unless another is given


class Attention(SequenceModule):
    """Base of attention layers, whose heads are parts of rows of projections.

        o = softmax(scale Q Kᵀ + bias) V for each head,   scale = 1 / √(size of a head)

    `in_proj_weight` and `in_proj_bias` have the rows of queries, then those of keys, then those of values.
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
        super().__init__()
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        check_sizes(self, embed_dim=embed_dim, num_heads=num_heads, num_kv_heads=self.num_kv_heads)
        check_heads(self, embed_dim, num_heads, self.num_kv_heads)
        self.head_dim = embed_dim // num_heads
        self.causal, self.alibi, self.scale = bool(causal), bool(alibi), 1 / math.sqrt(self.head_dim)
        self.rope = check_rope(self, rope, self.head_dim)
        self.slopes = np.array(make_slopes(num_heads) if alibi else [])
        self.dropout = check_dropout(self, dropout)
        counters: Any = (0, 0) if self.dropout is None else (Counter(new_key()), Counter())
        self.key, self.step = counters
        rows = embed_dim + 2 * self.num_kv_heads * self.head_dim
        self.in_proj_weight = Parameter((weight_init or GlorotUniform()).sample((rows, embed_dim)))
        self.in_proj_bias = Parameter(np.zeros(rows)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, bias_init=Constant(0.0))
        self.score_bias = None
        if score_bias is not None:
            self.score_bias = (Parameter if learn_score_bias else Buffer)(check_score_bias(self, score_bias))
        elif learn_score_bias:
            raise ValueError(f"{type(self).__name__}: learn_score_bias without a score_bias, expected initial values")
        self.learned_bias = "score_bias" if learn_score_bias else None  # None is known when methods are compiled
        self.no_bias = np.empty((0, 0, 0))
        self.drop_rate, self.drawn = 0.0, 0
        self.few_keys = 0  # of a sample at most, where sequences are short: then the weights are kept
        self.weights = np.empty(0)
        self.heads = self.log_sums = self.means = self.grad_heads = self.table = np.empty((0, 0))
        self.grad_scores = np.empty((0, 0, 0))

    # -- projections ---------------------------------------------------------------------------------------------------

    def project(self, x, first, out):
        """out = x Wᵀ + b with the rows of in_proj from `first` on, as many as out has columns."""
        matmul_into(x, self.in_proj_weight[first : first + out.shape[1]].T, out, False)
        if self.in_proj_bias is not None:
            add_to_rows(out, self.in_proj_bias[first : first + out.shape[1]])

    def project_back(self, x, first, grad):
        """Add to the gradients of in_proj those of `project`, grad_out = grad; see `accumulate`."""
        matmul_into(grad.T, x, self.grad_in_proj_weight[first : first + grad.shape[1]], self.accumulate)
        if self.in_proj_bias is not None:
            sum_rows(grad, self.grad_in_proj_bias[first : first + grad.shape[1]], self.accumulate)

    def write_outputs(self, heads, out):
        """out = heads W_outᵀ + b_out."""
        matmul_into(heads, self.out_proj.weight.T, out, False)
        if self.in_proj_bias is not None:
            add_to_rows(out, self.out_proj.bias)

    def write_grad_heads(self, heads, grad, out):
        """Compute the gradient of heads, and those of out_proj."""
        if self.needs_grad_parameters:
            matmul_into(grad.T, heads, self.out_proj.grad_weight, True)
            if self.in_proj_bias is not None:
                sum_rows(grad, self.out_proj.grad_bias, True)
        matmul_into(grad, self.out_proj.weight, out, False)

    def rotate(self, rows, spans, heads, past, back):
        """Turn the first heads of each row by its position, if there are rotary positions."""
        if self.rope is not None:
            end = past
            for n in range(spans.shape[0]):
                end = max(end, past + spans[n, 1])
            if self.table.shape[0] < end:
                self.table = empty((end, self.head_dim), rows.dtype)
                fill_rotations(self.rope, self.table)
            cost = 6 * rows.shape[0] * heads * self.head_dim
            parallel_for(
                rotate_rows, spans.shape[0], cost, flat(rows), rows.shape[1], spans, past, heads, self.table, back
            )

    # -- heads ---------------------------------------------------------------------------------------------------------

    def attend(self, q, q_spans, kv, k_at, k_spans):
        """Compute heads, a row for each row of q, from queries and from the keys and values of another matrix."""
        self.heads = reuse(self.heads, (q.shape[0], self.embed_dim), q.dtype)
        self.log_sums = reuse(self.log_sums, (self.num_heads, q.shape[0]), q.dtype)
        self.drop_rate = 0.0
        if self.dropout is not None and self.training:
            self.drop_rate, self.drawn = self.dropout, self.step
            self.step += 1
        drop = (self.drop_rate, self.key, self.drawn)
        shape, samples = (self.num_heads, self.num_kv_heads, self.head_dim), q_spans.shape[0]
        v_at = k_at + self.num_kv_heads * self.head_dim
        cost = 4 * self.embed_dim * self.count_pairs(q_spans, k_spans)
        self.few_keys = 0
        if self.score_bias is None and self.slopes.size == 0 and self.drop_rate == 0:
            self.few_keys = find_short(q_spans, k_spans, self.head_dim, self.causal, q)
        if self.few_keys > 0:
            self.weights = reuse(self.weights, (samples * self.num_heads * self.few_keys * SIDE,), q.dtype)
            parallel_for(
                attend_short, samples, cost, flat(q), q.shape[1], q_spans, flat(kv), k_at, v_at, kv.shape[1], k_spans,
                shape, self.scale, self.causal, self.few_keys, self.weights, flat(self.heads),
                self.log_sums,
            )  # fmt: skip
            return
        bias = self.no_bias if self.score_bias is None else self.score_bias
        parallel_for(
            attend_tiles, samples * self.num_kv_heads, cost, flat(q), q.shape[1], q_spans, flat(kv), k_at, v_at,
            kv.shape[1], k_spans, shape, self.scale, self.causal, self.slopes, bias, drop, flat(self.heads),
            self.log_sums,
        )  # fmt: skip

    def attend_back(self, q, q_spans, kv, k_at, k_spans, grad_q, grad_kv):
        """Write the gradients of queries, keys and values, from `grad_heads`; those of a bias are added."""
        if self.learned_bias is None:
            self.attend_back_to(q, q_spans, kv, k_at, k_spans, self.grad_heads, grad_q, grad_kv)
        else:
            self.attend_back_with_bias(q, q_spans, kv, k_at, k_spans, grad_q, grad_kv)

    def attend_back_with_bias(self, q, q_spans, kv, k_at, k_spans, grad_q, grad_kv):
        """Write the gradients of queries, keys and values, and add those of the bias."""
        self.means = reuse(self.means, self.log_sums.shape, q.dtype)
        drop, shape = (self.drop_rate, self.key, self.drawn), (self.num_heads, self.num_kv_heads, self.head_dim)
        v_at, cost = k_at + self.num_kv_heads * self.head_dim, 10 * self.embed_dim * self.count_pairs(q_spans, k_spans)
        self.grad_scores = reuse(
            self.grad_scores, (self.num_heads, self.score_bias.shape[1], self.score_bias.shape[2]), q.dtype
        )
        self.grad_scores[:] = 0
        parallel_for(
            attend_heads_back, self.num_kv_heads, cost, flat(q), q.shape[1], q_spans, flat(kv), k_at, v_at,
            kv.shape[1], k_spans, shape, self.scale, self.causal, self.slopes, self.score_bias, drop, flat(self.heads),
            self.log_sums, flat(self.grad_heads), self.means, flat(grad_q), flat(grad_kv), self.grad_scores,
        )  # fmt: skip
        if self.needs_grad_parameters:
            add_heads(self.grad_scores, self.grad_score_bias, self.accumulate)

    def attend_back_to(self, q, q_spans, kv, k_at, k_spans, grad_heads, grad_q, grad_kv):
        """Write the gradients of queries, keys and values, from those of heads."""
        drop, shape = (self.drop_rate, self.key, self.drawn), (self.num_heads, self.num_kv_heads, self.head_dim)
        v_at, cost = k_at + self.num_kv_heads * self.head_dim, 10 * self.embed_dim * self.count_pairs(q_spans, k_spans)
        if self.few_keys > 0:
            parallel_for(
                attend_short_back, q_spans.shape[0], cost, flat(q), q.shape[1], q_spans, flat(kv), k_at, v_at,
                kv.shape[1], k_spans, shape, self.scale, self.causal, self.few_keys, self.weights,
                flat(grad_heads), flat(grad_q), flat(grad_kv),
            )  # fmt: skip
            return
        self.means = reuse(self.means, self.log_sums.shape, q.dtype)
        bias = self.no_bias if self.score_bias is None else self.score_bias
        parallel_for(
            attend_tiles_back, q_spans.shape[0] * self.num_kv_heads, cost, flat(q), q.shape[1], q_spans, flat(kv), k_at,
            v_at, kv.shape[1], k_spans, shape, self.scale, self.causal, self.slopes, bias, drop, flat(self.heads),
            self.log_sums, flat(grad_heads), self.means, flat(grad_q), flat(grad_kv), self.no_bias,
        )  # fmt: skip

    def attend_tangent(self, q, q_spans, kv, k_at, k_spans, v_q, v_kv, v_heads):
        """Write the directional derivative of heads, along v_q and v_kv, and along that of a learned bias."""
        drop = (self.drop_rate, self.key, self.drawn)
        shape, tiles = (self.num_heads, self.num_kv_heads, self.head_dim), q_spans.shape[0] * self.num_kv_heads
        bias = self.no_bias if self.score_bias is None else self.score_bias
        v_bias = self.no_bias if self.learned_bias is None else self.v_score_bias
        v_at = k_at + self.num_kv_heads * self.head_dim
        cost = 8 * self.embed_dim * self.count_pairs(q_spans, k_spans)
        parallel_for(
            attend_tiles_tangent, tiles, cost, flat(q), q.shape[1], q_spans, flat(kv), k_at, v_at, kv.shape[1], k_spans,
            shape, self.scale, self.causal, self.slopes, bias, drop, self.log_sums, flat(v_q), flat(v_kv), v_bias,
            flat(v_heads),
        )  # fmt: skip

    def attend_change(self, q, q_spans, kv, k_at, k_spans, v_q, v_kv, grad, r_grad, r_q, r_kv):
        """Write the change of `attend_back`, where q, kv and the gradient of heads move along directions."""
        drop = (self.drop_rate, self.key, self.drawn)
        shape, tiles = (self.num_heads, self.num_kv_heads, self.head_dim), q_spans.shape[0] * self.num_kv_heads
        bias = self.no_bias if self.score_bias is None else self.score_bias
        v_bias = self.no_bias if self.learned_bias is None else self.v_score_bias
        v_at = k_at + self.num_kv_heads * self.head_dim
        r_bias = self.no_bias
        if self.learned_bias is not None:
            r_bias = np.zeros((self.num_heads, bias.shape[1], bias.shape[2]), q.dtype)
        attend_tiles_change(
            0, tiles, flat(q), q.shape[1], q_spans, flat(kv), k_at, v_at, kv.shape[1], k_spans, shape, self.scale,
            self.causal, self.slopes, bias, drop, self.log_sums, flat(v_q), flat(v_kv), v_bias, flat(grad),
            flat(r_grad), flat(r_q), flat(r_kv), r_bias,
        )  # fmt: skip
        if self.learned_bias is not None:
            add_heads(r_bias, self.grad_score_bias, True)

    def project_tangent(self, x, v, first, out):
        """out = v Wᵀ + x V_Wᵀ + v_b, of the rows of in_proj from `first` on."""
        last = first + out.shape[1]
        matmul_into(x, self.v_in_proj_weight[first:last].T, out, False)
        if self.needs_grad_x:  # else nothing before this layer is learned, and x stands still
            matmul_into(v, self.in_proj_weight[first:last].T, out, True)
        if self.in_proj_bias is not None:
            add_to_rows(out, self.v_in_proj_bias[first:last])

    def project_change(self, x, v, first, grad, r_grad, out):
        """Add R{gradients of in_proj}, and write R{grad_x} to out; v, v_W: the directions of x and W."""
        last = first + grad.shape[1]
        matmul_into(r_grad.T, x, self.grad_in_proj_weight[first:last], True)
        if self.in_proj_bias is not None:
            sum_rows(r_grad, self.grad_in_proj_bias[first:last], True)
        if self.needs_grad_x:
            matmul_into(grad.T, v, self.grad_in_proj_weight[first:last], True)
            matmul_into(r_grad, self.in_proj_weight[first:last], out, False)
            matmul_into(grad, self.v_in_proj_weight[first:last], out, True)

    def output_tangent(self, heads, v_heads, out):
        """out = v_heads W_outᵀ + heads V_Wᵀ + v_b."""
        matmul_into(v_heads, self.out_proj.weight.T, out, False)
        matmul_into(heads, self.out_proj.v_weight.T, out, True)
        if self.in_proj_bias is not None:
            add_to_rows(out, self.out_proj.v_bias)

    def output_change(self, heads, v_heads, grad, r_grad, out):
        """Add R{gradients of out_proj}, and write R{grad_heads} to out."""
        matmul_into(r_grad.T, heads, self.out_proj.grad_weight, True)
        matmul_into(grad.T, v_heads, self.out_proj.grad_weight, True)
        if self.in_proj_bias is not None:
            sum_rows(r_grad, self.out_proj.grad_bias, True)
        matmul_into(r_grad, self.out_proj.weight, out, False)
        matmul_into(grad, self.out_proj.v_weight, out, True)

    def count_pairs(self, q_spans, k_spans):
        """Count the pairs of a query and a key that it sees, about."""
        pairs = 0
        for n in range(q_spans.shape[0]):
            pairs += q_spans[n, 1] * k_spans[n, 1]
        return pairs // 2 if self.causal else pairs

    # -- plain Python --------------------------------------------------------------------------------------------------

    def check_steps(self, queries: int, keys: int) -> None:
        """Raise ValueError unless a bias of scores has so many queries and keys."""
        bias = vars(self).get("score_bias")
        if bias is not None and (queries > bias.shape[1] or keys > bias.shape[2]):
            raise ValueError(
                f"{self.label()}: {queries} queries and {keys} keys, expected at most {bias.shape[1]} and "
                f"{bias.shape[2]}, the shape of score_bias"
            )

    def extra_repr(self) -> str:
        parts = [f"{self.embed_dim}, {self.num_heads} heads"]
        parts += [f"num_kv_heads={self.num_kv_heads}"] if self.num_kv_heads != self.num_heads else []
        parts += [f"dropout={self.dropout:g}"] if self.dropout is not None else []
        parts += ["bias=False"] if self.in_proj_bias is None else []
        parts += [name for name in ("causal", "alibi") if getattr(self, name)]
        parts += [f"rope={self.rope}"] if self.rope is not None else []
        parts += ["score_bias"] if self.score_bias is not None else []
        return ", ".join(parts)


def attend_heads_back(
    first, last, q, q_row, q_spans, kv, k_at, v_at, kv_row, k_spans, shape, scale, causal, slopes, bias, drop, out,
    log_sums, grad_out, means, grad_q, grad_kv, grad_bias,
):  # fmt: skip
    """`attend_tiles_back` of some heads of keys, sample after sample: each has its own part of grad_bias."""
    for key_head in range(first, last):
        for sample in range(q_spans.shape[0]):
            tile = sample * shape[1] + key_head
            attend_tiles_back(
                tile, tile + 1, q, q_row, q_spans, kv, k_at, v_at, kv_row, k_spans, shape, scale, causal, slopes, bias,
                drop, out, log_sums, grad_out, means, grad_q, grad_kv, grad_bias,
            )  # fmt: skip


def add_heads(grads, out, add):
    """out[h] (+)= grads[h]; where out has one head, the sum of all."""
    if not add:
        out[:] = 0
    for head in range(grads.shape[0]):
        source, target = flat(grads[head]), flat(out[min(head, out.shape[0] - 1)])
        for i in range(source.size):
            target[i] += source[i]


def check_heads(module: Module, embed_dim: int, num_heads: int, num_kv_heads: int) -> None:
    """Raise ValueError unless the heads divide the width, and the heads of keys those of queries."""
    name = type(module).__name__
    if embed_dim % num_heads:
        raise ValueError(f"{name}: embed_dim is {embed_dim}, expected a multiple of num_heads = {num_heads}")
    if num_heads % num_kv_heads:
        raise ValueError(f"{name}: num_heads is {num_heads}, expected a multiple of num_kv_heads = {num_kv_heads}")
    if embed_dim // num_heads > MAX_SIZE:
        raise ValueError(f"{name}: heads have {embed_dim // num_heads} features, expected at most {MAX_SIZE}")


def check_rope(module: Module, rope: bool | int, head_dim: int) -> int | None:
    """Convert the setting of rotary positions to the base of their angles, None for none; ValueError if it is wrong."""
    if rope is False or rope is None:
        return None
    name = type(module).__name__
    base = BASE if rope is True else rope
    if not isinstance(base, int) or base < 2:
        raise ValueError(f"{name}: rope is {rope!r}, expected True, False, or the base, a whole number of at least 2")
    if head_dim % 2:
        raise ValueError(f"{name}: heads have {head_dim} features, expected an even number for rope")
    return base


def check_dropout(module: Module, dropout: float) -> float | None:
    """Convert a probability; None for 0. ValueError unless it is at least 0 and below 1."""
    if not 0 <= dropout < 1:
        raise ValueError(f"{type(module).__name__}: dropout is {dropout}, expected at least 0 and below 1")
    return float(dropout) or None


def check_score_bias(module: Attention, score_bias) -> np.ndarray:
    """Convert a bias of scores to (1 or heads, queries, keys); ValueError for another shape."""
    bias = np.asarray(score_bias, np.float64)
    bias = bias[None] if bias.ndim == 2 else bias
    if bias.ndim != 3 or bias.shape[0] not in (1, module.num_heads) or not bias.size:
        expected = f"(queries, keys) or ({module.num_heads}, queries, keys)"
        raise ValueError(f"{type(module).__name__}: score_bias has shape {np.shape(score_bias)}, expected {expected}")
    return bias


def make_slopes(num_heads: int) -> list[float]:
    """The slopes of ALiBi: powers of 2^(-8 / heads); between them, if the heads are no power of two.

    Source: Press, Smith and Lewis, Train short, test long (2022), section 3, and their code for other numbers of heads.
    """
    power = 1 << (num_heads.bit_length() - 1)
    slopes = [2.0 ** (-8.0 * (k + 1) / power) for k in range(power)]
    slopes += [2.0 ** (-4.0 * (2 * k + 1) / power) for k in range(num_heads - power)]
    return slopes
