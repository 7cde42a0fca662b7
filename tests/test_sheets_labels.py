"""What the labels say is seen: whose pixels, which side, which joints are hidden."""

import numpy as np
import pytest

from poseseg_jax.sheets.canvas import INK
from poseseg_jax.sheets.labels import (
    SIDE_COLORS,
    Labelled,
    abbreviation,
    add_people_map,
    draw_labels,
    legend_entries,
    person_color,
    side_of,
)
from poseseg_jax.skeleton import ANCHOR_NAMES, FLIP, KEYPOINT_NAMES, NUM_ANCHORS
from poseseg_jax.structs import IGNORE, NOBODY, SEVERAL, UNKNOWN_MASK

NAMES = [abbreviation(anchor) for anchor in range(NUM_ANCHORS)]
SIDE = 200
EYES = {"left_eye": (130, 60), "right_eye": (70, 60)}


def labelled(points, *, visibility=2, people=None, has_mask=True):
    """One person with some keypoints at (x, y), in a picture of 200 x 200."""
    keypoints = np.zeros((2, 17, 2), np.float32)
    seen = np.zeros((2, 17), np.uint8)
    for name, point in points.items():
        keypoints[0, KEYPOINT_NAMES.index(name)] = point
        seen[0, KEYPOINT_NAMES.index(name)] = visibility
    return Labelled(
        image=np.full((SIDE, SIDE, 3), 128, np.uint8),
        people=np.zeros((SIDE, SIDE), np.uint8) if people is None else people,
        keypoints=keypoints,
        visibility=seen,
        box=np.array([[20, 20, 180, 180], [0, 0, 0, 0]], np.float32),
        has_mask=np.array([has_mask, False]),
    )


def test_abbreviations_are_short_and_all_different():
    assert len(set(NAMES)) == NUM_ANCHORS
    assert {len(name) for name in NAMES} == {3}
    assert NAMES[ANCHOR_NAMES.index("left_shoulder")] == "LSh"
    assert NAMES[ANCHOR_NAMES.index("right_ankle")] == "RAn"


def test_mirrored_anchors_are_of_opposite_sides():
    opposite = {"left": "right", "right": "left", "middle": "middle"}
    for anchor, mirrored in enumerate(FLIP.tolist()):
        assert side_of(mirrored) == opposite[side_of(anchor)]


def test_a_joint_has_the_colour_of_its_side():
    drawn = draw_labels(labelled(EYES), side=SIDE, names=False)
    for name, (x, y) in EYES.items():
        assert tuple(drawn[y, x]) == SIDE_COLORS[name.partition("_")[0]]


def test_swapped_sides_are_drawn_otherwise():
    exchanged = {"left_eye": EYES["right_eye"], "right_eye": EYES["left_eye"]}
    right, wrong = (
        draw_labels(labelled(points), side=SIDE, names=False)
        for points in (EYES, exchanged)
    )
    x, y = EYES["left_eye"]
    around = np.s_[y - 6 : y + 7, x - 6 : x + 7]
    assert (right[around] != wrong[around]).any(-1).mean() > 0.05
    assert tuple(wrong[y, x]) == SIDE_COLORS["right"]


def test_hidden_joints_are_hollow_and_unlabelled_ones_absent():
    x, y = EYES["left_eye"]
    hidden = draw_labels(labelled(EYES, visibility=1), side=SIDE, names=False)
    assert tuple(hidden[y, x]) == INK
    absent = draw_labels(labelled(EYES, visibility=0), side=SIDE, names=False)
    assert tuple(absent[y, x]) == (128, 128, 128)


def test_only_large_people_are_named():
    points = {"left_shoulder": (150, 40), "right_ankle": (40, 170)}
    for side, is_named in ((100, False), (600, True)):
        plain, named = (
            draw_labels(labelled(points), side=side, names=names)
            for names in (False, True)
        )
        assert (plain != named).any() == is_named


def test_a_box_without_a_mask_is_dashed():
    full, dashed = (
        draw_labels(labelled({}, has_mask=known), side=SIDE) for known in (True, False)
    )
    assert (full[20, 30:170] != 128).any(-1).all()
    assert not (dashed[20, 30:170] != 128).any(-1).all()


def test_every_kind_of_pixel_looks_different():
    looks = []
    for code in (NOBODY, 1, 2, SEVERAL, UNKNOWN_MASK, IGNORE):
        canvas = np.full((40, 40, 3), 128, np.uint8)
        add_people_map(canvas, np.full((40, 40), code, np.uint8))
        looks.append(canvas)
    for index, look in enumerate(looks):
        for other in looks[:index]:
            assert np.abs(look.astype(int) - other).mean() > 5
    assert (looks[0] == 128).all()


def test_a_person_is_tinted_where_its_pixels_are():
    people = np.zeros((SIDE, SIDE), np.uint8)
    people[100:140, 60:90] = 1
    drawn = draw_labels(labelled({}, people=people), side=2 * SIDE)
    tinted = 128 * 0.6 + np.array(person_color(0)) * 0.4
    np.testing.assert_allclose(drawn[240, 150], tinted, atol=1.5)
    assert (drawn[240, 110] == 128).all()


@pytest.mark.parametrize("rows", [0, 3])
def test_a_picture_of_nobody_stays_as_it_is(rows):
    picture = Labelled(
        image=np.full((30, 50, 3), 128, np.uint8),
        people=np.zeros((30, 50), np.uint8),
        keypoints=np.zeros((rows, 17, 2), np.float32),
        visibility=np.zeros((rows, 17), np.uint8),
        box=np.zeros((rows, 4), np.float32),
        has_mask=np.zeros(rows, bool),
    )
    drawn = draw_labels(picture, side=100)
    assert drawn.shape == (60, 100, 3)
    assert (drawn == 128).all()


def test_the_legend_names_all_that_is_drawn():
    words = " ".join(meaning for _, meaning in legend_entries())
    for word in ("several", "unknown", "ignored", "left", "right", "hidden", "box"):
        assert word in words
