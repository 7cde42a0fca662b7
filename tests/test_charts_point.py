"""A point is a score, or a difference, and says what it cannot be."""

import math

import pytest

from poseseg_jax.charts.point import Point, over_seeds


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((45.2,), r"value=45\.2.* -1 to 1"),
        ((math.nan,), "value=nan"),
        ((0.5, 0.4, None), "high=None.*or neither"),
        ((0.5, None, 0.6), "low=None.*or neither"),
        ((0.5, 0.6, 0.4), r"low=0\.6.*low <= high"),
        ((0.5, 0.4, math.nan), "high=nan"),
        ((0.5, -math.inf, 0.6), "low=-inf"),
    ],
)
def test_what_is_no_score_is_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        Point(*numbers)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (Point(0.1, 0.05, 0.2), True),
        (Point(-0.1, -0.2, -0.05), True),
        (Point(0.1, -0.05, 0.2), False),
        (Point(0.1, 0.0, 0.2), False),
        (Point(0.1), False),
    ],
)
def test_only_a_known_interval_leaves_out_zero(point, expected):
    assert point.leaves_out_zero == expected


def test_seeds_are_drawn_as_their_mean_and_deviation():
    point = over_seeds([0.3, 0.4, 0.5])
    assert point is not None
    assert (point.value, point.low, point.high) == pytest.approx((0.4, 0.3, 0.5))


def test_one_seed_has_no_deviation_and_none_no_mean():
    assert over_seeds([0.3]) == Point(0.3)
    assert over_seeds([]) is None
