"""Input pixels and map cells come to lie where the pixel convention says."""

import numpy as np
import pytest

from poseseg_jax.sheets import page
from poseseg_jax.sheets.canvas import (
    HATCHES,
    INK,
    Frame,
    Names,
    hatch,
    lines,
    mark,
    rectangle,
    text_size,
    tint,
    write,
)

RED = (255, 0, 0)


def gray(height=60, width=80):
    return np.full((height, width, 3), 128, np.uint8)


def changed(canvas):
    return (canvas != 128).any(-1)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0, 2.27])
def test_a_lit_cell_lights_the_canvas_around_its_pixel_and_nothing_else(stride, scale):
    frame = Frame(65, 65, scale)
    cell = np.zeros((64 // stride + 1,) * 2)
    row, column = 40 // stride, 12 // stride
    cell[row, column] = 1
    lit = frame.spread(cell, stride) > 0
    x, y = frame.place(np.array([column * stride, row * stride], float))
    rows, columns = np.nonzero(lit)
    size = stride * scale
    if size >= 1:
        assert lit[round(float(y)), round(float(x))]
        np.testing.assert_allclose(
            (columns.mean(), rows.mean()), (x, y), atol=0.5 + size * 0.01
        )
    assert lit.sum() <= (size + 1) ** 2


def test_at_full_size_every_pixel_has_its_own_value():
    values = np.arange(20).reshape(4, 5)
    np.testing.assert_array_equal(Frame(4, 5, 1.0).spread(values), values)


@pytest.mark.parametrize("scale", [2.0, 5.0])
def test_pixels_of_the_input_lie_where_points_are_placed(scale):
    image = np.zeros((20, 30, 3), np.uint8)
    image[7, 21] = 255
    frame = Frame(20, 30, scale)
    light = frame.paint(image)[..., 0].astype(float)
    rows, columns = np.nonzero(light > 128)
    x, y = frame.place(np.array([21.0, 7.0]))
    np.testing.assert_allclose((columns.mean(), rows.mean()), (x, y), atol=0.5)


def test_the_longer_side_fits():
    frame = Frame.fitting(320, 480, 960)
    assert frame.scale == 2
    assert frame.shape == (640, 960)


def test_tint_mixes_by_opacity():
    canvas = gray()
    opacity = np.zeros(canvas.shape[:2])
    opacity[:, 40:] = 0.5
    tint(canvas, opacity, RED)
    assert not changed(canvas)[:, :40].any()
    np.testing.assert_allclose(canvas[0, 50], (192, 64, 64), atol=1)


def test_hatchings_differ_and_stay_inside():
    where = np.zeros((60, 80), bool)
    where[10:50, 10:70] = True
    drawn = []
    for kind in HATCHES:
        canvas = gray()
        hatch(canvas, where, kind, RED)
        assert not changed(canvas)[~where].any()
        assert 0.1 < changed(canvas)[where].mean() < 0.6
        drawn.append(changed(canvas))
    assert (drawn[0] != drawn[1]).any()
    np.testing.assert_array_equal(drawn[2], drawn[0] | drawn[1])


def test_lines_join_their_ends():
    canvas = gray()
    lines(canvas, np.array([[10.0, 20.0]]), np.array([[40.0, 20.0]]), RED)
    np.testing.assert_allclose(canvas[20, 12:39], 27 * [RED], atol=20)
    assert not changed(canvas)[25:].any()


def test_no_lines_are_no_error():
    canvas = gray()
    lines(canvas, np.zeros((0, 2)), np.zeros((0, 2)), RED, rim=True)
    assert not changed(canvas).any()


def test_a_dashed_rectangle_has_gaps_and_the_same_outline():
    drawn = {}
    for dashed in (False, True):
        canvas = gray()
        rectangle(canvas, np.array([10.0, 10.0, 70.0, 50.0]), RED, dashed=dashed)
        drawn[dashed] = changed(canvas)
    assert drawn[False][10, 10:71].all()
    assert not drawn[True][10, 10:71].all()
    assert drawn[True].sum() > 0.4 * drawn[False].sum()


@pytest.mark.parametrize("shape", ["circle", "square", "diamond"])
def test_a_mark_is_centred_and_a_hollow_one_dark_inside(shape):
    full, hollow = gray(), gray()
    point = np.array([40.0, 30.0])
    mark(full, point, shape, RED, radius=6)
    mark(hollow, point, shape, RED, radius=6, hollow=True)
    rows, columns = np.nonzero(changed(full))
    np.testing.assert_allclose((columns.mean(), rows.mean()), point, atol=0.3)
    assert tuple(full[30, 40]) == RED
    assert tuple(hollow[30, 40]) == INK
    assert (hollow == RED).all(-1).any()


def test_text_is_cut_off_where_the_canvas_ends():
    for at in ((-20, -5), (70, 55), (500, 10), (10, -500)):
        write(gray(), "left shoulder", at, color=RED, rim=INK)
    canvas = gray()
    write(canvas, "LSh", (10, 10), color=RED)
    width, height = text_size("LSh", 13)
    rows, columns = np.nonzero(changed(canvas))
    assert rows.min() >= 10
    assert rows.max() < 10 + height
    assert columns.min() >= 10
    assert columns.max() < 10 + width


def test_names_never_cover_each_other():
    canvas = gray()
    names = Names(canvas, size=12)
    point = np.array([40.0, 30.0])
    before = []
    for number in range(12):
        names.beside(point, f"n{number}", RED, gap=9)
        before.append(canvas.copy())
    # Room is on four sides; what comes later is left out.
    assert (before[3] != before[2]).any()
    for late in before[4:]:
        np.testing.assert_array_equal(late, before[3])


def test_pages_keep_their_panels_and_pad_with_paper():
    small, large = gray(10, 20), gray(30, 40)
    together = page.grid([small, large, small], 2, gap=2)
    assert together.shape == (30 + 2 + 10, 40 + 2 + 40, 3)
    np.testing.assert_array_equal(together[:10, :20], small)
    np.testing.assert_array_equal(together[:30, 42:], large)
    assert (together[10:30, :40] == 255).all()


def test_a_title_that_is_too_long_is_shortened():
    titled = page.titled(gray(20, 60), "a title that never fits into so few pixels")
    assert titled.shape[1] == 60
    np.testing.assert_array_equal(titled[-20:], gray(20, 60))


def test_a_legend_takes_as_many_lines_as_it_needs():
    entries = [(page.swatch(), f"meaning {i}") for i in range(6)]
    wide, narrow = page.legend(entries, 2000), page.legend(entries, 260)
    assert wide.shape[1] <= 2000
    assert narrow.shape[1] <= 260
    assert narrow.shape[0] > 2 * wide.shape[0]
