"""All people at once come to where each picture's come alone."""

import jax
import numpy as np
import pytest

from poseseg_jax import losses, targets
from poseseg_jax.data.form import Form
from poseseg_jax.data.labels import withhold, write_labels
from poseseg_jax.decode.decode import decode
from poseseg_jax.skeleton import CENTER, NUM_KEYPOINTS
from poseseg_jax.structs import IGNORE, SEVERAL
from tests.hand_made import SETTINGS, iou, picture, represent

SIDE = 49


def make_record(rng, people):
    corners = np.sort(rng.uniform(-5, 60, (people, 2, 2)), axis=1)
    return {
        "size": np.array([48, 64], np.int32),
        "image_id": rng.integers(1, 1000),
        "keypoints": rng.uniform(0, 64, (people, 17, 2)).astype(np.float32),
        "visibility": rng.choice([0, 0, 0, 1, 2], (people, 17)).astype(np.uint8)
        * rng.integers(0, 2, (people, 1), dtype=np.uint8),
        "box": corners.reshape(people, 4).astype(np.float32),
        "area": rng.uniform(1, 500, people).astype(np.float32),
        "has_mask": rng.integers(0, 2, people).astype(bool),
    }


def make_views(rng, count):
    angle = rng.uniform(-0.5, 0.5, count)
    cos, sin = 0.8 * np.cos(angle), 0.8 * np.sin(angle)
    mirror = rng.choice([-1, 1], count)
    shift = rng.uniform(-30, 30, (2, count)) + 24 * (1 - mirror)
    rows = [[mirror * cos, -sin, shift[0]], [mirror * sin, cos, shift[1]]]
    return np.moveaxis(np.array(rows), -1, 0)


@pytest.mark.parametrize("counts", [[0], [0, 0], [5, 0, 1, 9], [3, 3]])
@pytest.mark.parametrize("max_people", [1, 4, 9])
def test_a_batch_is_its_pictures_one_by_one(counts, max_people):
    rng = np.random.default_rng(len(counts))
    records = [make_record(rng, count) for count in counts]
    views = make_views(rng, len(counts))
    codes = [*range(max(counts) + 1), SEVERAL]
    people = rng.choice(codes, (len(counts), SIDE, SIDE)).astype(np.uint8)
    batch = Form(len(counts), SIDE, max_people).new()
    batch.image[:] = 0
    batch.people[:] = people
    write_labels(batch, records, views)
    for index, record in enumerate(records):
        alone = Form(1, SIDE, max_people).new()
        alone.image[:] = 0
        alone.people[:] = people[index]
        write_labels(alone, [record], views[index : index + 1])
        jax.tree.map(
            lambda one, many, index=index: np.testing.assert_array_equal(
                one[0], many[index]
            ),
            alone,
            batch,
        )


BOXES = [(4, 6, 44, 90), (50, 10, 94, 92)]


def kept_of(batch, labels):
    """A copy of the batch with these labels alone, and its targets."""
    batch = jax.tree.map(lambda leaf: np.array(leaf)[None], batch)
    withhold(batch, labels=labels)
    made = targets.make(batch, representation=represent(radius=6.0))
    return batch, jax.tree.map(lambda leaf: np.asarray(leaf)[0], made)


def found_in(made):
    found = decode(made.maps, representation=represent(radius=6.0), settings=SETTINGS)
    return jax.tree.map(np.asarray, found)


def test_with_masks_alone_no_keypoint_is_asked_for_and_people_still_have_masks():
    batch = picture(BOXES)
    _, both = kept_of(batch, "both")
    _, masks = kept_of(batch, "masks")
    assert not masks.maps.heatmap[..., :NUM_KEYPOINTS].any()
    for weight in (masks.near, masks.owned):
        assert not weight[..., :NUM_KEYPOINTS].any()
    assert not masks.edge.any()
    # Off people there is known to be no joint; on them, there might be one.
    for asked in (masks.asked[..., 0], masks.asked_body):
        on_people = batch.people[::4, ::4] > 0
        np.testing.assert_array_equal(asked, ~on_people)
    for name in ("person", "long"):
        of_center = (..., CENTER, slice(None)) if name == "long" else ...
        one, other = (getattr(made.maps, name)[of_center] for made in (both, masks))
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(both.asked_person, masks.asked_person)
    np.testing.assert_array_equal(both.owned[..., CENTER], masks.owned[..., CENTER])
    found = found_in(masks)
    assert np.sum(found.poses.score > 0) == len(BOXES)
    assert not found.poses.confidence.any()
    for row in range(len(BOXES)):
        people = batch.people[::2, ::2] == row + 1
        assert max(iou(mask >= 0.5, people) for mask in found.masks) > 0.9


def test_with_keypoints_alone_no_mask_is_asked_for_and_keypoints_as_before():
    batch = picture(BOXES)
    _, both = kept_of(batch, "both")
    _, keypoints = kept_of(batch, "keypoints")
    assert not keypoints.asked_person.any()
    assert not keypoints.owned.any()
    for name in ("near", "edge", "asked", "asked_body"):
        np.testing.assert_array_equal(getattr(both, name), getattr(keypoints, name))
    for name in ("heatmap", "short", "mid", "body"):
        one, other = (getattr(made.maps, name) for made in (both, keypoints))
        np.testing.assert_array_equal(one, other)
    counts = losses.counts(keypoints)
    assert counts["person"] == counts["long"] == 0
    assert min(counts[name] for name in ("heatmap", "short", "mid", "body")) > 0


def test_who_has_no_keypoints_silences_the_box_where_no_mask_is_known():
    labelled = [np.ones(NUM_KEYPOINTS, bool), np.zeros(NUM_KEYPOINTS, bool)]
    _, made = kept_of(picture(BOXES, labelled=labelled), "keypoints")
    x0, y0, x1, y1 = (-(-edge // 4) for edge in BOXES[1])
    assert not made.asked[y0:y1, x0:x1, 0].any()
    assert made.asked[..., CENTER].all()
    assert made.asked[:, : x0 - 1, 0].all()


def test_what_is_ignored_stays_ignored_and_both_is_the_batch_itself():
    batch = picture(BOXES)
    batch.people[:10] = IGNORE
    for labels in ("keypoints", "masks"):
        kept, _ = kept_of(batch, labels)
        np.testing.assert_array_equal(kept.people[0] == IGNORE, batch.people == IGNORE)
        np.testing.assert_array_equal(kept.box[0], batch.box)
        np.testing.assert_array_equal(kept.area[0], batch.area)
    kept, _ = kept_of(batch, "both")
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b), kept, batch)
