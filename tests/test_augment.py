"""Light one pixel, put a keypoint on it, send both through a view: they must agree."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseseg_jax import geometry
from poseseg_jax.data.augment import (
    PADDING,
    AugmentSettings,
    change_color,
    random_affine,
    random_color,
    render,
    scale_of,
)
from poseseg_jax.data.decoding import Sample
from poseseg_jax.skeleton import FLIP, KEYPOINT_NAMES
from poseseg_jax.structs import IGNORE, NOBODY, SEVERAL, UNKNOWN_MASK

SIDE = 97
STILL = AugmentSettings(1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
WILD = AugmentSettings(0.5, 1.5, 180.0, 0.2, 0.5, 0.0)


def make_sample(height=48, width=64, boxes=(), points=(), **fields) -> Sample:
    """Black, with somebody per box whose pixels are those of the box.

    `points` are (row, keypoint, x, y).
    """
    rows = len(boxes)
    people = np.full((height, width), NOBODY, np.uint8)
    for row, (x0, y0, x1, y1) in reversed(list(enumerate(boxes))):
        people[y0 : y1 + 1, x0 : x1 + 1] = row + 1
    keypoints = np.zeros((rows, 17, 2), np.float32)
    visibility = np.zeros((rows, 17), np.uint8)
    for row, keypoint, x, y in points:
        keypoints[row, keypoint], visibility[row, keypoint] = (x, y), 2
    pixels = np.array(boxes, np.float32).reshape(-1, 4)
    box = pixels + np.array([-0.5, -0.5, 0.5, 0.5])
    sample = Sample(
        image=np.zeros((height, width, 3), np.uint8),
        to_image=geometry.resize_affine(1.0),
        people=people,
        keypoints=keypoints,
        visibility=visibility,
        box=box.astype(np.float32),
        area=np.prod(box[:, 2:] - box[:, :2], axis=-1).astype(np.float32),
        has_mask=np.ones(rows, bool),
        image_id=7,
    )
    return dataclasses.replace(sample, **fields)


def lit_sample(x, y, spread=0, height=48, width=64) -> Sample:
    """One person: a square around (x, y), white in the picture, and a left wrist."""
    box = (x - spread, y - spread, x + spread, y + spread)
    sample = make_sample(height, width, [box], [(0, 9, x, y)])
    sample.image[sample.people == 1] = 255
    return sample


def draw(seed, height=48, width=64, side=SIDE, augment=WILD):
    rng = np.random.default_rng(seed)
    return random_affine(rng, height=height, width=width, side=side, settings=augment)


def centroid(weight):
    y, x = np.indices(weight.shape)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def disagreement(sample, to_input, side):
    """(picture, people map) minus the keypoint, input px; None if it is not inside."""
    batch = render(sample, to_input, side=side, max_people=2)
    dark = dataclasses.replace(sample, image=np.zeros_like(sample.image))
    dark = render(dark, to_input, side=side, max_people=2)
    light = batch.image[..., 0].astype(int) - dark.image[..., 0]
    keypoint = batch.keypoints[0, batch.visibility[0] > 0]
    if not keypoint.size or not ((keypoint > 9) & (keypoint < side - 10)).all():
        return None
    return np.stack([centroid(light), centroid(batch.people == 1)]) - keypoint


@pytest.mark.parametrize(
    ("spread", "side", "tolerance"),
    [
        (0, SIDE, 0.75),  # one pixel, which becomes up to 2.3 pixels of the input
        (4, SIDE, 0.5),
        (8, 41, 0.5),  # reduced by up to 4: averaged over areas first
        (16, 25, 0.5),
    ],
)
def test_picture_people_map_and_keypoint_agree(spread, side, tolerance):
    sample = lit_sample(30, 23, spread)
    augment = dataclasses.replace(WILD, scale_min=0.7 if spread == 0 else 0.4)
    found, found_in_original = [], []
    for seed in range(150):
        to_input = draw(seed, side=side, augment=augment)
        if (off := disagreement(sample, to_input, side)) is not None:
            found.append(off)
            rotation = to_input[:, :2] / scale_of(to_input)
            found_in_original.append(off @ rotation)
    assert len(found) > 20
    assert np.abs(found).max() < tolerance
    # Rounding averages out; a wrong half pixel on either side of the affine does not.
    assert np.abs(np.mean(found, axis=0)).max() < 0.1
    assert np.abs(np.mean(found_in_original, axis=0)).max() < 0.1


@given(x=st.integers(0, 63), y=st.integers(0, 47), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_light_comes_from_the_lit_pixel(x, y, seed):
    to_input = draw(seed)
    batch = render(lit_sample(x, y), to_input, side=SIDE, max_people=1)
    back = geometry.invert_affine(to_input)
    pixels = np.argwhere(batch.people == 1)[:, ::-1].astype(float)
    off = np.abs(geometry.apply_affine(back, pixels) - [x, y])
    assert (off <= 0.5 + 1e-2).all()
    pixels = np.argwhere((batch.image == 255).all(-1))[:, ::-1].astype(float)
    off = np.abs(geometry.apply_affine(back, pixels) - [x, y])
    assert (off <= 0.5).all()
    if batch.visibility.any():
        wrist = batch.visibility[0].argmax()
        there = geometry.apply_affine(back, batch.keypoints[0, wrist])
        np.testing.assert_allclose(there, [x, y], atol=1e-3)


def test_the_still_view_is_the_letterbox_in_the_middle():
    """No zoom: the longer side fills the input, centred."""
    to_input = draw(0, augment=STILL)
    fitted = geometry.letterbox_affine(48, 64, SIDE)
    np.testing.assert_allclose(to_input[:, :2], fitted[:, :2])
    center = geometry.apply_affine(to_input, np.array([31.5, 23.5]))
    np.testing.assert_allclose(center, [(SIDE - 1) / 2] * 2)


def test_mirroring_twice_changes_nothing():
    rng = np.random.default_rng(0)
    sample = make_sample(SIDE, SIDE, [(5, 6, 40, 50)], [(0, 9, 7.25, 8.5)])
    image = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    sample = dataclasses.replace(sample, image=image)
    flip = geometry.flip_affine(SIDE)
    once = render(sample, flip, side=SIDE, max_people=1)
    names = ("image", "people", "keypoints", "visibility", "box", "area")
    mirrored = {name: getattr(once, name) for name in names}
    twice = render(
        dataclasses.replace(sample, **mirrored), flip, side=SIDE, max_people=1
    )
    for name in names:
        np.testing.assert_array_equal(getattr(twice, name), getattr(sample, name))
    np.testing.assert_array_equal(once.image, image[:, ::-1])


def test_mirrored_left_is_right():
    points = [(0, k, 10 + k, 20 - k) for k in range(17)]
    sample = make_sample(SIDE, SIDE, [(0, 0, 40, 40)], points)
    flip = geometry.flip_affine(SIDE)
    batch = render(sample, flip, side=SIDE, max_people=1)
    for k, name in enumerate(KEYPOINT_NAMES):
        other = KEYPOINT_NAMES[FLIP[k]]
        assert (
            name.replace("left", "X").replace("right", "left").replace("X", "right")
            == other
        )
        x, y = sample.keypoints[0, k]
        np.testing.assert_allclose(batch.keypoints[0, FLIP[k]], [SIDE - 1 - x, y])


def test_scale_augmentation_scales_people():
    """The heights of one person over many views cover the range that was asked for."""
    augment = AugmentSettings(0.5, 1.5, 0.0, 0.0, 0.5, 0.0)
    sample = make_sample(64, 64, [(24, 22, 40, 41)])  # 20 px high
    heights = []
    for seed in range(200):
        to_input = draw(seed, 64, 64, augment=augment)
        box = render(sample, to_input, side=SIDE, max_people=1).box[0]
        heights.append((box[3] - box[1]) / (20 * SIDE / 64))
    assert 0.5 <= min(heights) < 0.52
    assert 1.45 < max(heights) <= 1.5001
    middle = np.sqrt(0.5 * 1.5)  # log-uniform: as often below as above
    assert 0.4 < np.mean(np.array(heights) < middle) < 0.6


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_a_view_is_a_similarity_near_the_middle(seed):
    augment = AugmentSettings(0.5, 1.5, 20.0, 0.15, 0.5, 0.3)
    to_input = draw(seed, augment=augment)
    linear = to_input[:, :2]
    scale = scale_of(to_input)
    np.testing.assert_allclose(linear @ linear.T, scale**2 * np.eye(2), atol=1e-9)
    assert 0.5 <= scale * 64 / SIDE <= 1.5 + 1e-9
    mirror = np.diag([np.sign(np.linalg.det(linear)), 1])
    cos = (linear @ mirror)[0, 0] / scale
    assert cos >= np.cos(np.radians(20)) - 1e-9
    center = geometry.apply_affine(to_input, np.array([31.5, 23.5]))
    assert (np.abs(center - (SIDE - 1) / 2) <= 0.15 * SIDE + 1e-9).all()


def test_one_setting_does_not_change_the_draw_of_another():
    flipped = draw(3, augment=dataclasses.replace(WILD, flip=1.0))
    straight = draw(3, augment=dataclasses.replace(WILD, flip=0.0))
    unflipped = geometry.compose_affine(flipped, geometry.flip_affine(64))
    np.testing.assert_allclose(unflipped, straight, atol=1e-9)


def test_letterbox_and_back():
    points = [(0, 0, 5.3, 40.9), (0, 16, 60.0, 0.0)]
    sample = make_sample(48, 64, [(0, 0, 63, 47)], points)
    to_input = geometry.letterbox_affine(48, 64, SIDE)
    batch = render(sample, to_input, side=SIDE, max_people=3)
    back = geometry.invert_affine(batch.to_input.astype(np.float64))
    there = geometry.apply_affine(back, batch.keypoints[0, [0, 16]])
    np.testing.assert_allclose(there, [[5.3, 40.9], [60, 0]], atol=1e-4)
    np.testing.assert_allclose(batch.box[0], [-0.5, -0.5, 96.5, 72.25], atol=1e-4)
    np.testing.assert_array_equal(batch.size, [48, 64])
    assert (batch.people[73:] == IGNORE).all()
    assert (batch.image[74:] == PADDING).all()
    assert (batch.people[:72] == 1).all()


def test_keypoints_outside_become_unlabelled_and_fractions_stay():
    points = [(0, 0, 10.25, 10.75), (0, 1, 50.0, 10.0)]
    sample = make_sample(48, 64, [(0, 0, 63, 47)], points)
    to_input = np.array([[1.0, 0, 0.5], [0, 1, 0]])
    batch = render(sample, to_input, side=33, max_people=1)
    np.testing.assert_array_equal(batch.keypoints[0, 0], [10.75, 10.75])
    assert batch.visibility[0].tolist() == [2] + [0] * 16
    assert not batch.keypoints[0, 1:].any()
    np.testing.assert_array_equal(batch.box[0], [0, -0.5, 32.5, 32.5])


def test_area_follows_the_determinant():
    sample = make_sample(48, 64, [(10, 10, 19, 29)])
    to_input = draw(1)
    batch = render(sample, to_input, side=SIDE, max_people=1)
    determinant = abs(np.linalg.det(to_input[:, :2]))
    np.testing.assert_allclose(batch.area, [200 * determinant], rtol=1e-5)


def test_of_too_many_people_the_largest_stay():
    boxes = [(0, 0, 29, 29), (32, 0, 51, 19), (32, 32, 41, 41), (0, 40, 4, 44)]
    sample = make_sample(48, 64, boxes)
    keep = geometry.resize_affine(1.0)
    batch = render(sample, keep, side=65, max_people=2)
    expected = np.full((65, 65), IGNORE, np.uint8)
    expected[:48, :64] = sample.people
    expected[expected == 3] = IGNORE
    expected[expected == 4] = IGNORE
    np.testing.assert_array_equal(batch.people, expected)
    np.testing.assert_allclose(batch.area, [900, 400])


SHIFTED = np.array([[1.0, 0, -40], [0, 1, 0]])  # the left 40 columns leave the input


@pytest.mark.parametrize(
    ("name", "change", "stays"),
    [
        ("its box is outside", {}, [False, True]),
        ("some of its box is inside but no pixel", {"box": 20}, [False, True]),
        ("the same, with a keypoint inside", {"box": 20, "point": 45}, [True, True]),
        ("the same, mask unknown", {"box": 20, "has_mask": False}, [True, True]),
        ("the same, covered by somebody", {"box": 20, "several": True}, [True, True]),
    ],
)
def test_people_of_whom_nothing_is_left_lose_their_row(name, change, stays):
    sample = make_sample(48, 64, [(5, 5, 30, 30), (50, 10, 55, 20)])
    sample.box[0, 2] += change.get("box", 0)
    if "point" in change:
        sample.keypoints[0, 0], sample.visibility[0, 0] = (change["point"], 10), 1
    sample.has_mask[0] = change.get("has_mask", True)
    if "several" in change:
        sample.people[10, 45] = SEVERAL
    batch = render(sample, SHIFTED, side=65, max_people=3)
    assert batch.box.any(-1).tolist() == [*stays, False], name
    assert (batch.area > 0).tolist() == [*stays, False], name
    assert batch.people[15, 12] == 2


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_every_code_has_its_row(seed):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 40, (6, 2))
    boxes = [(x, y, x + 20 - 3 * i, y + 7) for i, (x, y) in enumerate(corners)]
    sample = make_sample(48, 64, boxes)
    sample.people[:2, :2] = UNKNOWN_MASK
    batch = render(sample, draw(seed), side=SIDE, max_people=4)
    codes = set(np.unique(batch.people)) - {NOBODY, UNKNOWN_MASK, SEVERAL, IGNORE}
    rows = {row + 1 for row in np.flatnonzero(batch.area)}
    assert codes <= rows


def test_nobody_is_fine():
    batch = render(make_sample(), draw(0), side=SIDE, max_people=2)
    assert not batch.box.any()
    assert not batch.visibility.any()
    assert set(np.unique(batch.people)) <= {NOBODY, IGNORE}


def test_strong_reduction_does_not_alias():
    """Stripes finer than the input's pixels become gray, not another pattern."""
    image = np.zeros((200, 400, 3), np.uint8)
    image[:, ::2] = 255
    sample = make_sample(200, 400, image=image)
    to_input = geometry.letterbox_affine(200, 400, 33)
    batch = render(sample, to_input, side=33, max_people=1)
    inside = batch.image[1:15, 1:-1].astype(int)
    assert np.abs(inside - 127).max() <= 15


def test_color_factors_match_plain_arithmetic():
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    brightness, contrast, saturation = np.random.default_rng(9).uniform(0.7, 1.3, 3)
    pixels = image * brightness
    gray = pixels @ [0.299, 0.587, 0.114]
    pixels = gray.mean() + (pixels - gray.mean()) * contrast
    gray = (pixels @ [0.299, 0.587, 0.114])[..., None]
    pixels = gray + (pixels - gray) * saturation
    factors = random_color(np.random.default_rng(9), strength=0.3)
    jittered = change_color(image, factors)
    assert np.abs(jittered - pixels.clip(0, 255)).max() <= 1.5


def test_without_color_jitter_the_picture_stays():
    image = np.full((2, 2, 3), 77, np.uint8)
    factors = random_color(np.random.default_rng(0), strength=0.0)
    same = change_color(image, factors)
    np.testing.assert_array_equal(same, image)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale_min": 2.0},
        {"scale_min": 0.0},
        {"rotation": -1.0},
        {"flip": 1.5},
        {"color": 1.01},
        {"translation": float("nan")},
    ],
)
def test_nonsense_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        dataclasses.replace(WILD, **wrong)
