"""Losses of regression, of yes and no, of margins, pairs and likelihoods."""

import math

import numpy as np
from bprop.modules import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    ContrastiveDivergence,
    CosineEmbedding,
    Focal,
    GaussianNLL,
    Hinge,
    HingeEmbedding,
    Huber,
    KLDivergence,
    LearntPrecision,
    LogCosh,
    LossPart,
    MarginRanking,
    MeanAbsoluteError,
    MeanOutput,
    MeanSquaredError,
    MixtureDensity,
    MultiLoss,
    MultiMargin,
    MultivariateGaussianNLL,
    NegativeLogLikelihood,
    Perceptron,
    PoissonNLL,
    SmoothL1,
    SoftMargin,
    SoftmaxCrossEntropy,
    SquaredHinge,
    Triplet,
)

from .case import Case, LossCase
from .core import distributions, labels, log_softmax, numbers

WEIGHTS = [0.5, 2.0, 1.25]


def probabilities(y):
    return 1 / (1 + np.exp(-y))


def yes_or_no(random, shape):
    return random.integers(0, 2, shape).astype(float)


def signs(random, shape):
    return 2.0 * yes_or_no(random, shape) - 1


def signs_of_samples(random, shape):
    return signs(random, shape[:1])


def first_signs(random, shape):
    return np.ones(shape[:1])


def counts(random, shape):
    return random.poisson(2, shape).astype(float)


def half_numbers(random, shape):
    return random.standard_normal((*shape[:-1], shape[-1] // 2))


def log_distributions(random, shape):
    return np.log(distributions(random, shape))


def labels_with_ignored(random, shape):
    target = labels(random, shape)
    target.flat[1] = -100
    return target


def reduced(loss, terms):
    return terms.mean() if loss.reduction == "mean" else terms.sum()


def by_elements(l):
    """The reference of a loss whose elements cost l(loss, y, target)."""
    return lambda loss, y, target: reduced(loss, l(loss, y, target))


def softplus(x):
    return np.log(1 + np.exp(x))


def squared(loss, y, t):
    return (y - t) ** 2


def half_squared(loss, y, t):
    return (y - t) ** 2 / 2


def absolute(loss, y, t):
    return abs(y - t)


def smooth_l1(loss, y, t):
    d = abs(y - t)
    return np.where(d < loss.beta, d * d / 2 / max(loss.beta, 1e-300), d - loss.beta / 2)


def huber(loss, y, t):
    d = abs(y - t)
    return np.where(d < loss.delta, d * d / 2, loss.delta * (d - loss.delta / 2))


def log_cosh(loss, y, t):
    return np.log(np.cosh(y - t))


def binary_cross_entropy(loss, y, t):
    w = 1 if loss.weight is None else loss.weight
    return w * binary_terms(y, t)


def binary_terms(y, t):
    return -t * np.log(y) - (1 - t) * np.log(1 - y)


def binary_cross_entropy_with_logits(loss, y, t):
    v = 1 if loss.pos_weight is None else loss.pos_weight
    w = 1 if loss.weight is None else loss.weight
    return w * (-v * t * np.log(probabilities(y)) - (1 - t) * np.log(1 - probabilities(y)))


def focal(loss, y, t):
    p = np.where(t == 1, probabilities(y), 1 - probabilities(y))
    alpha = 1 if loss.alpha is None else np.where(t == 1, loss.alpha, 1 - loss.alpha)
    return -alpha * (1 - p) ** loss.gamma * np.log(p)


def hinge(loss, y, t):
    return np.maximum(0, loss.margin - t * y)


def perceptron(loss, y, t):
    return np.maximum(0, -t * y)


def squared_hinge(loss, y, t):
    return hinge(loss, y, t) ** 2


def soft_margin(loss, y, t):
    return softplus(-t * y)


def hinge_embedding(loss, y, t):
    return np.where(t == 1, y, np.maximum(0, loss.margin - y))


def poisson(loss, y, t):
    rate = np.exp(y) if loss.log_input else y + loss.eps
    constant = np.array([math.log(math.factorial(int(k))) for k in t.flat]).reshape(t.shape)
    return (np.exp(y) if loss.log_input else y) - t * np.log(rate) + constant * loss.full


def gaussian(loss, y, t):
    if loss.variance is None:
        y, raw = np.split(y, 2, axis=-1)
        floored = softplus(raw) + 1e-6
        variance = {"precision": 1 / softplus(raw), "variance": floored, "std": floored**2}[loss.parametrization]
    else:
        variance = loss.variance
    return (y - t) ** 2 / 2 / variance + np.log(variance) / 2 + loss.full * np.log(2 * np.pi) / 2


def log_likelihood(loss, log_p, target):
    """The reference of losses against labels or distributions, from log-probabilities."""
    classes = log_p.shape[-1]
    v = np.ones(classes) if loss.class_weights is None else loss.class_weights
    log_p = log_p.reshape(-1, classes)
    smoothing = getattr(loss, "label_smoothing", None) or 0
    if target.ndim < 2:
        mask = target.reshape(-1) != (np.inf if loss.ignore_index is None else loss.ignore_index)
        log_p, target = log_p[mask], target.reshape(-1)[mask]
        count, target = v[target].sum(), np.eye(classes)[target]
    else:
        count = len(log_p)
    total = -np.sum(v * (target * (1 - smoothing) + smoothing / classes) * log_p)
    return total / count if loss.reduction == "mean" else total


def softmax_cross_entropy(loss, y, target):
    return log_likelihood(loss, log_softmax(None, y), target)


def multi_margin(loss, y, target):
    terms = np.zeros(len(y))
    v = np.ones(y.shape[1]) if loss.class_weights is None else loss.class_weights
    for n, t in enumerate(target):
        for k in range(y.shape[1]):
            if k != t:
                terms[n] += v[t] * max(0, loss.margin - y[n, t] + y[n, k]) ** loss.p / y.shape[1]
    return reduced(loss, terms)


def kl_divergence(loss, y, target):
    t = np.exp(target) if loss.log_target else target
    total = np.sum(t * (np.log(t) - y))
    return total / len(y) if loss.reduction == "mean" else total


def margin_ranking(loss, y, t):
    return np.maximum(0, loss.margin - t * (y[:, 0] - y[:, 1]))


def cosine_embedding(loss, y, t):
    cosine = np.array([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in y])
    return np.where(t == 1, 1 - cosine, np.maximum(0, cosine - loss.margin))


def triplet(loss, y, t):
    def distance(u, v):
        return np.linalg.norm(u - v + loss.eps, ord=loss.p)

    costs = [(distance(a, b), distance(a, c)) for a, b, c in y]
    return np.array([max(0, loss.margin + sign * (near - far)) for sign, (near, far) in zip(t, costs, strict=True)])


def mixture(loss, y, target):
    K, D = loss.components, loss.dims
    terms = []
    for row, t in zip(y, target, strict=True):
        weights = np.exp(row[:K]) / np.exp(row[:K]).sum()
        means, p = row[K : K + K * D].reshape(K, D), softplus(row[K + K * D :]).reshape(K, D)
        densities = np.prod(np.sqrt(p / 2 / np.pi) * np.exp(-p * (t - means) ** 2 / 2), axis=1)
        terms.append(-np.log(weights @ densities))
    return reduced(loss, np.array(terms))


def covariances(loss, y):
    B = y[:, loss.dims :].reshape(len(y), loss.dims, loss.rank)
    return B @ B.swapaxes(1, 2) + loss.eps * np.eye(loss.dims)


def multivariate_gaussian(loss, y, target):
    terms = []
    for row, t, covariance in zip(y, target, covariances(loss, y), strict=True):
        d = row[: loss.dims] - t
        terms.append((d @ np.linalg.inv(covariance) @ d + np.log(np.linalg.det(covariance))) / 2)
    return reduced(loss, np.array(terms) + loss.full * loss.dims * np.log(2 * np.pi) / 2)


def multivariate_gaussian_of_torch(nn):
    def loss(y, target):
        import torch

        B = y[:, 2:].reshape(len(y), 2, -1)
        covariance = B @ B.transpose(1, 2) + 1e-6 * torch.eye(2, dtype=y.dtype)
        return -torch.distributions.MultivariateNormal(y[:, :2], covariance).log_prob(target).mean()

    return loss


def low_rank_gaussian_of_torch(nn):
    def loss(y, target):
        import torch

        diagonal = torch.full((len(y), 3), 0.1, dtype=y.dtype)
        low_rank = torch.distributions.LowRankMultivariateNormal(y[:, :3], y[:, 3:].reshape(-1, 3, 1), diagonal)
        return -low_rank.log_prob(target).sum()

    return loss


def same_shape(who):
    return f"{who}: y has shape (4, 1) and target (4,), expected the same shape"


def elementwise(name, make, reference, draw, torch, shape=(4, 3), domain=None, who=None, rows=""):
    return LossCase(
        name,
        make,
        shape,
        draw,
        ((4, 1), (4,)),
        same_shape(who or f"{name}()") + rows,
        reference=by_elements(reference),
        torch=torch,
        domain=domain,
    )


def columns(function):
    """PyTorch's loss of several inputs, applied to the rows of y (N, rows, D), or its columns (N, rows)."""

    def loss(y, target):
        return function(*y.unbind(1), target)

    return loss


def anchors(function):
    return lambda y, target: function(*y.unbind(1))


def gaussian_of_torch(nn, variance=lambda p: 1 / p):
    def loss(y, target):
        mean, raw = y.chunk(2, -1)
        return nn.GaussianNLLLoss(full=True, eps=0)(mean, target, variance(nn.functional.softplus(raw)))

    return loss


def gaussian_variant(parametrization, raws, variance):
    return LossCase(
        f"GaussianNLL, {parametrization}",
        lambda: GaussianNLL(parametrization=parametrization),
        (4, 6),
        half_numbers,
        ((4, 6), (4, 6)),
        f"GaussianNLL(parametrization='{parametrization}'): y has shape (4, 6) and target (4, 6), "
        f"expected y (N, 2D): means, raw {raws}; target (N, D)",
        reference=by_elements(gaussian),
        torch=lambda nn: gaussian_of_torch(nn, variance),
    )


def mixture_of_torch(nn):
    import torch
    from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

    def loss(y, target):
        scores, means, raw = y[:, :3], y[:, 3:9].reshape(-1, 3, 2), y[:, 9:].reshape(-1, 3, 2)
        parts = Independent(Normal(means, torch.rsqrt(nn.functional.softplus(raw))), 1)
        return -MixtureSameFamily(Categorical(logits=scores), parts).log_prob(target).mean()

    return loss


def focal_of_torch(nn):
    def loss(y, target):
        p = y.sigmoid()
        right = p * target + (1 - p) * (1 - target)
        alpha = 0.25 * target + 0.75 * (1 - target)
        terms = nn.functional.binary_cross_entropy_with_logits(y, target, reduction="none")
        return (alpha * (1 - right) ** 2 * terms).mean()

    return loss


def classes(name, make, who, torch, draw=labels, reference=softmax_cross_entropy, domain=None):
    both = "expected target (4,) (labels)" + (" or (4, 3) (distributions)" if "Entropy" in who else "")
    return LossCase(
        name,
        make,
        (4, 3),
        draw,
        ((4, 3), (4, 1)),
        f"{who}: y has shape (4, 3) and target (4, 1), {both}",
        reference=reference,
        torch=torch,
        domain=domain,
    )


def tensor(values):
    import torch

    return torch.tensor(values)


def learnt_precision(module, x):
    return np.array([np.concatenate([row, module.raw]) for row in x.reshape(-1, 3)]).reshape(*x.shape[:-1], 6)


MODULES = [
    Case(
        "LearntPrecision",
        lambda: LearntPrecision(3, precision=2.0),
        (4, 3),
        (4, 7),
        "LearntPrecision(3): x has shape (4, 7), expected (N, 3)",
        reference=learnt_precision,
    ),
    Case("LearntPrecision of sequences", lambda: LearntPrecision(3), (4, 2, 3), reference=learnt_precision),
]

ELEMENTWISE = [
    elementwise(
        "MeanSquaredError, sum",
        lambda: MeanSquaredError("sum"),
        squared,
        numbers,
        lambda nn: nn.MSELoss(reduction="sum"),
        who="MeanSquaredError(reduction='sum')",
    ),
    elementwise(
        "MeanSquaredError, half of the sum",
        lambda: MeanSquaredError("sum", half=True),
        half_squared,
        numbers,
        lambda nn: lambda y, t: nn.MSELoss(reduction="sum")(y, t) / 2,
        who="MeanSquaredError(reduction='sum', half=True)",
    ),
    elementwise("MeanAbsoluteError", MeanAbsoluteError, absolute, numbers, "L1Loss"),
    elementwise("SmoothL1", SmoothL1, smooth_l1, numbers, "SmoothL1Loss", (4, 2, 3)),
    elementwise(
        "SmoothL1, beta 0.5",
        lambda: SmoothL1(0.5),
        smooth_l1,
        numbers,
        lambda nn: nn.SmoothL1Loss(beta=0.5),
        who="SmoothL1(beta=0.5)",
    ),
    elementwise(
        "SmoothL1, beta 0",
        lambda: SmoothL1(beta=0),
        smooth_l1,
        numbers,
        lambda nn: nn.SmoothL1Loss(beta=0),
        who="SmoothL1(beta=0.0)",
    ),
    elementwise("Huber", Huber, huber, numbers, "HuberLoss"),
    elementwise(
        "Huber, delta 0.5",
        lambda: Huber(delta=0.5, reduction="sum"),
        huber,
        numbers,
        lambda nn: nn.HuberLoss(delta=0.5, reduction="sum"),
        who="Huber(delta=0.5, reduction='sum')",
    ),
    elementwise("LogCosh", LogCosh, log_cosh, numbers, None),
    elementwise(
        "BinaryCrossEntropy", BinaryCrossEntropy, binary_cross_entropy, yes_or_no, "BCELoss", domain=probabilities
    ),
    elementwise(
        "BinaryCrossEntropyWithLogits",
        BinaryCrossEntropyWithLogits,
        binary_cross_entropy_with_logits,
        yes_or_no,
        "BCEWithLogitsLoss",
    ),
    LossCase(
        "BinaryCrossEntropyWithLogits, weights",
        lambda: BinaryCrossEntropyWithLogits([2, 0.5, 1], reduction="sum"),
        (4, 2, 3),
        lambda random, shape: random.random(shape),
        ((4, 2), (4, 2)),
        "BinaryCrossEntropyWithLogits(pos_weight=[2, 0.5, 1], reduction='sum'): y has 2 columns, pos_weight 3",
        reference=by_elements(binary_cross_entropy_with_logits),
        torch=lambda nn: nn.BCEWithLogitsLoss(pos_weight=tensor([2, 0.5, 1]), reduction="sum"),
    ),
    LossCase(
        "BinaryCrossEntropyWithLogits, both weights",
        lambda: BinaryCrossEntropyWithLogits(2.0, weight=[1, 3, 0.5]),
        (4, 3),
        yes_or_no,
        ((4, 2), (4, 2)),
        "BinaryCrossEntropyWithLogits(pos_weight=[2], weight=[1, 3, 0.5]): y has 2 columns, weight 3",
        reference=by_elements(binary_cross_entropy_with_logits),
        torch=lambda nn: nn.BCEWithLogitsLoss(tensor([1, 3, 0.5]), pos_weight=tensor(2.0)),
    ),
    LossCase(
        "BinaryCrossEntropy, weights",
        lambda: BinaryCrossEntropy("sum", [1, 3, 0.5]),
        (4, 2, 3),
        yes_or_no,
        ((4, 2), (4, 2)),
        "BinaryCrossEntropy(reduction='sum', weight=[1, 3, 0.5]): y has 2 columns, weight 3",
        reference=by_elements(binary_cross_entropy),
        torch=lambda nn: nn.BCELoss(tensor([1, 3, 0.5]), reduction="sum"),
        domain=probabilities,
    ),
    elementwise("Focal", Focal, focal, yes_or_no, focal_of_torch),
    elementwise(
        "Focal without alpha",
        lambda: Focal(1.5, None),
        focal,
        yes_or_no,
        None,
        who="Focal(gamma=1.5, alpha=None)",
    ),
    elementwise("Hinge", Hinge, hinge, signs, None),
    elementwise("Perceptron", Perceptron, perceptron, signs, lambda nn: lambda y, t: nn.functional.relu(-t * y).mean()),
    elementwise("SquaredHinge", SquaredHinge, squared_hinge, signs, None),
    elementwise("SoftMargin", SoftMargin, soft_margin, signs, "SoftMarginLoss"),
    elementwise("HingeEmbedding", HingeEmbedding, hinge_embedding, signs, "HingeEmbeddingLoss"),
    elementwise(
        "PoissonNLL",
        lambda: PoissonNLL(full=False),
        poisson,
        counts,
        "PoissonNLLLoss",
        who="PoissonNLL(full=False)",
    ),
    elementwise("PoissonNLL with log t!", PoissonNLL, poisson, counts, None, who="PoissonNLL()"),
    elementwise(
        "PoissonNLL of rates",
        lambda: PoissonNLL(log_input=False, full=False),
        poisson,
        counts,
        lambda nn: nn.PoissonNLLLoss(log_input=False),
        domain=np.exp,
        who="PoissonNLL(log_input=False, full=False)",
    ),
    elementwise(
        "GaussianNLL with a fixed variance",
        lambda: GaussianNLL(0.25),
        gaussian,
        numbers,
        lambda nn: lambda y, t: nn.GaussianNLLLoss(full=True)(y, t, 0.25),
        who="GaussianNLL(variance=0.25)",
        rows=" (N, D)",
    ),
]

CLASSES = [
    classes(
        "SoftmaxCrossEntropy, class weights",
        lambda: SoftmaxCrossEntropy(WEIGHTS),
        "SoftmaxCrossEntropy(class_weights=[0.5, 2, 1.25])",
        lambda nn: nn.CrossEntropyLoss(tensor(WEIGHTS)),
    ),
    classes(
        "SoftmaxCrossEntropy, smoothing",
        lambda: SoftmaxCrossEntropy(label_smoothing=0.1),
        "SoftmaxCrossEntropy(label_smoothing=0.1)",
        lambda nn: nn.CrossEntropyLoss(label_smoothing=0.1),
    ),
    classes(
        "SoftmaxCrossEntropy, all options",
        lambda: SoftmaxCrossEntropy(WEIGHTS, 0.2, -100),
        "SoftmaxCrossEntropy(class_weights=[0.5, 2, 1.25], label_smoothing=0.2, ignore_index=-100)",
        lambda nn: nn.CrossEntropyLoss(tensor(WEIGHTS), label_smoothing=0.2),
        labels_with_ignored,
    ),
    classes(
        "SoftmaxCrossEntropy, sum",
        lambda: SoftmaxCrossEntropy(WEIGHTS, 0.2, -100, "sum"),
        "SoftmaxCrossEntropy(class_weights=[0.5, 2, 1.25], label_smoothing=0.2, ignore_index=-100, reduction='sum')",
        lambda nn: nn.CrossEntropyLoss(tensor(WEIGHTS), label_smoothing=0.2, reduction="sum"),
        labels_with_ignored,
    ),
    classes(
        "SoftmaxCrossEntropy with distributions, options",
        lambda: SoftmaxCrossEntropy(WEIGHTS, 0.2),
        "SoftmaxCrossEntropy(class_weights=[0.5, 2, 1.25], label_smoothing=0.2)",
        lambda nn: nn.CrossEntropyLoss(tensor(WEIGHTS), label_smoothing=0.2),
        distributions,
    ),
    classes(
        "NegativeLogLikelihood",
        NegativeLogLikelihood,
        "NegativeLogLikelihood()",
        "NLLLoss",
        reference=log_likelihood,
    ),
    classes(
        "NegativeLogLikelihood, all options",
        lambda: NegativeLogLikelihood(WEIGHTS, -100),
        "NegativeLogLikelihood(class_weights=[0.5, 2, 1.25], ignore_index=-100)",
        lambda nn: nn.NLLLoss(tensor(WEIGHTS)),
        labels_with_ignored,
        reference=log_likelihood,
    ),
    classes("MultiMargin", MultiMargin, "MultiMargin()", "MultiMarginLoss", reference=multi_margin),
    classes(
        "MultiMargin, all options",
        lambda: MultiMargin(2, 0.5, WEIGHTS),
        "MultiMargin(p=2, margin=0.5, class_weights=[0.5, 2, 1.25])",
        lambda nn: nn.MultiMarginLoss(p=2, margin=0.5, weight=tensor(WEIGHTS)),
        reference=multi_margin,
    ),
]

SAMPLES = [
    LossCase(
        "KLDivergence",
        KLDivergence,
        (4, 3),
        distributions,
        ((4, 3), (4,)),
        "KLDivergence(): y has shape (4, 3) and target (4,), expected the same shape",
        reference=kl_divergence,
        torch=lambda nn: nn.KLDivLoss(reduction="batchmean"),
    ),
    LossCase(
        "KLDivergence, log target",
        lambda: KLDivergence(log_target=True, reduction="sum"),
        (4, 2, 3),
        log_distributions,
        ((4, 3), (4,)),
        "KLDivergence(log_target=True, reduction='sum'): y has shape (4, 3) and target (4,), expected the same shape",
        reference=kl_divergence,
        torch=lambda nn: nn.KLDivLoss(reduction="sum", log_target=True),
    ),
    LossCase(
        "GaussianNLL",
        GaussianNLL,
        (4, 6),
        half_numbers,
        ((4, 6), (4, 6)),
        "GaussianNLL(): y has shape (4, 6) and target (4, 6), expected y (N, 2D): means, raw precisions; target (N, D)",
        reference=by_elements(gaussian),
        torch=gaussian_of_torch,
    ),
    LossCase(
        "GaussianNLL of sequences",
        lambda: GaussianNLL(full=False, reduction="sum"),
        (4, 2, 6),
        half_numbers,
        ((6,), (3,)),
        "GaussianNLL(full=False, reduction='sum'): y has shape (6,) and target (3,), "
        "expected y (N, 2D): means, raw precisions; target (N, D)",
        reference=by_elements(gaussian),
    ),
    gaussian_variant("variance", "variances", lambda v: v + 1e-6),
    gaussian_variant("std", "stds", lambda s: (s + 1e-6) ** 2),
    LossCase(
        "MultivariateGaussianNLL",
        lambda: MultivariateGaussianNLL(2),
        (4, 6),
        lambda random, shape: random.standard_normal((shape[0], 2)),
        ((4, 5), (4, 2)),
        "MultivariateGaussianNLL(dims=2): y has shape (4, 5) and target (4, 2), "
        "expected y (N, 6): 2 means, 2 x 2 numbers of B; and target (N, 2)",
        reference=multivariate_gaussian,
        torch=multivariate_gaussian_of_torch,
    ),
    LossCase(
        "MultivariateGaussianNLL, one column",
        lambda: MultivariateGaussianNLL(3, 1, 0.1, reduction="sum"),
        (4, 6),
        half_numbers,
        ((4, 6), (4, 2)),
        "MultivariateGaussianNLL(dims=3, columns=1, eps=0.1, reduction='sum'): y has shape (4, 6) and target (4, 2), "
        "expected y (N, 6): 3 means, 3 x 1 numbers of B; and target (N, 3)",
        reference=multivariate_gaussian,
        torch=low_rank_gaussian_of_torch,
    ),
    LossCase(
        "MixtureDensity",
        lambda: MixtureDensity(3, 2),
        (4, 15),
        lambda random, shape: random.standard_normal((shape[0], 2)),
        ((4, 14), (4, 2)),
        "MixtureDensity(components=3, dims=2): y has shape (4, 14) and target (4, 2), "
        "expected y (N, 15) and target (N, 2)",
        reference=mixture,
        torch=mixture_of_torch,
    ),
    LossCase(
        "MarginRanking",
        lambda: MarginRanking(0.3),
        (6, 2),
        signs_of_samples,
        ((4, 3), (4,)),
        "MarginRanking(margin=0.3): y has shape (4, 3) and target (4,), expected y (N, 2) and target (N,)",
        reference=by_elements(margin_ranking),
        torch=lambda nn: columns(nn.MarginRankingLoss(0.3)),
    ),
    LossCase(
        "CosineEmbedding",
        lambda: CosineEmbedding(0.1),
        (6, 2, 5),
        signs_of_samples,
        ((4, 3, 5), (4,)),
        "CosineEmbedding(margin=0.1): y has shape (4, 3, 5) and target (4,), expected y (N, 2, D) and target (N,)",
        reference=lambda loss, y, t: reduced(loss, cosine_embedding(loss, y, t)),
        torch=lambda nn: columns(nn.CosineEmbeddingLoss(0.1)),
    ),
    LossCase(
        "Triplet",
        Triplet,
        (6, 3, 5),
        signs_of_samples,
        ((4, 3), (4,)),
        "Triplet(): y has shape (4, 3) and target (4,), expected y (N, 3, D) and target (N,)",
        reference=by_elements(triplet),
    ),
    LossCase(
        "Triplet, p 3",
        lambda: Triplet(2.0, 3.0),
        (6, 3, 5),
        first_signs,
        ((4, 3, 2), (4, 1)),
        "Triplet(margin=2.0, p=3.0): y has shape (4, 3, 2) and target (4, 1), expected y (N, 3, D) and target (N,)",
        reference=by_elements(triplet),
        torch=lambda nn: anchors(nn.TripletMarginLoss(2.0, 3.0)),
    ),
]


def parts_target(random, shape):
    return np.column_stack([random.integers(0, 3, shape[0]), random.standard_normal((shape[0], 3))])


def loss_part(loss, y, target):
    log_p = log_softmax(None, y[:, [1, 2, 4]])
    return -loss.weight * sum(log_p[n, int(t)] for n, t in enumerate(target[:, 0])) / len(y)


def multi_loss(loss, y, target):
    return (
        loss_part(loss.parts[0], y, target)
        + np.mean((y[:, 3:5] - target[:, [2, 1]]) ** 2)
        + np.mean(abs(y[:, 0] - target[:, 3]))
    )


def multi_loss_of_torch(nn):
    def loss(y, target):
        first = 0.5 * nn.CrossEntropyLoss()(y[:, [1, 2, 4]], target[:, 0].long())
        return first + nn.MSELoss()(y[:, 3:5], target[:, [2, 1]]) + nn.L1Loss()(y[:, 0], target[:, 3])

    return loss


def part():
    return LossPart(SoftmaxCrossEntropy(), [1, 2, 4], 0, 0.5)


PARTS = [
    LossCase(
        "LossPart",
        part,
        (4, 5),
        parts_target,
        ((4, 4), (4, 4)),
        "LossPart(loss=SoftmaxCrossEntropy(), outputs=[1, 2, 4], targets=0, weight=0.5): "
        "y has shape (4, 4), expected (N, 5 or more)",
        reference=loss_part,
    ),
    LossCase(
        "MultiLoss",
        lambda: MultiLoss([part(), LossPart(MeanSquaredError(), "3:5", [2, 1]), LossPart(MeanAbsoluteError(), 0, 3)]),
        (4, 5),
        parts_target,
        ((4, 5), (4, 2)),
        "LossPart(loss=MeanSquaredError(), outputs='3:5', targets=[2, 1]): "
        "target has shape (4, 2), expected (N, 3 or more)\nin parts[1]",
        reference=multi_loss,
        torch=multi_loss_of_torch,
    ),
]

MEAN_OUTPUT = LossCase(
    "MeanOutput",
    MeanOutput,
    (4, 2),
    labels,
    ((4, 2), (3,)),
    "MeanOutput(): y has shape (4, 2) and target (3,), expected one target a sample",
    reference=lambda loss, y, target: y.sum(axis=1).mean(),
    torch=lambda nn: lambda y, target: y.sum(1).mean(),
)

CONTRASTIVE_DIVERGENCE = LossCase(
    "ContrastiveDivergence",
    ContrastiveDivergence,
    (4, 2),
    labels,
    ((4, 3), (4,)),
    "ContrastiveDivergence(): y has shape (4, 3), expected (N, 2), two free energies a sample",
    reference=lambda loss, y, target: (y[:, 0] - y[:, 1]).mean(),
    torch=lambda nn: lambda y, target: (y[:, 0] - y[:, 1]).mean(),
)

LOSSES = [*ELEMENTWISE, *CLASSES, *SAMPLES, *PARTS, MEAN_OUTPUT, CONTRASTIVE_DIVERGENCE]
