"""People leave in pixels of their picture, in a form that COCO's tools take."""

import numpy as np
import pytest

from poseseg_jax.coco.segmentation import to_mask
from poseseg_jax.geometry import letterbox_affine
from poseseg_jax.people import Person, box_of, people_of
from poseseg_jax.structs import Instances, Poses

NOTHING = np.zeros((6, 8), bool)


def square(x0, y0, x1, y1):
    mask = NOTHING.copy()
    mask[y0:y1, x0:x1] = True
    return mask


def somebody(mask=None, score=0.123456789):
    points = np.arange(34, dtype=np.float64).reshape(17, 2) / 7
    mask = square(2, 1, 5, 4) if mask is None else mask
    return Person(
        points, np.linspace(0, 1, 17), score, mask, box_of(mask, points, np.ones(17))
    )


def test_an_entry_says_what_the_person_is():
    person = somebody()
    entry = person.to_coco(42)
    assert (entry["image_id"], entry["category_id"]) == (42, 1)
    assert entry["score"] == pytest.approx(person.score, abs=1e-6)
    triples = np.reshape(entry["keypoints"], (17, 3))
    np.testing.assert_allclose(triples[:, :2], person.keypoints, atol=1e-3)
    np.testing.assert_allclose(triples[:, 2], person.confidence, atol=1e-3)
    assert entry["bbox"] == [2, 1, 3, 3]
    drawn = to_mask(entry["segmentation"], height=6, width=8)
    np.testing.assert_array_equal(drawn, person.mask)


def test_a_box_holds_the_mask_and_nothing_else():
    mask = square(3, 1, 8, 2) | square(4, 4, 5, 5)
    x0, y0, x1, y1 = box_of(mask, np.zeros((17, 2)), np.ones(17)).astype(int)
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert mask[y0, x0:x1].any()
    assert mask[y1 - 1, x0:x1].any()
    assert mask[y0:y1, x0].any()
    assert mask[y0:y1, x1 - 1].any()


@pytest.mark.parametrize(
    ("confidence", "box"),
    [
        ([1, 0, 1], [2, 1, 5, 5]),
        ([0, 0, 0], [2, 0, 8, 5]),
        ([0, 0, 1], [4, 4, 5, 5]),
    ],
)
def test_who_has_no_mask_has_the_box_of_the_keypoints(confidence, box):
    points = np.array([[2.4, 1.4], [90.0, -7.0], [3.6, 3.9]])
    assert box_of(NOTHING, points, np.array(confidence, float)).tolist() == box


def test_people_come_back_to_the_picture():
    """A pixel that is lit in the input's cells is lit where it is in the picture."""
    size, side, stride = (6, 8), 17, 2
    to_input = letterbox_affine(*size, side)
    masks = np.zeros((3, 7, 9), np.float32)
    masks[:2, :, :4] = 1
    points = np.full((3, 17, 2), 8.0, np.float32)
    score = np.array([0.9, 0.4, 0.0], np.float32)
    found = Instances(Poses(points, np.ones((3, 17), np.float32), score), masks)
    told = {"to_input": to_input, "size": size, "person_stride": stride, "name": "a"}
    people = list(people_of(found, **told))
    assert [person.score for person in people] == pytest.approx([0.9, 0.4])
    scale = side / 8
    np.testing.assert_allclose(people[0].keypoints, (8.5 / scale) - 0.5)
    assert people[0].mask.shape == size
    np.testing.assert_array_equal(people[0].mask.any(0), np.arange(8) < 4)
    assert len(list(people_of(found, **told, min_score=0.5))) == 1
    score[1] = np.nan
    with pytest.raises(ValueError, match="a: somebody has the score nan"):
        list(people_of(found, **told))
