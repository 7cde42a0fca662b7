"""Scores along a number: a line for each series, whiskers for what is not sure."""

import math

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from poseseg_jax.charts import style
from poseseg_jax.charts.lines import Panel, Series, lines
from poseseg_jax.charts.point import Point
from tests.charted import assert_words_are_legible, decode, figure_of, words

REMOVED = (0, 30, 40, 50, 60, 70, 80)


def series(name, xs=REMOVED, value=0.4, half=0.01):
    return Series(name, {x: Point(value, value - half, value + half) for x in xs})


def drawn(monkeypatch, *panels, **kwargs):
    kwargs = {"title": "What is seen", "x_label": "removed, %"} | kwargs
    return figure_of(monkeypatch, lines, panels, **kwargs)


def curves(axis):
    return [line for line in axis.lines if line.get_marker() != "None"]


@pytest.mark.parametrize(("number", "names"), [(1, 1), (2, 5), (4, 3), (6, 5)])
def test_words_are_legible(monkeypatch, number, names):
    every = [series(f"{'a long name ' * 2}{n}", value=0.1 * n) for n in range(names)]
    panels = [Panel(f"{place} people", every) for place in range(number)]
    figure = drawn(monkeypatch, *panels, interval="standard deviation, 3 seeds")
    assert_words_are_legible(figure)
    assert "standard deviation, 3 seeds" in words(figure)
    assert {"What is seen", "removed, %", "AP x 100"} <= set(words(figure))


def test_a_line_goes_through_the_points_in_their_order(monkeypatch):
    one = Series("a", {80: Point(0.5), 0: Point(0.3), 30: None})
    axis = drawn(monkeypatch, Panel("all", [one])).axes[0]
    (line,) = curves(axis)
    assert list(line.get_xdata()) == [0, 30, 80]
    np.testing.assert_allclose(line.get_ydata(), [30, np.nan, 50])
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["0", "30", "80"]


def test_few_points_have_whiskers_and_many_a_band(monkeypatch):
    few = drawn(monkeypatch, Panel("all", [series("a")])).axes[0].collections
    assert [type(one) for one in few] == [LineCollection]
    assert len(few[0].get_segments()) == len(REMOVED)
    many = drawn(monkeypatch, Panel("all", [series("a", range(9))])).axes[0].collections
    assert len(many) == 1
    assert not isinstance(many[0], LineCollection)


def test_whiskers_lie_within_the_axes(monkeypatch):
    axis = drawn(monkeypatch, Panel("all", [series("a", half=0.2)])).axes[0]
    low, high = axis.get_ylim()
    assert low < 20
    assert high > 60


def test_a_hair_does_not_fill_the_axis(monkeypatch):
    axis = drawn(monkeypatch, Panel("all", [series("a", half=0.0001)])).axes[0]
    assert np.ptp(axis.get_ylim()) >= 1


def test_panels_share_the_numbers_and_not_the_scale_of_scores(monkeypatch):
    panels = [
        Panel("1", [series("a", value=0.6)]),
        Panel("8+", [series("a", value=0.1)]),
    ]
    own = drawn(monkeypatch, *panels).axes
    assert own[0].get_ylim() != own[1].get_ylim()
    assert own[0].get_xlim() == own[1].get_xlim()


def test_a_series_has_one_colour_and_marker_everywhere(monkeypatch):
    panels = [Panel("1", [series("a"), series("b")]), Panel("2", [series("b")])]
    first, second = drawn(monkeypatch, *panels).axes
    assert len(first.lines) == 2
    assert second.lines[0].get_color() == first.lines[1].get_color() == style.SERIES[1]
    assert second.lines[0].get_marker() == first.lines[1].get_marker()


def test_differences_have_a_line_at_zero(monkeypatch):
    panels = [Panel("a", [series("a", value=-0.1)]), Panel("b", [series("a")])]
    below, above = drawn(monkeypatch, *panels).axes
    assert [
        line.get_ydata()[0] for line in below.lines if line not in curves(below)
    ] == [0]
    assert above.lines[:] == curves(above)


def test_levels_lie_across_and_are_named(monkeypatch):
    panels = [
        Panel("1", [series("a")], {"long": Point(0.9), "longer": None}),
        Panel("2", [series("a")], {"longer": Point(0.1)}),
    ]
    figure = drawn(monkeypatch, *panels)
    assert_words_are_legible(figure)
    assert {"long", "longer"} <= set(words(figure))
    first, second = figure.axes
    heights = [
        [line.get_ydata()[0] for line in axis.lines if line not in curves(axis)]
        for axis in (first, second)
    ]
    np.testing.assert_allclose(heights, [[90], [10]])
    assert first.get_ylim()[1] > 90
    assert second.get_ylim()[0] < 10
    assert first.lines[-1].get_linestyle() == second.lines[-1].get_linestyle() == "--"
    assert first.lines[-1]._dash_pattern != second.lines[-1]._dash_pattern


def test_no_score_is_said(monkeypatch):
    panels = [Panel("a", [Series("a", {1: None})]), Panel("b", [])]
    figure = drawn(monkeypatch, *panels)
    assert words(figure).count("no score") == 2
    assert_words_are_legible(figure)


def test_one_point_is_enough(monkeypatch):
    axis = drawn(monkeypatch, Panel("a", [Series("a", {3: Point(0.5)})])).axes[0]
    assert axis.get_xlim()[0] < 3 < axis.get_xlim()[1]


def test_nothing_is_drawn_too():
    assert decode(lines([Panel("a", [])], title="a", x_label="x")).any()


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ([], "no panels"),
        ([Panel("all", [series("a"), series("a")])], "all: two series.*'a'"),
        (
            [Panel("all", [series(name) for name in "abcdefg"])],
            r"7 series \(a, b.*6 at",
        ),
        (
            [Panel("all", [series("a")], dict.fromkeys("xyz"))],
            r"3 levels \(x, y, z\) cannot be told apart; expected 2 at most",
        ),
        (
            [Panel("all", [Series("a", {math.nan: None})])],
            "all, a: .* at nan; expected a number",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(panels, message):
    with pytest.raises(ValueError, match=message):
        lines(panels, title="a", x_label="x")
