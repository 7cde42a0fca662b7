"""What is drawn lies where it should, is legible, and leaves everything else alone."""

import cv2
import numpy as np
import pytest

from poseseg_jax import visualize
from poseseg_jax.skeleton import KEYPOINT_NAMES

GRAY = np.full((60, 80, 3), 128, np.uint8)
NOSE, LEFT_EYE = 0, 1


def person(*points, confidence=1.0):
    """One person with its first keypoints at the given (x, y)."""
    keypoints = np.zeros((1, len(KEYPOINT_NAMES), 2), np.float32)
    trust = np.zeros((1, len(KEYPOINT_NAMES)), np.float32)
    keypoints[0, : len(points)] = points
    trust[0, : len(points)] = confidence
    return keypoints, trust, np.ones(1, np.float32)


def square(x, y, size):
    mask = np.zeros((1, 60, 80), bool)
    mask[0, y : y + size, x : x + size] = True
    return mask


def changed(image, before=GRAY):
    return (image != before).any(-1)


@pytest.mark.parametrize("zoom", [1, 3])
def test_a_joint_lies_on_its_pixel(zoom):
    drawn = visualize.draw_pose(GRAY, *person((41, 17)), zoom=zoom)
    rows, columns = np.nonzero(changed(drawn, before=np.uint8(128)))
    middle = (41 + 0.5) * zoom - 0.5, (17 + 0.5) * zoom - 0.5
    np.testing.assert_allclose((columns.mean(), rows.mean()), middle, atol=0.1)


def test_a_limb_joins_its_joints_and_nothing_else():
    drawn = changed(visualize.draw_pose(GRAY, *person((20, 30), (60, 30)), zoom=1))
    assert drawn[30, 20:61].all()
    assert not drawn[:24].any()
    assert not drawn[37:].any()


def test_a_mask_is_tinted_up_to_its_outline():
    mask = square(20, 10, 30)
    drawn = visualize.draw_masks(GRAY, mask, np.ones(1), zoom=1)
    outline = 3
    assert changed(drawn)[mask[0]].all()
    around = cv2.dilate(mask[0].astype(np.uint8), np.ones((2 * outline + 1,) * 2))
    assert not changed(drawn)[around == 0].any()
    np.testing.assert_allclose(
        drawn[25, 35], 128 * 0.6 + np.array(visualize.PALETTE[0]) * 0.4, atol=1
    )


@pytest.mark.parametrize("draw", ["pose", "masks", "joint"])
def test_empty_slots_and_pictures_without_people_stay_as_they_are(draw):
    for slots in (0, 3):
        keypoints, confidence = np.ones((slots, 17, 2)), np.ones((slots, 17))
        score, masks = np.zeros(slots), np.ones((slots, 60, 80), bool)
        people = {
            "pose": (keypoints, confidence, score),
            "masks": (masks, score),
            "joint": (keypoints, confidence, score, masks),
        }[draw]
        drawn = getattr(visualize, f"draw_{draw}")(GRAY, *people, zoom=1)
        np.testing.assert_array_equal(drawn, GRAY)


def test_the_given_picture_is_not_drawn_upon():
    image = GRAY.copy()
    visualize.draw_joint(image, *person((5, 5)), square(0, 0, 20), zoom=1)
    np.testing.assert_array_equal(image, GRAY)


def test_joints_that_were_not_found_are_not_drawn():
    keypoints, confidence, score = person((20, 20), (50, 40))
    confidence[0, LEFT_EYE] = 0.05
    drawn = changed(visualize.draw_pose(GRAY, keypoints, confidence, score, zoom=1))
    assert drawn[20, 20]
    assert not drawn[30:].any()


def test_an_unsure_joint_is_hollow():
    sure, unsure = (
        visualize.draw_pose(GRAY, *person((20, 20), confidence=c), zoom=4)
        for c in (1.0, 0.25)
    )
    at = 20 * 4 + 2
    assert np.abs(sure[at, at] - np.array(visualize.PALETTE[0])).max() < 40
    assert unsure[at, at].max() < 60


def test_labels_are_drawn_by_their_visibility():
    visibility = np.array([[0, 1, 2]], np.uint8)
    absent, hidden, visible = visualize.confidence_of_labels(visibility)[0]
    assert absent == 0 < hidden < 0.5 < visible


def test_the_better_person_lies_on_top():
    masks = np.concatenate([square(10, 10, 40), square(10, 10, 40)])
    for scores in ([0.9, 0.2], [0.2, 0.9]):
        drawn = visualize.draw_masks(GRAY, masks, np.array(scores), zoom=1)
        best = np.array(visualize.PALETTE[int(np.argmax(scores))], float)
        other = np.array(visualize.PALETTE[int(np.argmin(scores))], float)
        color = drawn[30, 30].astype(float)
        assert np.abs(color - best).sum() < np.abs(color - other).sum()


def test_points_far_outside_of_the_picture_do_no_harm():
    drawn = visualize.draw_pose(GRAY, *person((20, 20), (-4e9, 1e12)), zoom=1)
    assert changed(drawn)[20, 20]


@pytest.mark.parametrize("shape", [(86, 129), (129, 129), (321, 480), (700, 500)])
def test_small_pictures_are_enlarged_by_a_whole_factor(shape):
    image = np.zeros((*shape, 3), np.uint8)
    drawn = visualize.draw_pose(image, *person((5, 5)))
    zoom = drawn.shape[0] // shape[0]
    assert drawn.shape == (shape[0] * zoom, shape[1] * zoom, 3)
    assert max(drawn.shape) >= 480
    assert zoom == 1 or max(shape) * (zoom - 1) < 480


@pytest.mark.parametrize("background", [0, 80, 160, 255])
@pytest.mark.parametrize("color", visualize.PALETTE)
def test_a_line_stands_out_from_any_background(background, color):
    luminance = np.array([0.299, 0.587, 0.114])
    line, rim = luminance @ color, 20
    assert max(abs(line - background), abs(rim - background)) >= 60
    assert line - rim > 90


def test_truth_and_prediction_stand_side_by_side_under_their_captions():
    low, high = np.zeros((50, 80, 3), np.uint8), np.full((70, 60, 3), 255, np.uint8)
    row = visualize.side_by_side(low, high, captions=("a", "b"))
    bar = row.shape[0] - 70
    assert row.shape[1] == 80 + 60 + 4
    np.testing.assert_array_equal(row[bar : bar + 50, :80], low)
    np.testing.assert_array_equal(row[bar:, 84:], high)
    assert (row[:bar, :80] > 200).any()
    assert (row[:bar, 84:] > 200).any()


def test_a_png_holds_the_picture_in_its_colours(tmp_path):
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    visualize.write_png(tmp_path / "new" / "a.png", image)
    stored = cv2.imread(str(tmp_path / "new" / "a.png"), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(stored[..., ::-1], image)


def test_a_long_caption_is_written_smaller_and_stays_on_its_picture():
    truth = np.zeros((100, 120, 3), np.uint8)
    long = visualize.side_by_side(truth, truth, captions=("m" * 60, ""))
    bright = (long > 100).all(-1)
    bright[:, 120:124] = False  # the gap between the two
    assert bright[:, :120].any()
    assert not bright[:, 112:].any()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_sheet_holds_every_picture_at_one_width(count, monkeypatch):
    monkeypatch.setattr(visualize, "_SHEET_WIDTH", 40)
    tones = [50, 100, 150][:count]
    shapes = [(30, 60), (80, 40), (20, 20)]
    pictures = [
        np.full((*shape, 3), tone, np.uint8)
        for tone, shape in zip(tones, shapes, strict=False)
    ]
    sheet = visualize.sheet(pictures)
    heights = [20, 80, 40]
    for tone, height in zip(tones, heights, strict=False):
        assert (sheet == tone).all(-1).sum() == 40 * height
    assert sheet.shape[1] == (92 if count > 1 else 40)
    assert sheet.shape[0] == {1: 20, 2: 80, 3: 80 + 12 + 40}[count]


def test_the_first_people_have_colours_of_their_own_in_order():
    centers = np.random.default_rng(0).uniform(0, 100, (len(visualize.PALETTE), 2))
    assert visualize.choose_colors(centers) == list(range(len(visualize.PALETTE)))
    assert visualize.choose_colors(np.zeros((0, 2))) == []


def test_who_stands_close_has_another_colour():
    centers = np.stack([np.arange(14) * 10.0, np.zeros(14)], axis=-1)
    colors = visualize.choose_colors(centers)
    assert all(
        colors[one] != colors[other]
        for one in range(14)
        for other in range(one)
        if one - other <= 4
    )


def test_who_has_a_colour_keeps_it():
    colors = visualize.choose_colors(np.zeros((3, 2)), taken={1: 0})
    assert colors == [1, 0, 2]


def test_colours_are_those_that_were_asked_for():
    people, mask = person((20, 20)), square(10, 10, 40)
    for color in (0, 3):
        pose = visualize.draw_pose(GRAY, *people, zoom=4, colors=[color])
        np.testing.assert_allclose(pose[82, 82], visualize.PALETTE[color], atol=40)
        masked = visualize.draw_masks(GRAY, mask, np.ones(1), zoom=1, colors=[color])
        tint = 128 * 0.6 + np.array(visualize.PALETTE[color]) * 0.4
        np.testing.assert_allclose(masked[30, 30], tint, atol=1)
