"""Who was there a frame ago keeps the colour."""

import numpy as np

from poseseg_jax.colors import Colors


def box(x, y=0, size=10):
    return np.array([x, y, x + size, y + size], float)


def test_people_keep_their_colours_whatever_their_order():
    colors = Colors()
    assert colors.of([box(0), box(50), box(100)]) == [0, 1, 2]
    assert colors.of([box(102), box(1), box(51)]) == [2, 0, 1]
    assert colors.of([box(52), box(104)]) == [1, 2]


def test_newcomers_take_what_nobody_has():
    colors = Colors()
    colors.of([box(0), box(50)])
    assert colors.of([box(200), box(51)]) == [0, 1]
    assert colors.of([box(300), box(201), box(50)]) == [2, 0, 1]


def test_two_people_never_get_one_colour_from_the_same_person():
    colors = Colors()
    colors.of([box(0)])
    assert colors.of([box(1), box(2)]) == [0, 1]


def test_nobody_has_no_colour():
    colors = Colors()
    assert colors.of([]) == []
    assert colors.of([box(0, size=0), box(0, size=0)]) == [0, 1]
