"""Scores by crowding drawn: bars are as high as the scores say."""

from poseseg_jax.charts import crowd, style
from poseseg_jax.charts.crowd import Bucket
from poseseg_jax.charts.point import Point
from tests.charted import area, decode


def draw(first, second, **whole):
    buckets = [Bucket("1", 3, {"a": first, "b": second}), Bucket("2", 1, {"b": second})]
    return decode(
        crowd.scores_by_bucket({"people": buckets}, whole=whole or {"a": None})
    )


def test_a_bar_is_as_high_as_its_score():
    whole = {"a": 0.9, "b": 0.9}
    high = draw(Point(0.8), Point(0.8), **whole)
    low = draw(Point(0.4), Point(0.8), **whole)
    bars = area(low, style.SERIES[0]) / area(high, style.SERIES[0])
    assert 0.45 < bars < 0.65  # with the legend and the line of all pictures
    assert area(low, style.SERIES[1]) == area(high, style.SERIES[1])


def test_a_score_that_is_not_known_has_no_bar():
    known, unknown = draw(Point(0.5), None), draw(None, None)
    assert area(known, style.SERIES[0]) > 5 * area(unknown, style.SERIES[0])


def test_an_interval_is_drawn_and_named():
    plain = crowd.scores_by_bucket(
        {"x": [Bucket("1", 3, {"a": Point(0.5)})]}, whole={"a": 0.5}
    )
    ranged = crowd.scores_by_bucket(
        {"x": [Bucket("1", 3, {"a": Point(0.5, 0.2, 0.6)})]},
        whole={"a": 0.5},
        interval="95 % interval",
    )
    assert plain != ranged
    assert decode(plain).shape == decode(ranged).shape


def test_zeros_are_drawn_too():
    assert draw(Point(0.0), Point(0.0, 0.0, 0.0)).size
