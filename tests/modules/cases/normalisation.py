"""Normalisation over the minibatch and over a sample's own elements."""

import numpy as np
from bprop.modules import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    LocalResponseNorm,
    RMSNorm,
)

from .case import Case


def affine(module, x, shape):
    if module.weight is not None:
        x = x * module.weight.reshape(shape)
    return x if getattr(module, "bias", None) is None else x + module.bias.reshape(shape)


def batch_norm(module, x):
    axes, shape = tuple(k for k in range(x.ndim) if k != 1), (1, -1, *[1] * (x.ndim - 2))
    if module.training or module.running_mean is None:
        mean, var = x.mean(axis=axes), x.var(axis=axes)
    else:
        mean, var = module.running_mean, module.running_var
    return affine(module, (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + module.eps), shape)


def layer_norm(module, x):
    axes = tuple(range(-len(module.normalized_shape), 0))
    centred = x - x.mean(axis=axes, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=axes, keepdims=True) + module.eps)
    return affine(module, centred / spread, module.normalized_shape)


def rms_norm(module, x):
    axes = tuple(range(-len(module.normalized_shape), 0))
    eps = np.finfo(np.float64).eps if module.eps is None else module.eps
    return affine(module, x / np.sqrt((x**2).mean(axis=axes, keepdims=True) + eps), module.normalized_shape)


def group_norm(module, x):
    groups = x.reshape((len(x), module.num_groups, -1))
    centred = groups - groups.mean(axis=2, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=2, keepdims=True) + module.eps)
    return affine(module, normal.reshape(x.shape), (-1, *[1] * (x.ndim - 2)))


def local_response_norm(module, x):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - module.size // 2) : c + (module.size - 1) // 2 + 1]
        energy = module.k + module.alpha / module.size * (near**2).sum(axis=1)
        y[:, c] = x[:, c] / energy**module.beta
    return y


def moved(module):
    """A module with parameters and buffers that are neither zero nor one."""
    random = np.random.default_rng(5)
    for array in (*(a for _, a in module.named_parameters()), *(a for _, a in module.named_buffers())):
        array[...] = random.uniform(0.5, 2, array.shape) if array.ndim else 3
    return module


def moved_there(module):
    """The same of a module of PyTorch, in evaluation."""
    module.load_state_dict({name: value + 0.5 for name, value in module.state_dict().items()})
    return module.eval()


def batch_row(name, make, shape, training=True, torch=None, expected="(N, 3) or (N, 3, L)"):
    return Case(
        name,
        lambda: moved(make()).train(training),
        shape,
        (4, 5),
        f"{make().label()}: x has shape (4, 5), expected {expected}",
        reference=batch_norm,
        torch=torch,
        samples_apart=not training,
        least=2 if training and len(shape) == 2 else 1,
    )


MODULES = [
    batch_row("BatchNorm1d", lambda: BatchNorm1d(3), (4, 3), torch=lambda nn: nn.BatchNorm1d(3)),
    batch_row("BatchNorm1d of sequences", lambda: BatchNorm1d(3), (4, 3, 5), torch=lambda nn: nn.BatchNorm1d(3)),
    batch_row(
        "BatchNorm1d of all minibatches",
        lambda: BatchNorm1d(3, momentum=None, eps=0.1),
        (4, 3),
        torch=lambda nn: nn.BatchNorm1d(3, eps=0.1, momentum=None),
    ),
    batch_row(
        "BatchNorm1d without parameters",
        lambda: BatchNorm1d(3, affine=False),
        (4, 3),
        torch=lambda nn: nn.BatchNorm1d(3, affine=False),
    ),
    batch_row(
        "BatchNorm1d without running statistics",
        lambda: BatchNorm1d(3, track_running_stats=False),
        (4, 3),
        torch=lambda nn: nn.BatchNorm1d(3, track_running_stats=False),
    ),
    batch_row(
        "BatchNorm1d in evaluation", lambda: BatchNorm1d(3), (4, 3), False, lambda nn: moved_there(nn.BatchNorm1d(3))
    ),
    batch_row(
        "BatchNorm1d of sequences in evaluation",
        lambda: BatchNorm1d(3, affine=False),
        (4, 3, 5),
        False,
        lambda nn: moved_there(nn.BatchNorm1d(3, affine=False)),
    ),
    batch_row(
        "BatchNorm2d",
        lambda: BatchNorm2d(3),
        (4, 3, 2, 3),
        torch=lambda nn: nn.BatchNorm2d(3),
        expected="(N, 3, H, W)",
    ),
    batch_row(
        "BatchNorm2d in evaluation",
        lambda: BatchNorm2d(3),
        (4, 3, 2, 3),
        False,
        lambda nn: moved_there(nn.BatchNorm2d(3)),
        "(N, 3, H, W)",
    ),
    batch_row(
        "BatchNorm3d",
        lambda: BatchNorm3d(3),
        (4, 3, 2, 3, 2),
        torch=lambda nn: nn.BatchNorm3d(3),
        expected="(N, 3, D, H, W)",
    ),
    batch_row(
        "BatchNorm3d in evaluation",
        lambda: BatchNorm3d(3),
        (4, 3, 2, 3, 2),
        False,
        lambda nn: moved_there(nn.BatchNorm3d(3)),
        "(N, 3, D, H, W)",
    ),
    Case(
        "LayerNorm",
        lambda: moved(LayerNorm(5)),
        (4, 5),
        (4, 3),
        "LayerNorm((5,), eps=1e-05): x has shape (4, 3), expected (N, ..., 5)",
        reference=layer_norm,
        torch=lambda nn: nn.LayerNorm(5),
    ),
    Case(
        "LayerNorm of images",
        lambda: moved(LayerNorm([3, 2])),
        (4, 2, 3, 2),
        (3, 2),
        "LayerNorm((3, 2), eps=1e-05): x has shape (3, 2), expected (N, ..., 3, 2)",
        reference=layer_norm,
        torch=lambda nn: nn.LayerNorm([3, 2]),
    ),
    Case(
        "LayerNorm without bias",
        lambda: moved(LayerNorm(5, bias=False)),
        (4, 5),
        reference=layer_norm,
        torch=lambda nn: nn.LayerNorm(5, bias=False),
    ),
    Case(
        "LayerNorm without parameters",
        lambda: LayerNorm(5, 0.1, False),
        (4, 5),
        reference=layer_norm,
        torch=lambda nn: nn.LayerNorm(5, 0.1, False),
    ),
    Case(
        "RMSNorm",
        lambda: moved(RMSNorm(5)),
        (4, 5),
        (4, 3),
        "RMSNorm((5,)): x has shape (4, 3), expected (N, ..., 5)",
        reference=rms_norm,
        torch=lambda nn: nn.RMSNorm(5),
    ),
    Case(
        "RMSNorm of sequences",
        lambda: moved(RMSNorm((2, 3), eps=0.1, elementwise_affine=False)),
        (4, 2, 3),
        reference=rms_norm,
        torch=lambda nn: nn.RMSNorm((2, 3), 0.1, False),
    ),
    Case(
        "GroupNorm",
        lambda: moved(GroupNorm(2, 4)),
        (4, 4, 3, 2),
        (4, 3, 3, 2),
        "GroupNorm(2, 4, eps=1e-05): x has shape (4, 3, 3, 2), expected (N, 4, ...)",
        reference=group_norm,
        torch=lambda nn: nn.GroupNorm(2, 4),
    ),
    Case(
        "GroupNorm without parameters",
        lambda: GroupNorm(1, 4, 0.1, False),
        (4, 4),
        reference=group_norm,
        torch=lambda nn: nn.GroupNorm(1, 4, 0.1, False),
    ),
    Case(
        "InstanceNorm2d",
        lambda: moved(InstanceNorm2d(3, affine=True)),
        (4, 3, 3, 2),
        (4, 3, 3),
        "InstanceNorm2d(3, eps=1e-05, affine=True): x has shape (4, 3, 3), expected (N, 3, H, W)",
        reference=group_norm,
        torch=lambda nn: nn.InstanceNorm2d(3, affine=True),
    ),
    Case(
        "InstanceNorm1d",
        lambda: moved(InstanceNorm1d(3, affine=True)),
        (4, 3, 5),
        (4, 3, 3, 2),
        "InstanceNorm1d(3, eps=1e-05, affine=True): x has shape (4, 3, 3, 2), expected (N, 3, L)",
        reference=group_norm,
        torch=lambda nn: nn.InstanceNorm1d(3, affine=True),
    ),
    Case(
        "InstanceNorm3d",
        lambda: InstanceNorm3d(3, 0.1),
        (4, 3, 2, 3, 2),
        (4, 3, 3, 2),
        "InstanceNorm3d(3, eps=0.1): x has shape (4, 3, 3, 2), expected (N, 3, D, H, W)",
        reference=group_norm,
        torch=lambda nn: nn.InstanceNorm3d(3, 0.1),
    ),
    Case(
        "LocalResponseNorm",
        lambda: LocalResponseNorm(3, 0.5, 0.75, 2.0),
        (4, 5, 2, 3),
        (4, 5),
        "LocalResponseNorm(3, alpha=0.5, beta=0.75, k=2): x has shape (4, 5), expected (N, C, ...)",
        reference=local_response_norm,
        torch=lambda nn: nn.LocalResponseNorm(3, 0.5, 0.75, 2.0),
    ),
    Case(
        "LocalResponseNorm of an even size",
        lambda: LocalResponseNorm(4, 1.0),
        (4, 3, 5),
        reference=local_response_norm,
        torch=lambda nn: nn.LocalResponseNorm(4, 1.0),
    ),
]
