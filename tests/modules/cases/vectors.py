"""Layers of vectors: products, distances, directions, gates, learnt scales."""

import numpy as np
from bprop.modules import (
    GLU,
    Add,
    Bilinear,
    CMul,
    Columns,
    Cosine,
    Euclidean,
    LinearWeightNorm,
    LogSoftmax,
    MaskedLinear,
    Maxout,
    Mul,
    Normalize,
    RadialBasis,
    Softmax,
    Softmin,
    SwiGLU,
    ZeroScore,
)

from .case import Case
from .core import linear, log_softmax, softmax
from .normalisation import moved

PARENTS = [[0, 2], [1], [], [0, 1, 2]]


def columns(module, x):
    return x[..., module.columns]


def zero_score(module, x):
    return np.concatenate([x, np.zeros((*x.shape[:-1], 1))], axis=-1)


def masked_linear(module, x):
    units = [x[..., parents] @ module.weight[i, parents] for i, parents in enumerate(PARENTS)]
    y = np.stack(units, axis=-1)
    return y if module.bias is None else y + module.bias


def softmin(module, x):
    return softmax(module, -x)


def glu(module, x):
    a, b = np.split(x, 2, axis=-1)
    return a / (1 + np.exp(-b))


def moved_to_end(reference):
    """The reference of a module of an axis other than the last."""
    return lambda module, x: np.moveaxis(reference(module, np.moveaxis(x, module.dim, -1)), -1, module.dim)


def swiglu(module, x):
    a, b = np.split(x, 2, axis=-1)
    return a / (1 + np.exp(-a)) * b


def maxout(module, x):
    z = linear(module, x)
    return z.reshape(*z.shape[:-1], -1, module.pieces).max(axis=-1)


def bilinear(module, x):
    u, v = x[..., : module.in1_features], x[..., module.in1_features :]
    y = np.einsum("...i,oij,...j->...o", u, module.weight, v)
    return y if module.bias is None else y + module.bias


def euclidean(module, x):
    return np.linalg.norm(x[..., None, :] - module.weight, axis=-1)


def radial_basis(module, x):
    distances = np.linalg.norm(x[..., None, :] - module.centers, axis=-1)
    return np.exp(-(distances**2) / (2 * np.exp(module.log_width) ** 2))


def cosine(module, x):
    lengths = np.linalg.norm(x, axis=-1)[..., None] * np.linalg.norm(module.weight, axis=-1)
    return x @ module.weight.T / lengths


def normalize(module, x):
    return x / np.linalg.norm(x, module.p, axis=-1, keepdims=True)


def weight_norm(module, x):
    weight = module.weight_g * module.weight_v / np.linalg.norm(module.weight_v, axis=1, keepdims=True)
    return x @ weight.T + (0 if module.bias is None else module.bias)


def there(forward, **shapes):
    """A module of PyTorch with parameters of these shapes, whose forward pass is `forward(functional, module, x)`."""

    def make(nn):
        import torch

        class There(nn.Module):
            def __init__(self):
                super().__init__()
                for name, shape in shapes.items():
                    setattr(self, name, nn.Parameter(torch.randn(shape)))

            def forward(self, x):
                return forward(nn.functional, self, x)

        return There()

    return make


def maxout_there(functional, module, x):
    return functional.linear(x, module.weight, module.bias).unflatten(-1, (-1, 3)).amax(-1)


def bilinear_there(functional, module, x):
    return functional.bilinear(x[..., :2].contiguous(), x[..., 2:].contiguous(), module.weight, module.bias)


def euclidean_there(functional, module, x):
    return (x[..., None, :] - module.weight).norm(dim=-1)


def cosine_there(functional, module, x):
    return functional.cosine_similarity(x[..., None, :], module.weight, dim=-1)


def weight_norm_there(functional, module, x):
    return functional.linear(x, module.weight_g * functional.normalize(module.weight_v), module.bias)


def mapping(name, make, reference, forward=None, shape=(4, 3), **shapes):
    wrong = (4, shape[-1] + 4)
    message = f"{make().label()}: x has shape {wrong}, expected (N, {shape[-1]})"
    torch = there(forward, **shapes) if forward else None
    return Case(name, make, shape, wrong, message, reference=reference, torch=torch)


def masked_linear_of_torch(nn):
    import torch

    class Masked(nn.Linear):
        def forward(self, x):
            mask = torch.tensor([[float(k in parents) for k in range(3)] for parents in PARENTS], dtype=x.dtype)
            return nn.functional.linear(x, mask * self.weight, self.bias)

    return Masked(3, 4)


def picked_columns(nn, columns):
    class Picked(nn.Module):
        def forward(self, x):
            return x[:, columns]

    return Picked()


MODULES = [
    Case(
        "Columns",
        lambda: Columns([2, 0]),
        (4, 3),
        (4, 2),
        "Columns([2, 0]): x has shape (4, 2), expected (N, 3 or more)",
        reference=columns,
        torch=lambda nn: picked_columns(nn, [2, 0]),
    ),
    Case("Columns of sequences", lambda: Columns("1:4"), (4, 2, 5), reference=columns),
    Case(
        "ZeroScore",
        ZeroScore,
        (4, 3),
        (4,),
        "ZeroScore(): x has shape (4,), expected (N, ..., K - 1)",
        reference=zero_score,
        torch=lambda nn: nn.ConstantPad1d((0, 1), 0.0),
    ),
    Case("ZeroScore of sequences", ZeroScore, (4, 2, 3), reference=zero_score),
    Case(
        "MaskedLinear",
        lambda: MaskedLinear(3, 4, parents=PARENTS),
        (4, 3),
        (4, 7),
        "MaskedLinear(3 -> 4, 6 of 12 connections): x has shape (4, 7), expected (N, 3)",
        reference=masked_linear,
        torch=masked_linear_of_torch,
    ),
    Case(
        "MaskedLinear of sequences, without bias",
        lambda: MaskedLinear(3, 4, [[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]], bias=False),
        (4, 2, 3),
        reference=masked_linear,
    ),
    Case(
        "Softmin",
        Softmin,
        (4, 3),
        (4,),
        "Softmin(): x has shape (4,), expected (N, ..., K)",
        reference=softmin,
        torch=lambda nn: nn.Softmin(dim=-1),
    ),
    Case("GLU", GLU, (4, 6), (4, 3), "GLU(): x has shape (4, 3), expected (N, ..., 2K)", reference=glu, torch="GLU"),
    Case("GLU of sequences", GLU, (4, 2, 6), reference=glu, torch="GLU"),
    Case(
        "GLU of channels",
        lambda: GLU(1),
        (4, 6, 2),
        (4, 3, 2),
        "GLU(dim=1): x has shape (4, 3, 2), expected an even size along axis 1",
        reference=moved_to_end(glu),
        torch=lambda nn: nn.GLU(1),
    ),
    Case(
        "Softmax of channels",
        lambda: Softmax(1),
        (4, 3, 2, 2),
        (4,),
        "Softmax(dim=1): x has shape (4,), expected (N, ..., K)",
        reference=moved_to_end(softmax),
        torch=lambda nn: nn.Softmax(1),
    ),
    Case(
        "Softmin of channels",
        lambda: Softmin(-2),
        (4, 3, 2),
        (4, 3),
        "Softmin(dim=-2): x has 2 axes, expected more than dim",
        reference=moved_to_end(softmin),
        torch=lambda nn: nn.Softmin(-2),
    ),
    Case(
        "LogSoftmax of channels",
        lambda: LogSoftmax(1),
        (4, 3, 2),
        reference=moved_to_end(log_softmax),
        torch=lambda nn: nn.LogSoftmax(1),
    ),
    Case("SwiGLU", SwiGLU, (4, 6), (4, 3), "SwiGLU(): x has shape (4, 3), expected (N, ..., 2K)", reference=swiglu),
    Case("SwiGLU of sequences", SwiGLU, (4, 2, 6), reference=swiglu),
    mapping("Maxout", lambda: Maxout(3, 5, 3), maxout, maxout_there, weight=(15, 3), bias=(15,)),
    mapping("Maxout of one piece", lambda: Maxout(3, 2, 1), maxout, shape=(4, 2, 3)),
    mapping("Bilinear", lambda: Bilinear(2, 3, 4), bilinear, bilinear_there, (4, 5), weight=(4, 2, 3), bias=(4,)),
    mapping("Bilinear without bias", lambda: Bilinear(3, 1, 2, bias=False), bilinear, shape=(4, 2, 4)),
    mapping("Euclidean", lambda: Euclidean(3, 5), euclidean, euclidean_there, weight=(5, 3)),
    mapping("RadialBasis", lambda: moved(RadialBasis(3, 5)), radial_basis),
    mapping("RadialBasis of sequences", lambda: RadialBasis(3, 5), radial_basis, shape=(4, 2, 3)),
    mapping("Cosine", lambda: Cosine(3, 5), cosine, cosine_there, weight=(5, 3)),
    mapping("Cosine of sequences", lambda: Cosine(3, 5), cosine, shape=(4, 2, 3)),
    *(
        Case(
            f"Normalize by the {p}-norm",
            lambda p=p: Normalize(p),
            (4, 3),
            (4,),
            f"Normalize(p={p}): x has shape (4,), expected (N, ..., K)",
            reference=normalize,
            torch=there(lambda functional, module, x, p=p: functional.normalize(x, p, -1)),
        )
        for p in (1, 2, 3, 1.5, np.inf)
    ),
    mapping(
        "LinearWeightNorm",
        lambda: moved(LinearWeightNorm(3, 5)),
        weight_norm,
        weight_norm_there,
        weight_g=(5, 1),
        weight_v=(5, 3),
        bias=(5,),
    ),
    mapping("LinearWeightNorm without bias", lambda: LinearWeightNorm(3, 5, bias=False), weight_norm, shape=(4, 2, 3)),
    Case(
        "Add",
        lambda: moved(Add(3)),
        (4, 3),
        (4, 2),
        "Add((3,)): x has shape (4, 2), expected (N, ..., 3)",
        reference=lambda module, x: x + module.bias,
        torch=there(lambda functional, module, x: x + module.bias, bias=(3,)),
    ),
    Case(
        "CMul",
        lambda: moved(CMul([2, 3])),
        (4, 2, 3),
        (2, 3),
        "CMul((2, 3)): x has shape (2, 3), expected (N, ..., 2, 3)",
        reference=lambda module, x: x * module.weight,
        torch=there(lambda functional, module, x: x * module.weight, weight=(2, 3)),
    ),
    Case(
        "Mul",
        lambda: moved(Mul()),
        (4, 2, 3),
        reference=lambda module, x: x * module.weight[0],
        torch=there(lambda functional, module, x: x * module.weight, weight=(1,)),
    ),
]
