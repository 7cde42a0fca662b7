"""The decoder's steps are drawn where they are."""

import numpy as np
import pytest

from poseseg_jax.sheets import steps
from poseseg_jax.skeleton import CENTER, KEYPOINT_NAMES, NUM_ANCHORS, NUM_KEYPOINTS
from tests.test_sheets_maps import BOXES, make_sample

SIDE = 388
COLOR = (250, 10, 20)
WRIST = KEYPOINT_NAMES.index("left_wrist")


@pytest.fixture
def sample():
    return make_sample(BOXES)


def drawn(panel, sample):
    return (panel != sample.backdrop(sample.frame(SIDE))).any(-1)


def pixel(sample, point):
    x, y = sample.frame(SIDE).place(np.asarray(point, float)).round().astype(int)
    return y, x


def test_a_candidate_is_marked_where_it_is_and_nowhere_else(sample):
    place = np.array([[30.3, 41.6]])
    panel = steps.candidates_panel(
        sample, [WRIST], place, np.ones(1), side=SIDE, colors=[COLOR]
    )
    lit = drawn(panel, sample)
    assert tuple(panel[pixel(sample, place[0])]) == COLOR
    rows, columns = np.nonzero(lit)
    y, x = pixel(sample, place[0])
    assert np.hypot(rows - y, columns - x).max() < 10


def test_the_surer_of_two_candidates_has_the_larger_mark(sample):
    places = np.array([[20.0, 20.0], [70.0, 70.0]])
    panel = steps.candidates_panel(
        sample, [WRIST, WRIST], places, np.array([1.0, 0.1]), side=SIDE
    )
    lit = drawn(panel, sample)
    assert lit[:194].sum() > 2 * lit[194:].sum() > 0


def test_cells_have_the_strength_of_the_strongest(sample):
    values = np.zeros((25, 25, NUM_ANCHORS), np.float32)
    values[10, 5, WRIST], values[10, 5, CENTER], values[20, 20, CENTER] = 0.2, 1.0, 0.3
    panel = steps.strongest_panel(sample, values, side=SIDE).astype(int)
    both = [panel[pixel(sample, (4 * x, 4 * y))] for x, y in ((5, 10), (20, 20))]
    assert both[0].sum() > both[1].sum()
    assert both[0][0] > both[0][2]  # yellow as a centre, not blue as a left wrist
    assert drawn(panel.astype(np.uint8), sample).sum() < 3 * 17**2


def test_a_walk_reaches_every_anchor(sample):
    rng = np.random.default_rng(0)
    pose = rng.uniform(5, 90, (NUM_ANCHORS, 2))
    lit = drawn(steps.walk_panel(sample, WRIST, pose, side=SIDE), sample)
    for point in pose:
        assert lit[pixel(sample, point)]


def test_limbs_of_what_was_not_found_are_not_drawn(sample):
    pose = np.tile(np.array([10.0, 10.0]), (1, NUM_ANCHORS, 1))
    pose[0, WRIST] = 80, 80
    shown = np.ones((1, NUM_KEYPOINTS), bool)
    shown[0, WRIST] = False
    whole, part = (
        drawn(
            steps.skeletons_panel(
                sample, pose, [COLOR], side=SIDE, width=2, shown=chosen, names=["0.5"]
            ),
            sample,
        )
        for chosen in (None, shown)
    )
    middle = pixel(sample, (45, 45))
    assert whole[middle]
    assert not part[middle]
    assert part.any()


def test_shares_have_the_colours_of_their_people(sample):
    masks = np.zeros((2, 49, 49), np.float32)
    masks[0, :, :24], masks[1, :, 30:] = 1.0, 1.0
    panel = steps.shares_panel(sample, masks, [COLOR, (0, 0, 255)], side=SIDE)
    assert panel[200, 50, 0] > panel[200, 50, 2] + 100
    assert panel[200, 350, 2] > panel[200, 350, 0] + 100
    assert not drawn(panel, sample)[200, 220]
