"""The pixel convention: light one pixel, move its coordinate, they must agree."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseseg_jax import geometry

numbers = st.floats(-100, 100)


@st.composite
def affines(draw):
    """Rotation, mirroring, and a different zoom along each axis."""
    angle = draw(st.floats(0, 2 * np.pi))
    zoom = draw(st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)))
    mirror = draw(st.sampled_from([1, -1]))
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag(zoom) @ np.diag([mirror, 1])
    shift = draw(st.tuples(numbers, numbers))
    return np.concatenate([linear, np.array(shift)[:, None]], axis=1)


points = st.tuples(numbers, numbers).map(np.array)


def centroid(picture):
    y, x = np.indices(picture.shape)
    return np.array([(x * picture).sum(), (y * picture).sum()]) / picture.sum()


def warp(picture, affine, width, height):
    return cv2.warpAffine(picture, affine, (width, height), flags=cv2.INTER_LINEAR)


@pytest.mark.parametrize(
    ("name", "affine", "width", "height"),
    [
        ("the same", geometry.resize_affine(1.0), 16, 12),
        ("doubled", geometry.resize_affine(2.0), 32, 24),
        ("tripled", geometry.resize_affine(3.0), 48, 36),
        ("mirrored", geometry.flip_affine(16), 16, 12),
        ("letterboxed", geometry.letterbox_affine(12, 16, 64), 64, 64),
        (
            "mirrored, then doubled",
            geometry.compose_affine(
                geometry.resize_affine(2.0), geometry.flip_affine(16)
            ),
            32,
            24,
        ),
    ],
)
def test_the_light_goes_where_the_coordinate_goes(name, affine, width, height):
    for x, y in ((1, 1), (7, 3), (14, 10)):
        picture = np.zeros((12, 16), np.float32)
        picture[y, x] = 1
        light = centroid(warp(picture, affine, width, height))
        moved = geometry.apply_affine(affine, np.array([float(x), float(y)]))
        np.testing.assert_allclose(moved, light, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("factor", [2, 4])
def test_reduction_averages_around_the_coordinate(factor):
    """A block that becomes one pixel has its middle there."""
    picture = np.zeros((24, 24), np.float32)
    picture[8 : 8 + factor, 4 : 4 + factor] = 1
    size = (24 // factor, 24 // factor)
    reduced = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    affine = geometry.resize_affine(1 / factor)
    moved = geometry.apply_affine(affine, centroid(picture))
    np.testing.assert_allclose(moved, centroid(reduced), atol=1e-6)


@pytest.mark.parametrize("scale", [0.5, 1.5, 2.0, 4.0])
def test_resizing_is_opencvs(scale):
    picture = np.random.default_rng(0).random((12, 16), np.float32)
    size = (round(16 * scale), round(12 * scale))
    warped = cv2.warpAffine(
        picture, geometry.resize_affine(scale), size, borderMode=cv2.BORDER_REPLICATE
    )
    np.testing.assert_allclose(warped, cv2.resize(picture, size), atol=1e-3)


def test_mirroring_is_reversing_columns():
    picture = np.random.default_rng(0).random((5, 9), np.float32)
    warped = warp(picture, geometry.flip_affine(9), 9, 5)
    np.testing.assert_array_equal(warped, picture[:, ::-1])


@given(st.integers(1, 2000), st.integers(1, 2000), st.sampled_from([97, 129, 641]))
def test_the_letterbox_holds_the_whole_picture(height, width, side):
    """Outer edge to outer edge along the longer side, at (-0.5, -0.5) both."""
    affine = geometry.letterbox_affine(height, width, side)
    edges = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    first, last = geometry.apply_affine(affine, edges)
    np.testing.assert_allclose(first, -0.5, atol=1e-9)
    np.testing.assert_allclose(last.max(), side - 0.5)
    np.testing.assert_allclose(
        (last + 0.5).min(), side * min(height, width) / max(height, width)
    )


@given(affines(), affines(), points)
def test_composed_is_one_after_the_other(outer, inner, point):
    composed = geometry.compose_affine(outer, inner)
    step = geometry.apply_affine(inner, point)
    np.testing.assert_allclose(
        geometry.apply_affine(composed, point),
        geometry.apply_affine(outer, step),
        atol=1e-8,
    )


@given(affines(), points)
def test_inverted_undoes(affine, point):
    back = geometry.invert_affine(affine)
    there = geometry.apply_affine(affine, point)
    np.testing.assert_allclose(geometry.apply_affine(back, there), point, atol=1e-8)
    nothing = geometry.compose_affine(back, affine)
    np.testing.assert_allclose(nothing, geometry.resize_affine(1.0), atol=1e-9)


def test_affines_take_points_of_any_shape_on_host_and_device():
    affine = geometry.letterbox_affine(30, 40, 97)
    many = np.random.default_rng(0).random((2, 3, 2)) * 40
    moved = geometry.apply_affine(affine, many)
    for index in np.ndindex(2, 3):
        one = geometry.apply_affine(affine, many[index])
        np.testing.assert_allclose(moved[index], one)
    on_device = jax.jit(geometry.apply_affine)(affine, many)
    np.testing.assert_allclose(on_device, moved, rtol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "box"),
    [
        (np.s_[0, 0], [-0.5, -0.5, 0.5, 0.5]),
        (np.s_[1:3, 2:6], [1.5, 0.5, 5.5, 2.5]),
        (np.s_[:, :], [-0.5, -0.5, 6.5, 3.5]),
    ],
)
def test_a_box_ends_at_the_outer_edges_of_its_pixels(pixels, box):
    mask = np.zeros((4, 7), bool)
    mask[pixels] = True
    assert geometry.box_of_mask(mask).tolist() == box


@pytest.mark.parametrize("stride", [1, 2, 4, 16, 32])
def test_a_cell_sits_on_its_pixel(stride):
    side = 3 * 32 + 1
    count = geometry.num_cells(side, stride)
    pixels = np.arange(side)[::stride]
    assert count == len(pixels)
    assert pixels[-1] == side - 1  # the last cell on the last pixel
    centers = geometry.cell_centers(2, count, stride)
    assert centers.shape == (2, count, 2)
    np.testing.assert_array_equal(centers[1, :, 0], pixels)
    np.testing.assert_array_equal(centers[1, :, 1], stride)


@pytest.mark.parametrize(
    ("side", "stride"), [(97, 32), (129, 32), (641, 32), (801, 32), (401, 16), (17, 16)]
)
def test_sides_that_fit_are_accepted(side, stride):
    geometry.check_side(side, stride)


@pytest.mark.parametrize(
    ("side", "stride", "nearest"),
    [
        (128, 32, "97 or 129"),
        (640, 32, "609 or 641"),
        (401, 32, "385 or 417"),
        (16, 16, "17 or 33"),
        (1, 16, "17 or 33"),
        (0, 16, "17 or 33"),
    ],
)
def test_a_side_that_does_not_fit_is_refused_with_its_neighbours(side, stride, nearest):
    with pytest.raises(ValueError, match=f"stride {stride}, plus 1; got {side}.") as e:
        geometry.check_side(side, stride)
    assert nearest in str(e.value)


def bilinear_loop(values, x, y):
    """Sum over all cells of a tent around each; outside, the border."""
    height, width = values.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    total = np.zeros(values.shape[2:])
    for row, column in np.ndindex(height, width):
        weight = max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
        total += weight * values[row, column]
    return total


# Between cells, on cells, on the border, outside.
PLACES = [(0.25, 1.5), (3, 2), (4, 3), (0, 0), (-0.7, 1.2), (9, -9), (3.999, 2.001)]


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (4, 5, 3, 2), (1, 5, 2), (4, 1)])
def test_bilinear_equals_a_loop(shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    cells = np.array(PLACES, np.float32)
    sampled = jax.jit(geometry.bilinear)(values, cells)
    expected = np.stack([bilinear_loop(values, x, y) for x, y in PLACES])
    np.testing.assert_allclose(sampled, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5, 3, 2)])
def test_bilinear_takes_the_channel_of_each_place(shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    cells = np.array(PLACES, np.float32)
    channel = np.arange(len(PLACES)) % 3
    sampled = jax.jit(geometry.bilinear)(values, cells, channel)
    expected = np.stack(
        [
            bilinear_loop(values[:, :, c], x, y)
            for c, (x, y) in zip(channel, PLACES, strict=True)
        ]
    )
    np.testing.assert_allclose(sampled, expected, atol=1e-5)


def test_bilinear_keeps_the_shape_of_the_places():
    values, cells = jnp.zeros((4, 5, 3, 2)), jnp.zeros((6, 7, 2))
    channel = jnp.zeros((6, 7), jnp.int32)
    assert geometry.bilinear(values, cells).shape == (6, 7, 3, 2)
    assert geometry.bilinear(values, cells, channel).shape == (6, 7, 2)
    assert geometry.bilinear(values[..., 0, 0], cells[0, 0]).shape == ()


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("shape", [(3, 5, 2), (2, 3, 5, 1), (1, 1, 2)])
def test_upsampling_keeps_old_cells_at_their_place(shape, factor):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    *batch, height, width, channels = shape
    large = np.asarray(geometry.upsample(values, factor))
    new = [factor * (n - 1) + 1 for n in (height, width)]
    assert large.shape == (*batch, *new, channels)
    np.testing.assert_array_equal(large[..., ::factor, ::factor, :], values)


def test_upsampling_is_bilinear_between_old_cells():
    values = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    cells = geometry.cell_centers(9, 13, 1) / 4
    sampled = geometry.bilinear(values, cells)
    np.testing.assert_allclose(geometry.upsample(values, 4), sampled, atol=1e-6)


def test_upsampling_keeps_half_precision():
    assert geometry.upsample(jnp.ones((3, 3, 1), jnp.bfloat16), 2).dtype == jnp.bfloat16
