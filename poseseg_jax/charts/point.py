"""A number that is drawn, and how sure it is."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """A score, 0 to 1, or a difference of two, and the interval in which it lies.

    Attributes:
      value: not times 100; charts multiply.
      low, high: ends of the interval; None, both, where it is not known.

    Raises:
      ValueError: for a value that no score has, or half an interval.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not abs(self.value) <= 1:  # NaN neither
            raise ValueError(f"{self} is no score; expected a value from -1 to 1")
        if self.low is None and self.high is None:
            return
        if self.low is None or self.high is None or not self.low <= self.high:
            raise ValueError(
                f"{self} has no interval; expected low <= high, or neither"
            )
        if not math.isfinite(self.high - self.low):
            raise ValueError(f"{self} has no end; expected numbers, or neither")

    @property
    def leaves_out_zero(self) -> bool:
        """Whether an interval is known and 0 does not lie in it."""
        if self.low is None or self.high is None:
            return False
        return self.low > 0 or self.high < 0


def over_seeds(scores: Sequence[float]) -> Point | None:
    """The mean of some seeds' scores, and a standard deviation on either side of it.

    The deviation is the sample's (n - 1). One seed has none, and no seed no mean.
    """
    if not scores:
        return None
    mean = statistics.fmean(scores)
    if len(scores) == 1:
        return Point(mean)
    deviation = statistics.stdev(scores)
    return Point(mean, mean - deviation, mean + deviation)
