"""What charts share: numbers as they are written, and axes that do not exaggerate."""

import matplotlib as mpl
import pytest

from poseseg_jax.charts import style


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0123, "+1.2"),
        (-0.0123, "\N{MINUS SIGN}1.2"),
        (0.0994, "+9.9"),
        (0.0996, "+10"),
        (-0.314, "\N{MINUS SIGN}31"),
        (0.0004, "0.0"),
        (-0.0004, "0.0"),
    ],
)
def test_differences_have_three_figures_at_most(value, expected):
    assert style.signed(value) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0"), (30, "30"), (0.5, "0.5"), (1000, "1,000"), (512000.0, "512,000")],
)
def test_numbers_are_written_in_full(number, expected):
    assert style.written(number) == expected


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([], (-1, 1)),
        ([5.0], (4, 6)),
        ([5.0, 5.2], (4.1, 6.1)),
        ([0.0, 100.0, 50.0], (-5, 105)),
    ],
)
def test_an_axis_holds_all_and_spans_something(ends, expected):
    assert style.widen(ends, 2.0) == pytest.approx(expected)


@pytest.mark.parametrize("number", [0.0, 7.0, -3.0])
def test_one_number_has_room(number):
    axis = style.figure(4, 4).subplots()
    style.spread(axis, [number], margin=0.1)
    assert axis.get_xlim()[0] < number < axis.get_xlim()[1]


def test_series_have_colours_of_their_own():
    assert len(set(style.SERIES)) == len(style.SERIES) == 6


def test_matplotlibs_own_state_is_left_alone():
    before = dict(mpl.rcParams)
    style.png(style.figure(1, 1))
    assert dict(mpl.rcParams) == before
