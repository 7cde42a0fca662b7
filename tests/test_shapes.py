"""Every picture fits into one of a few shapes, without much room left over."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseseg_jax.geometry import check_side
from poseseg_jax.shapes import shape_for

SIDES = st.tuples(st.integers(1, 12000), st.integers(1, 12000))
INPUTS = st.tuples(st.integers(2, 60), st.sampled_from([8, 16, 32])).map(
    lambda pair: (pair[0] * pair[1] + 1, pair[1])
)


@functools.cache
def all_shapes(side, stride):
    """Those of pictures of every aspect, in steps of 1/100."""
    sizes = [(short, 100) for short in range(1, 101)]
    sizes += [(width, height) for height, width in sizes]
    return {shape_for(size, side=side, stride=stride) for size in sizes}


@given(SIDES, INPUTS)
def test_a_picture_fits_into_its_shape(size, given_input):
    side, stride = given_input
    shape = shape_for(size, side=side, stride=stride)
    scale = side / max(size)
    assert shape in all_shapes(side, stride)
    assert all(new + 0.5 >= old * scale for new, old in zip(shape, size, strict=True))
    assert max(shape) == side
    for one in shape:
        check_side(one, stride)


@given(INPUTS)
def test_there_are_five_shapes_at_most(given_input):
    side, stride = given_input
    shapes = all_shapes(side, stride)
    assert len(shapes) <= 5
    assert (side, side) in shapes


@given(SIDES, INPUTS)
def test_a_turned_picture_has_a_turned_shape(size, given_input):
    side, stride = given_input
    turned = shape_for(size[::-1], side=side, stride=stride)
    assert turned == shape_for(size, side=side, stride=stride)[::-1]


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((480, 640), (481, 641)),
        ((640, 480), (641, 481)),
        ((427, 640), (481, 641)),
        ((1080, 1920), (369, 641)),
        ((100, 1000), (369, 641)),
        ((500, 500), (641, 641)),
        ((550, 640), (641, 641)),
    ],
)
def test_usual_pictures_leave_little_room(size, shape):
    assert shape_for(size, side=641, stride=16) == shape
    assert shape_for(size, side=641, stride=16, square=True) == (641, 641)
