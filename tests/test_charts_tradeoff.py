"""AP against time: every variant is a named dot; what nothing beats is filled."""

import pytest

from poseseg_jax.charts import style
from poseseg_jax.charts.point import Point
from poseseg_jax.charts.tradeoff import Variant, scatter
from tests.charted import assert_words_are_legible, decode, figure_of, words


def variant(name, milliseconds, value):
    point = None if value is None else Point(value, value - 0.01, value + 0.01)
    return Variant(name, milliseconds, {"keypoints": point, "segm": Point(0.5)})


def sizes(number):
    """Larger pictures, slower and better, mirrored too: as close as they come."""
    return [
        variant(
            f"{size} px" + ", flip" * flip,
            10 * (size / 401) ** 2 * (1 + flip),
            0.4 + 0.0002 * (size - 401) + 0.01 * flip,
        )
        for size in range(401, 401 + 112 * (number // 2), 112)
        for flip in (0, 1)
    ]


def dots(axis):
    return [line for line in axis.lines if line.get_marker() == "o"]


@pytest.mark.parametrize("number", [2, 8, 14])
def test_words_are_legible(monkeypatch, number):
    figure = figure_of(monkeypatch, scatter, sizes(number))
    assert_words_are_legible(figure)
    assert words(figure).count("401 px, flip") == 2


def test_dots_lie_at_their_time_and_score(monkeypatch):
    figure = figure_of(monkeypatch, scatter, [variant("a", 7, 0.25)])
    (dot,) = dots(figure.axes[0])
    assert dot.get_xydata().tolist() == [[7, 25]]
    assert {"ms per picture", "AP x 100", "keypoints", "segm"} <= set(words(figure))


def test_only_what_no_other_beats_is_filled(monkeypatch):
    variants = [
        variant("best", 30, 0.6),
        variant("slower and worse", 20, 0.3),
        variant("fast", 10, 0.4),
        variant("as fast and worse", 10, 0.2),
    ]
    axis = figure_of(monkeypatch, scatter, variants).axes[0]
    filled = [dot.get_markerfacecolor() == style.SERIES[0] for dot in dots(axis)]
    assert filled == [True, False, True, False]


def test_who_has_no_score_is_named(monkeypatch):
    variants = [variant("a", 7, 0.3), variant("b", 7, None), variant("c", 9, None)]
    figure = figure_of(monkeypatch, scatter, variants)
    assert any("no keypoints score: b, c" in text for text in words(figure))
    assert len(dots(figure.axes[0])) == 1
    figure = figure_of(monkeypatch, scatter, variants[1:])
    assert "no score" in words(figure)
    assert_words_are_legible(figure)


def test_the_same_numbers_give_the_same_bytes():
    assert scatter(sizes(4)) == scatter(sizes(4))
    assert decode(scatter(sizes(4))).shape[1] == 1350


@pytest.mark.parametrize("time", [0, -1.5, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(time):
    with pytest.raises(ValueError, match=f"a takes {time} ms"):
        variant("a", time, 0.5)


def test_nothing_is_no_chart():
    with pytest.raises(ValueError, match="no variant"):
        scatter([])
