import cv2
import numpy as np

from poseseg_jax.charts import Bucket, Point, scores_by_bucket

BLUE, VERMILLION = (0, 114, 178), (213, 94, 0)


def decode(file):
    image = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def area(image, color):
    return int((np.abs(image.astype(int) - color).max(-1) < 4).sum())


def draw(first, second, **whole):
    buckets = [Bucket("1", 3, {"a": first, "b": second}), Bucket("2", 1, {"b": second})]
    return decode(scores_by_bucket({"people": buckets}, whole=whole or {"a": None}))


def test_a_bar_is_as_high_as_its_score():
    whole = {"a": 0.9, "b": 0.9}
    high = draw(Point(0.8), Point(0.8), **whole)
    low = draw(Point(0.4), Point(0.8), **whole)
    bars = area(low, BLUE) / area(high, BLUE)
    assert 0.45 < bars < 0.65  # with the legend and the line of all pictures
    assert area(low, VERMILLION) == area(high, VERMILLION)


def test_a_score_that_is_not_known_has_no_bar():
    known, unknown = draw(Point(0.5), None), draw(None, None)
    assert area(known, BLUE) > 5 * area(unknown, BLUE)


def test_an_interval_is_drawn_and_named():
    plain = scores_by_bucket(
        {"x": [Bucket("1", 3, {"a": Point(0.5)})]}, whole={"a": 0.5}
    )
    ranged = scores_by_bucket(
        {"x": [Bucket("1", 3, {"a": Point(0.5, 0.2, 0.6)})]},
        whole={"a": 0.5},
        interval="95 % interval",
    )
    assert plain != ranged
    assert decode(plain).shape == decode(ranged).shape


def test_zeros_are_drawn_too():
    assert draw(Point(0.0), Point(0.0, 0.0, 0.0)).size
