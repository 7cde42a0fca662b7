"""People -> targets -> decoder -> the same people: what all the rest stands on."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from poseseg_jax import geometry, targets
from poseseg_jax.coco import annotations, results, scoring
from poseseg_jax.coco.picture import people_map
from poseseg_jax.data import augment
from poseseg_jax.data.decoding import Sample
from poseseg_jax.decode.decode import decode
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import NUM_KEYPOINTS, SKELETONS
from tests.hand_made import SETTINGS, iou, perfect_maps, picture, represent, silhouette

SIDE, ROWS = 129, 5
PEOPLE = {
    "one": [(20, 10, 90, 120)],
    "two apart": [(6, 8, 58, 120), (70, 30, 122, 110)],
    "two that overlap a little": [(10, 8, 66, 120), (62, 20, 116, 116)],
    "one before the other": [(10, 4, 76, 124), (64, 40, 108, 104)],
    "cut by every border": [(0, 0, 50, 70), (70, 0, 128, 60), (60, 66, 128, 128)],
    "five": [
        (2, 2, 40, 60), (46, 2, 84, 60), (88, 4, 126, 62), (10, 66, 56, 126),
        (66, 66, 114, 126),
    ],
}  # fmt: skip
NO_JOINT = np.zeros(NUM_KEYPOINTS, bool)


@partial(jax.jit, static_argnames="representation")
def read(maps, representation):
    return decode(maps, representation=representation, settings=SETTINGS)


def there_and_back(batch, representation):
    found = read(perfect_maps(batch, representation), representation)
    return jax.tree.map(np.asarray, found)


def full_mask(mask):
    """The pixels of a mask of person stride 2."""
    to_cell = geometry.resize_affine(1.0)
    to_cell[:, :2] /= 2
    return results.resample_mask(mask, to_cell=to_cell, size=(SIDE, SIDE))


@pytest.mark.parametrize("boxes", PEOPLE.values(), ids=PEOPLE.keys())
@pytest.mark.parametrize("skeleton", SKELETONS)
def test_people_come_back_as_they_were(skeleton, boxes):
    batch = picture(boxes, side=SIDE, rows=ROWS)
    found = there_and_back(batch, represent(skeleton))
    assert np.sum(found.poses.score > 0) == len(boxes)
    for row, box in enumerate(boxes):
        miss = np.linalg.norm(found.poses.keypoints - batch.keypoints[row], axis=-1)
        slot = miss.max(axis=1).argmin()
        assert miss[slot].max() < 1
        assert found.poses.confidence[slot].min() > 0.5
        asked = (batch.people == row + 1) | ~silhouette(box, SIDE)
        assert iou(full_mask(found.masks[slot]) & asked, batch.people == row + 1) > 0.9


@pytest.mark.parametrize("skeleton", ["center", "both"])
def test_people_without_keypoints_come_back_through_their_centre(skeleton):
    boxes = PEOPLE["five"]
    labelled = [NO_JOINT if row % 2 else ~NO_JOINT for row in range(len(boxes))]
    batch = picture(boxes, side=SIDE, rows=ROWS, labelled=labelled)
    found = there_and_back(batch, represent(skeleton))
    assert np.sum(found.poses.score > 0) == len(boxes)
    for row in range(len(boxes)):
        ious = [iou(full_mask(mask), batch.people == row + 1) for mask in found.masks]
        assert max(ious) > 0.9
        shown = found.poses.confidence[np.argmax(ious)] > 0
        np.testing.assert_array_equal(shown, labelled[row])


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_some_missing_joints_do_not_lose_the_others(skeleton):
    """Leaves of the tree: beyond a missing inner joint, a tree is lost."""
    labelled = ~NO_JOINT
    labelled[[3, 4, 9, 15]] = False
    batch = picture(PEOPLE["one"], side=SIDE, rows=ROWS, labelled=[labelled])
    poses = there_and_back(batch, represent(skeleton)).poses
    miss = np.linalg.norm(poses.keypoints[0] - batch.keypoints[0], axis=-1)
    assert miss[labelled].max() < 1
    assert np.sum(poses.score > 0) == 1


def test_small_people_keep_their_outline():
    """The cells of an outline belong to its person, also where its centre is not."""
    boxes = [(10, 10, 30, 44), (32, 10, 52, 44), (54, 12, 74, 46)]
    batch = picture(boxes, side=SIDE, rows=ROWS, labelled=[NO_JOINT] * 3)
    found = there_and_back(batch, represent(radius=32.0))
    for row in range(3):
        ious = [iou(full_mask(mask), batch.people == row + 1) for mask in found.masks]
        assert max(ious) > 0.94


def sample_of(labels) -> Sample:
    """A picture of an annotation file as the loader has it, without its pixels."""
    people = labels.people
    return Sample(
        image=np.zeros((labels.height, labels.width, 3), np.uint8),
        to_image=np.eye(2, 3),
        people=people_map(labels),
        keypoints=np.stack([person.keypoints for person in people]),
        visibility=np.stack([person.visibility for person in people]),
        box=np.stack([person.box for person in people]),
        area=np.array([person.area for person in people]),
        has_mask=np.array([person.segmentation is not None for person in people]),
        image_id=labels.image_id,
    )


def test_real_people_come_back_as_they_were(shared_data):
    truth = shared_data / "coco_persons_mini/annotations/person_keypoints_val2017.json"
    if not truth.is_file():
        pytest.skip(f"real pictures are not there: {truth}")
    pictures = [one for one in annotations.load(truth).pictures if one.head_count > 1]
    pictures = pictures[:: len(pictures) // 10][:10]
    side, rows = 257, max(len(one.people) for one in pictures)
    representation = Representation(SKELETONS["center"], 32.0, 4, 2, 0.1)
    settings = dataclasses.replace(
        SETTINGS,
        peaks_per_anchor=30,
        max_people=30,
        suppression_radius=10.0,
        center_radius=10.0,
    )

    @jax.jit
    def answer(batch):
        batched = jax.tree.map(lambda leaf: leaf[None], batch)
        made = targets.make(batched, representation=representation)
        maps = jax.tree.map(lambda leaf: leaf[0], made.maps)
        return decode(maps, representation=representation, settings=settings)

    found = results.Results([], [])
    for labels in pictures:
        size = labels.height, labels.width
        to_input = geometry.letterbox_affine(*size, side)
        batch = augment.render(sample_of(labels), to_input, side=side, max_people=rows)
        one = results.from_instances(
            jax.tree.map(np.asarray, answer(batch)),
            to_input=to_input,
            size=size,
            image_id=labels.image_id,
            person_stride=representation.person_stride,
        )
        found.keypoints.extend(one.keypoints)
        found.segm.extend(one.segm)
    ids = [labels.image_id for labels in pictures]
    keypoints = scoring.score(found.keypoints, truth, "keypoints", ids)
    segm = scoring.score(found.segm, truth, "segm", ids)
    assert keypoints["keypoints/AP"] > 0.95
    assert segm["segm/AP"] > 0.55
    assert segm["segm/AP_L"] > 0.9
