"""Charts are pictures in which the bars are as long as the numbers say."""

import cv2
import matplotlib as mpl
import numpy as np
import pytest

from poseseg_jax import charts
from poseseg_jax.charts import Bucket, Point, Shares

NAMES = [*map(str, range(1, 14)), "14+"]


def shares(reduction, *values):
    rest = [0.0] * (len(NAMES) - len(values))
    return Shares(reduction, 1000, dict(zip(NAMES, [*values, *rest], strict=True)))


BEFORE = shares(0, 0.5, 0.25, 0.25)
AFTER = shares(50, 0.2, 0.4, 0.4)


def decode(png):
    return cv2.cvtColor(
        cv2.imdecode(np.frombuffer(png, np.uint8), 1), cv2.COLOR_BGR2RGB
    )


def area(picture, color):
    """Pixels of a colour: #RRGGBB."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((picture == wanted).all(-1).sum())


@pytest.mark.parametrize(
    "draw",
    [
        lambda: charts.head_counts(BEFORE, AFTER),
        lambda: charts.bias_reduction([BEFORE, AFTER]),
    ],
    ids=["head_counts", "bias_reduction"],
)
def test_bars_have_the_areas_of_their_shares(draw):
    picture = decode(draw())
    kept = area(picture, charts._OTHERS.kept) / 2  # 0.5 before, and again after
    assert area(picture, charts._OTHERS.gained) == pytest.approx(0.6 * kept, rel=0.05)
    lost = area(picture, charts._SINGLE.lost)  # a number may lie on it
    assert lost == pytest.approx(0.6 * kept, rel=0.1)
    # The numbers are written in the same colour.
    single = area(picture, charts._SINGLE.kept)
    assert 1.38 * kept < single < 1.8 * kept


def test_the_same_numbers_give_the_same_bytes():
    assert charts.head_counts(BEFORE, AFTER) == charts.head_counts(BEFORE, AFTER)


@pytest.mark.parametrize("number", [1, 2, 7, 8])
def test_any_number_of_iterations_fits(number):
    picture = decode(charts.bias_reduction([BEFORE, *[AFTER] * number]))
    rows, columns = divmod(number + 7, 7)[0], min(number + 1, 7)
    assert picture.shape[1] < 400 * max(columns, 3)
    assert (picture.shape[0] > 1000) == (rows > 1)
    edge = np.concatenate([picture[[0, -1]].reshape(-1, 3), picture[:, -1]])
    assert (edge == 255).all(), "nothing is cut off"


def test_matplotlibs_own_state_is_left_alone():
    before = dict(mpl.rcParams)
    charts.bias_reduction([BEFORE, AFTER])
    assert dict(mpl.rcParams) == before


def test_nobody_alone_is_no_trouble():
    assert decode(charts.head_counts(shares(0, 0.0, 1.0), shares(30, 0.0, 1.0))).any()


def draw(first, second, **whole):
    buckets = [Bucket("1", 3, {"a": first, "b": second}), Bucket("2", 1, {"b": second})]
    return decode(
        charts.scores_by_bucket({"people": buckets}, whole=whole or {"a": None})
    )


def test_a_bar_is_as_high_as_its_score():
    whole = {"a": 0.9, "b": 0.9}
    high = draw(Point(0.8), Point(0.8), **whole)
    low = draw(Point(0.4), Point(0.8), **whole)
    bars = area(low, charts._SERIES[0]) / area(high, charts._SERIES[0])
    assert 0.45 < bars < 0.65  # with the legend and the line of all pictures
    assert area(low, charts._SERIES[1]) == area(high, charts._SERIES[1])


def test_a_score_that_is_not_known_has_no_bar():
    known, unknown = draw(Point(0.5), None), draw(None, None)
    assert area(known, charts._SERIES[0]) > 5 * area(unknown, charts._SERIES[0])


def test_an_interval_is_drawn_and_named():
    plain = charts.scores_by_bucket(
        {"x": [Bucket("1", 3, {"a": Point(0.5)})]}, whole={"a": 0.5}
    )
    ranged = charts.scores_by_bucket(
        {"x": [Bucket("1", 3, {"a": Point(0.5, 0.2, 0.6)})]},
        whole={"a": 0.5},
        interval="95 % interval",
    )
    assert plain != ranged
    assert decode(plain).shape == decode(ranged).shape


def test_zeros_are_drawn_too():
    assert draw(Point(0.0), Point(0.0, 0.0, 0.0)).size
