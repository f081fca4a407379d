"""Numbers that count what is done with them: the cost of a function or a derivative in elementary operations."""

from .rules import get_rules
from .scalar import Scalar, get_value
from .trace import Trace


class Counter:
    """A number of operations so far."""

    def __init__(self):
        self.operations = 0


class Counted(Scalar):
    """A float whose operations are counted: +, *, exp, sin... one each, whatever they take."""

    __slots__ = ("counter",)

    def __init__(self, value: float, counter: Counter):
        self.value, self.counter = value, counter

    def combine(self, operation, inputs):
        self.counter.operations += 1
        return Counted(float(operation(*map(get_value, inputs))), self.counter)


def count_operations(function, *arguments: float) -> int:
    """Count the elementary operations of a function of numbers, run there once."""
    counter = Counter()
    function(*(Counted(float(x), counter) for x in arguments))
    return counter.operations


def count_adjoints(trace: Trace, operations) -> int:
    """Count the operations of reverse mode after the run: each local derivative, and a product and a sum for each term.

    Args: operations: from the symbols of a trace's lines to elementary operations.
    """
    counter = Counter()
    made: dict[int, float] = {}
    for line in trace.operations:
        made[line.target] = float(line.value)
        if line.inputs:
            values = [made[each] if isinstance(each, int) else each for each in line.inputs]
            rules, numbers = get_rules(operations[line.symbol]), [Counted(value, counter) for value in values]
            sources = [each for each in line.inputs if isinstance(each, int)]
            for rule, each in zip(rules, line.inputs, strict=True):
                if isinstance(each, int):
                    rule(*numbers, Counted(float(line.value), counter))
            counter.operations += 2 * len(sources)
    return counter.operations
