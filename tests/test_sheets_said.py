"""What a network says is drawn where it says it."""

import numpy as np
import pytest

from poseseg_jax.representation import Representation
from poseseg_jax.sheets import compose, said
from poseseg_jax.sheets.maps import Sample
from poseseg_jax.sheets.said import said_sheet
from poseseg_jax.skeleton import SKELETONS
from poseseg_jax.structs import Instances, Maps, Poses

SIDE, SKELETON = 33, SKELETONS["center"]
REPRESENTATION = Representation(SKELETON, 6.0, 4, 2, 0.1)


def maps(heat=0.0, person=0.0):
    cells, fine = SIDE // 4 + 1, SIDE // 2 + 1
    offsets = np.zeros((cells, cells, 18, 2), np.float32)
    return Maps(
        heatmap=np.full((cells, cells, 18), heat, np.float32),
        short=offsets,
        mid=np.zeros((cells, cells, SKELETON.num_edges, 2), np.float32),
        long=offsets,
        person=np.full((fine, fine), person, np.float32),
        body=np.zeros((cells, cells), np.float32),
    )


def instances(*scores):
    count, fine = len(scores), SIDE // 2 + 1
    masks = np.zeros((count, fine, fine), np.float32)
    for slot in range(count):
        masks[slot, 2 * slot : 2 * slot + 2, 3:5] = 0.9
    poses = Poses(
        np.full((count, 17, 2), 8.0, np.float32),
        np.full((count, 17), 0.8, np.float32),
        np.array(scores, np.float32),
    )
    return Instances(poses, masks)


@pytest.mark.parametrize("heat", [0.0, 0.9])
@pytest.mark.parametrize("scores", [(), (0.0,), (0.9, 0.5, 0.0)])
def test_any_answer_has_its_sheet(heat, scores):
    sheet = said_sheet(
        np.zeros((SIDE, SIDE, 3), np.uint8),
        maps(heat, heat),
        instances(*scores),
        representation=REPRESENTATION,
        title="a",
    )
    assert sheet.dtype == np.uint8
    assert min(sheet.shape[:2]) > 500


def test_people_are_where_their_masks_are():
    found = said._found(
        np.zeros((SIDE, SIDE, 3), np.uint8), instances(0.9, 0.5, 0.0), 2
    )
    assert found.box.shape == (2, 4)
    # A cell sits on every second pixel, and has those around it.
    np.testing.assert_array_equal(np.unique(found.people), [0, 1, 2])
    y, x = np.nonzero(found.people == 2)
    assert (x.mean(), y.mean()) == pytest.approx((7, 5), abs=0.6)


def test_boxes_are_outer_edges_as_those_of_labels_are():
    image, found = np.zeros((SIDE, SIDE, 3), np.uint8), instances(0.9)
    found.masks[:] = 0
    found.masks[0, 4:6, 3:5] = 0.9
    batch = said._found(image, found, 2)
    y, x = np.nonzero(batch.people)
    edges = [x.min() - 0.5, y.min() - 0.5, x.max() + 0.5, y.max() + 0.5]
    assert batch.box[0].tolist() == edges


@pytest.mark.parametrize(
    ("strength", "box"),
    [
        (0.9, [4.5, 6.5, 8.5, 10.5]),  # its own, though another's cells lie above
        (0.4, [9.5, 9.5, 12.5, 14.5]),  # of the joints, sure or not
    ],
)
def test_everybody_who_was_found_is_there_also_who_wins_no_cell(strength, box):
    found = instances(0.9, 0.5)
    found.masks[:] = 0
    found.masks[:, 4:6, 3:5] = np.array([0.95, strength])[:, None, None]
    found.poses.keypoints[1, :2] = [[10, 10], [12, 14]]
    found.poses.confidence[1] = [0.9, 0.05, *np.zeros(15)]
    batch = said._found(np.zeros((SIDE, SIDE, 3), np.uint8), found, 2)
    sample = Sample(batch, said._believed(maps(), REPRESENTATION), REPRESENTATION)
    assert compose.of_sample(sample).rows == [0, 1]
    assert batch.box[1].tolist() == box


def test_what_is_believed_counts():
    targets = said._believed(maps(0.9, 0.2), REPRESENTATION)
    assert targets.near.all()
    assert targets.edge.shape[-1] == SKELETON.num_edges
    assert not targets.owned.any()
    assert targets.asked.all()
