"""Mistakes in labels that train without a complaint are found, and only those."""

import json

import numpy as np
import pytest

from poseseg_jax.data.plausibility import check
from poseseg_jax.data.statistics import Labels
from poseseg_jax.skeleton import FLIP
from tests.coco_files import real_data
from tests.hand_made import FIGURE

SWAP = FLIP[:17]


def crowd(count=40, *, facing=1.0, seed=0):
    """People of some size, most of whom face the camera, each in its own picture."""
    rng = np.random.default_rng(seed)
    turned = np.arange(count) >= facing * count
    figures = np.tile(FIGURE, (count, 1, 1))
    figures[turned, :, 0] = 1 - figures[turned, :, 0]  # seen from behind
    figures += rng.normal(scale=0.002, size=figures.shape)
    size = rng.uniform(30, 200, size=(count, 1, 1))
    place = rng.uniform(0, 200, size=(count, 1, 2))
    visibility = np.full((count, 17), 2, np.uint8)
    visibility[turned, :3] = 0
    keypoints = (figures * size + place).astype(np.float32)
    first, last = keypoints.min(1) - 2, keypoints.max(1) + 2
    box = np.concatenate([first, last], axis=1)
    return labels(keypoints, visibility, box)


def labels(keypoints, visibility, box, area=None):
    count = len(keypoints)
    sides = box[:, 2:] - box[:, :2]
    return Labels(
        image_id=np.arange(count),
        size=np.full((count, 2), 640),
        pixels=np.ones((count, 5), int),
        picture=np.arange(count),
        keypoints=keypoints,
        visibility=visibility,
        box=box,
        area=sides.prod(-1) * 0.5 if area is None else area,
        has_mask=np.ones(count, bool),
        on_mask=np.where(visibility > 0, 1, -1),
    )


def changed(people, keypoints=None, visibility=None, box=None, area=None):
    return labels(
        people.keypoints if keypoints is None else keypoints,
        people.visibility if visibility is None else visibility,
        people.box if box is None else box,
        people.area if area is None else area,
    )


def swapped(people, joints=SWAP):
    return changed(people, people.keypoints[:, joints], people.visibility[:, joints])


def test_people_as_they_are_raise_no_warning():
    found = check(crowd(facing=0.7))
    assert found["warnings"] == []
    eyes = found["left_right"]["eyes"]["facing"]
    assert (eyes["of"], eyes["share"]) == (28, 1.0)
    assert eyes["coco"] + eyes["swapped"] == pytest.approx(1)


def test_swapped_sides_are_found_in_every_pair():
    found = check(swapped(crowd()))
    verdicts = {
        part: rows["facing"]["verdict"] for part, rows in found["left_right"].items()
    }
    assert set(verdicts.values()) == {"swapped"}
    (warning,) = found["warnings"]
    assert "look swapped" in warning
    assert "eyes 0.0% of 40" in warning
    assert "ankles" in warning


def test_mirrored_pictures_look_swapped():
    people = crowd()
    keypoints = people.keypoints * (-1, 1) + (499, 0)
    box = 499 * np.array([1, 0, 1, 0]) + people.box[:, [2, 1, 0, 3]] * (-1, 1, -1, 1)
    found = check(changed(people, keypoints.astype(np.float32), box=box))
    assert "look swapped" in found["warnings"][0]


def test_swapped_legs_alone_are_named():
    joints = SWAP.copy()
    joints[:11] = np.arange(11)
    (warning,) = check(swapped(crowd(), joints))["warnings"]
    assert "hips 0.0%" in warning
    assert "eyes 0" not in warning
    assert "elbows" not in warning


def test_a_file_swapped_in_part_looks_mixed():
    people, wrong = crowd(200), swapped(crowd(200))
    half = np.arange(200)[:, None] % 5 < 2
    mixed = changed(
        people, np.where(half[..., None], wrong.keypoints, people.keypoints)
    )
    (warning,) = check(mixed)["warnings"]
    assert "look mixed" in warning


def test_where_no_eyes_are_labelled_shoulders_of_everybody_tell():
    people = crowd(60, facing=0.75)
    people.visibility[:, :5] = 0
    assert check(people)["warnings"] == []
    (warning,) = check(swapped(people))["warnings"]
    assert "turn their backs" in warning


@pytest.mark.parametrize("count", [0, 1, 9])
def test_of_a_few_people_nothing_is_said(count):
    assert check(swapped(crowd(count)))["warnings"] == []


def test_another_order_of_keypoints_is_found():
    people = crowd()
    backwards = changed(people, people.keypoints[:, ::-1])
    assert any("COCO's order" in warning for warning in check(backwards)["warnings"])


PLACES = {
    "boxes in corners": ({"box": lambda p: p.box * (1, 1, 0.5, 0.5)}, "person's box"),
    "boxes beyond the picture": ({"box": lambda p: p.box * (1, 1, 9, 9)}, "inside"),
    "relative boxes": ({"box": lambda p: p.box / 500}, "person's box"),
    "area 0": ({"area": lambda p: np.ones(len(p.area))}, "areas"),
    "keypoints elsewhere": ({"keypoints": lambda p: p.keypoints + 400}, "box"),
}


@pytest.mark.parametrize("case", PLACES)
def test_labels_in_the_wrong_place_are_found(case):
    changes, word = PLACES[case]
    people = crowd()
    new = {name: np.float32(change(people)) for name, change in changes.items()}
    (warning,) = check(changed(people, **new))["warnings"]
    assert "in pixels" in warning
    assert word in warning


def test_findings_are_plain():
    found = check(crowd(12))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    "file",
    [
        "coco_persons_mini/annotations/person_keypoints_val2017.json",
        "coco_original_sample/annotations/person_keypoints_val2017.json",
    ],
)
def test_real_labels_are_as_in_coco_and_swapped_ones_are_not(file):
    content = json.loads(real_data(file).read_text())
    people = [a for a in content["annotations"] if not a.get("iscrowd")]
    triples = np.array([a["keypoints"] for a in people], float).reshape(-1, 17, 3)
    box = np.array([a["bbox"] for a in people], np.float32)
    box = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1) - np.float32(0.5)
    area = np.array([a["area"] for a in people], np.float32)
    keypoints, visibility = triples[..., :2].astype(np.float32), triples[..., 2]
    real = labels(keypoints, visibility.astype(np.uint8), box, area)
    assert check(real)["warnings"] == []
    (warning,) = check(swapped(real))["warnings"]
    assert "look swapped" in warning
