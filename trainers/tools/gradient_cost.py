"""What a gradient costs in evaluations of the loss, beside the bounds of the books."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ...modules.display.costs import Shapes, count_flops
from .profile_rows import Row

USUAL, MOST = (2, 3), 6  # evaluations of the loss


@dataclass(frozen=True)
class GradientCost:
    """The cost of an evaluation of the loss (forward pass and loss), and of the loss with its gradient (and bprop).

    In seconds of compiled code, and in operations of the model, of which a multiply-add is two. Reverse mode costs at
    most 6 evaluations of the function, usually 2 to 3, however many parameters there are; differences cost one or two
    for each parameter. Layers whose grad_x nobody needs make it cheaper.

    Source: Bishop and Bishop, Deep Learning, section 8.2; Griewank and Walther, Evaluating derivatives (2008).
    """

    loss_seconds: float
    gradient_seconds: float
    loss_operations: int
    gradient_operations: int

    @property
    def evaluations(self) -> float:
        """How many evaluations of the loss the gradient takes, by its time."""
        return self.gradient_seconds / self.loss_seconds

    @property
    def counted_evaluations(self) -> float:
        """How many evaluations of the loss the gradient takes, by the number of operations."""
        return self.gradient_operations / self.loss_operations

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        ratios = {"evaluations": self.evaluations, "counted_evaluations": self.counted_evaluations}
        return asdict(self) | ratios | {"usual": list(USUAL), "most": MOST}

    def describe(self, format_seconds: Callable[[float], str]) -> list[str]:
        """Format both ratios, beside the bounds."""
        times = f"{format_seconds(self.gradient_seconds)} to {format_seconds(self.loss_seconds)}"
        counts = f"{self.gradient_operations} to {self.loss_operations}"
        bounds = f"{USUAL[0]} to {USUAL[1]}, at most {MOST}"
        return [
            f"a gradient costs {self.evaluations:.2f} evaluations of the loss in time ({times}),",
            f"and {self.counted_evaluations:.2f} in operations ({counts}); the books: {bounds}",
        ]


def compute_gradient_cost(rows: list[Row], shapes: Shapes, unread: set) -> GradientCost | None:
    """Compute the cost of a gradient from the rows of a profile; None if the forward pass takes no time at all.

    Args: shapes: of all modules; unread: those whose grad_x nobody needs.
    """
    timed = [row for row in rows if row.kind in ("module", "loss")]
    forward, backward = sum(row.forward for row in timed), sum(row.backward for row in timed)
    leaves = [module for module in shapes if not module.children()]
    counts = [count_flops(module, *shapes[module], module not in unread) for module in leaves]
    operations = sum(count for count, _ in counts), sum(count for _, count in counts)
    if not forward > 0 or not operations[0]:
        return None
    return GradientCost(forward, forward + backward, operations[0], sum(operations))
