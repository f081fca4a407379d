"""Line search for a step that satisfies the strong Wolfe conditions.

A step a lowers the loss enough, f(a) <= f(0) + c1 a f'(0), and has passed most of the slope, |f'(a)| <= c2 |f'(0)|.
Near a minimum the first is below the rounding of f, where (2 c1 - 1) f'(0) >= f'(a) stands in its place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

C1, MOST = 1e-4, 25  # the first condition's constant; evaluations in each of the two phases


@dataclass(frozen=True)
class Point:
    """A step a, the loss f(a) and its slope f'(a)."""

    a: float
    value: float
    slope: float


@dataclass(frozen=True)
class LineSearch:
    """Args: evaluate: gives the Point of a step; start: the Point of step 0; c2: see above; rounding: error of f.

    Source: Nocedal & Wright, Numerical Optimization, algorithms 3.5 and 3.6; Hager & Zhang 2005, eq. 4.1 (rounding).
    """

    evaluate: Callable[[float], Point]
    start: Point
    c2: float
    rounding: float

    def run(self, first: float) -> Point:
        """Search from the step `first` on; returns the Point of a good step, or `start` if none lowers the loss."""
        last, a = self.start, first
        for _ in range(MOST):
            point = self.evaluate(a)
            if not self.low_enough(point) or (last is not self.start and point.value > last.value + self.noise()):
                return self.zoom(last, point)
            if abs(point.slope) <= -self.c2 * self.start.slope:
                return point
            if point.slope >= 0:
                return self.zoom(point, last)
            last, a = point, 4 * a
        return last

    def zoom(self, low: Point, high: Point) -> Point:
        """Find a good step between two, of which `low` is the better."""
        for _ in range(MOST):
            if abs(high.a - low.a) <= 1e-12 * max(low.a, high.a):
                break
            point = self.evaluate(interpolate_minimum(low, high))
            if not self.low_enough(point) or point.value > low.value + self.noise():
                high = point
                continue
            if abs(point.slope) <= -self.c2 * self.start.slope:
                return point
            if point.slope * (high.a - low.a) >= 0:
                high = low
            low = point
        return low

    def noise(self) -> float:
        return self.rounding * abs(self.start.value)

    def low_enough(self, point: Point) -> bool:
        if not math.isfinite(point.value):
            return False
        if point.value <= self.start.value + C1 * point.a * self.start.slope:
            return True
        return point.value <= self.start.value + self.noise() and point.slope <= (2 * C1 - 1) * self.start.slope


def interpolate_minimum(low: Point, high: Point) -> float:
    """Find the minimum of the cubic through two points and their slopes, kept away from both; else their middle."""
    width, middle = high.a - low.a, (low.a + high.a) / 2
    if not math.isfinite(high.value) or not math.isfinite(high.slope):
        return middle
    d1 = low.slope + high.slope - 3 * (high.value - low.value) / width
    square = d1 * d1 - low.slope * high.slope
    if not 0 <= square < math.inf:
        return middle
    d2 = math.copysign(math.sqrt(square), width)
    divisor = high.slope - low.slope + 2 * d2
    share = 1 - (high.slope + d2 - d1) / divisor if divisor != 0 else 0.5
    return low.a + width * min(max(share, 0.1), 0.9) if math.isfinite(share) else middle
