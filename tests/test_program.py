"""What is done by matrices is what OpenCV and NumPy do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax import geometry, program
from poseseg_jax.coco.results import resample_mask
from poseseg_jax.data.augment import PADDING, warp_image
from poseseg_jax.people import box_of
from poseseg_jax.structs import Instances, Poses

SIDE, STRIDE = 33, 4
# (height, width): as it is, smaller, larger, twice, and by much larger.
SIZES = [(33, 20), (12, 30), (40, 50), (66, 31), (67, 80), (100, 99), (301, 220)]
CANVAS = (310, 305)

letterbox = jax.jit(program.letterbox, static_argnames="side")


def noise(size, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def on_canvas(picture):
    image = noise(CANVAS, seed=1)
    image[: picture.shape[0], : picture.shape[1]] = picture
    return image


@pytest.mark.parametrize("size", SIZES)
def test_a_letterbox_is_that_of_the_loader(size):
    picture = noise(size)
    expected = np.empty((SIDE, SIDE, 3), np.uint8)
    to_input = geometry.letterbox_affine(*size, SIDE)
    warp_image(picture, geometry.resize_affine(1.0), to_input, expected)
    seen = letterbox(on_canvas(picture), np.array(size), side=SIDE)
    differences = np.abs(np.asarray(seen, int) - expected)
    # Where a value is a half but for rounding, it may go either way.
    assert differences.max() <= 1
    assert differences.mean() < 0.002


def test_what_no_picture_covers_is_padding():
    seen = np.asarray(
        letterbox(on_canvas(noise((12, 30))), np.array((12, 30)), side=SIDE)
    )
    assert (seen[20:] == PADDING).all()


def instances(mask, keypoints, confidence, score):
    poses = Poses(*(jnp.array(a, jnp.float32) for a in (keypoints, confidence, score)))
    return Instances(poses, jnp.array(mask, jnp.float32))


@pytest.mark.parametrize("size", SIZES)
def test_masks_points_and_boxes_are_those_of_the_host(size):
    rng = np.random.default_rng(0)
    cells = (SIDE - 1) // STRIDE + 1
    masks = rng.random((3, cells, cells)) ** 2
    masks[1] = 0  # has the box of its keypoints
    keypoints = rng.uniform(0, 20, (3, 17, 2))
    confidence = rng.random((3, 17)) * (rng.random((3, 17)) > 0.5)
    found = program.in_pictures(
        instances(masks, keypoints, confidence, [0.9, 0.5, 0]),
        jnp.array(size),
        shape=CANVAS,
        side=SIDE,
        person_stride=STRIDE,
    )
    to_input = geometry.letterbox_affine(*size, SIDE)
    back = geometry.invert_affine(to_input)
    points = geometry.apply_affine(back, keypoints)
    np.testing.assert_allclose(found["keypoints"], points, rtol=1e-4, atol=1e-4)
    for slot in (0, 1):
        mask = resample_mask(masks[slot], to_cell=to_input / STRIDE, size=size)
        ours = np.asarray(found["masks"][slot])
        # OpenCV places a sample to 1/32 of a cell, and these masks are all edge.
        wrong = np.count_nonzero(ours[: size[0], : size[1]] != mask)
        assert wrong <= 0.02 * mask.size
        assert np.count_nonzero(ours) == np.count_nonzero(ours[: size[0], : size[1]])
        box = box_of(ours[: size[0], : size[1]], points[slot], confidence[slot])
        np.testing.assert_allclose(found["box"][slot], box)
    assert not found["masks"][2].any()


def test_who_has_no_keypoint_and_no_mask_has_the_box_of_where_they_may_be():
    keypoints = np.full((1, 17, 2), 5.0)
    keypoints[0, 0] = 8.0, -3.0
    found = program.in_pictures(
        instances(np.zeros((1, 9, 9)), keypoints, np.zeros((1, 17)), [0.1]),
        jnp.array((SIDE, SIDE)),
        shape=(SIDE, SIDE),
        side=SIDE,
        person_stride=STRIDE,
    )
    assert found["box"][0].tolist() == [5, 0, 9, 6]
