"""CTC, and the loss of several labels."""

import itertools

import numpy as np
from bprop.modules import CTC, MultiLabelSoftMargin

from .case import LossCase
from .core import log_softmax


def targets(random, shape):
    """Labels 1 and 2, other than the blank 0, and -1 after the last."""
    target = random.integers(1, 3, (shape[0], 2))
    target[::2, 1] = -1
    return target


def with_lengths(random, shape):
    target = targets(random, shape)
    return np.column_stack([random.integers(3, shape[1] + 1, len(target)), target])


def read_path(path, blank):
    """What a path reads as: repetitions left out, then blanks."""
    return [label for label, _ in itertools.groupby(path) if label != blank]


def all_paths(loss, y, target):
    """CTC by its definition: the sum over all paths that read as the target."""
    costs = []
    for scores, row in zip(y, target, strict=True):
        steps, labels = (row[0], row[1:]) if loss.input_lengths else (len(scores), row)
        labels = list(itertools.takewhile(lambda label: label != loss.ignore_index, labels))
        log_p, classes = log_softmax(None, scores[:steps]), range(scores.shape[1])
        paths = [path for path in itertools.product(classes, repeat=steps) if read_path(path, loss.blank) == labels]
        cost = -np.log(sum(np.exp(sum(log_p[t, k] for t, k in enumerate(path))) for path in paths))
        costs.append(cost / max(1, len(labels)) if loss.reduction == "mean" else cost)
    return np.mean(costs) if loss.reduction == "mean" else np.sum(costs)


def ctc_of_torch(reduction="mean", blank=0, lengths=False):
    def build(nn):
        def loss(y, target):
            import torch

            steps = target[:, 0] if lengths else torch.full((len(y),), y.shape[1])
            labels = target[:, 1:] if lengths else target
            counts = (labels != -1).sum(1)
            log_p = y.log_softmax(-1).transpose(0, 1)
            return nn.CTCLoss(blank, reduction)(log_p, labels.clamp(min=0), steps, counts)

        return loss

    return build


def multi_label(loss, y, target):
    v = np.ones(y.shape[-1]) if loss.class_weights is None else loss.class_weights
    terms = v * (target * np.log1p(np.exp(-y)) + (1 - target) * np.log1p(np.exp(y)))
    costs = terms.reshape(len(y), -1).mean(axis=1)
    return costs.mean() if loss.reduction == "mean" else costs.sum()


def yes_or_no(random, shape):
    return random.integers(0, 2, shape).astype(float)


def ctc(name, make, who, draw=targets, **settings):
    return LossCase(
        name,
        make,
        (4, 5, 3),
        draw,
        ((4, 5, 3), (4,)),
        f"{who}: y has shape (4, 5, 3) and target (4,), expected y (N, T, K) and target (N, S)",
        reference=all_paths,
        torch=ctc_of_torch(**settings),
    )


LOSSES = [
    ctc("CTC", CTC, "CTC()"),
    ctc("CTC, sum", lambda: CTC(reduction="sum"), "CTC(reduction='sum')", reduction="sum"),
    ctc(
        "CTC, lengths",
        lambda: CTC(input_lengths=True),
        "CTC(input_lengths=True)",
        with_lengths,
        lengths=True,
    ),
    LossCase(
        "MultiLabelSoftMargin",
        MultiLabelSoftMargin,
        (4, 3),
        yes_or_no,
        ((4, 3), (4,)),
        "MultiLabelSoftMargin(): y has shape (4, 3) and target (4,), expected the same shape",
        reference=multi_label,
        torch="MultiLabelSoftMarginLoss",
    ),
    LossCase(
        "MultiLabelSoftMargin, class weights",
        lambda: MultiLabelSoftMargin([0.5, 2.0, 1.25], "sum"),
        (4, 3),
        yes_or_no,
        ((4, 4), (4, 4)),
        "MultiLabelSoftMargin(class_weights=[0.5, 2, 1.25], reduction='sum'): y has 4 scores, class_weights 3",
        reference=multi_label,
        torch=lambda nn: nn.MultiLabelSoftMarginLoss(weight=tensor([0.5, 2.0, 1.25]), reduction="sum"),
    ),
]


def tensor(values):
    import torch

    return torch.tensor(values)
