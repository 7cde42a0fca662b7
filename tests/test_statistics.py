"""Numbers of a data set, against those counted by hand."""

import json

import numpy as np
import pytest

from poseseg_jax.coco.annotations import parse, people_map
from poseseg_jax.data import statistics
from poseseg_jax.data.bias import COCO_HEAD_COUNTS
from poseseg_jax.data.plausibility import check
from poseseg_jax.data.report import as_markdown
from poseseg_jax.data.run_lengths import encode_runs
from poseseg_jax.data.statistics import PIXEL_KINDS, collect
from poseseg_jax.data.synthetic import HEAD_COUNTS
from poseseg_jax.skeleton import KEYPOINT_NAMES
from tests.coco_files import document, image, person


def records(images, annotations):
    """As the builder makes them, without pictures."""
    labels = parse(document(images, annotations), source="by hand")
    for picture in labels.pictures:
        people = picture.people
        yield {
            "image": b"",  # never looked at
            "people": encode_runs(people_map(picture)),
            "image_id": picture.image_id,
            "file_name": picture.file_name.encode(),
            "size": np.array([picture.height, picture.width], np.int32),
            "keypoints": np.array([p.keypoints for p in people], np.float32).reshape(
                -1, 17, 2
            ),
            "visibility": np.array([p.visibility for p in people], np.uint8).reshape(
                -1, 17
            ),
            "box": np.array([p.box for p in people], np.float32).reshape(-1, 4),
            "area": np.array([p.area for p in people], np.float32),
            "has_mask": np.array([p.segmentation is not None for p in people], bool),
        }


def summarize(images, annotations, **changes):
    settings = {"max_people": 2, "image_size": 128, **changes}
    return statistics.summarize(collect(records(images, annotations)), **settings)


SMALL, LARGE = (5, 5, 10, 20), (2, 2, 40, 40)
IMAGES = [image(1), image(2), image(3), image(4)]
PEOPLE = [
    person(1, 1, box=SMALL),
    person(2, 2, box=SMALL),
    person(3, 2, box=LARGE, labelled=3),
    person(4, 2, box=(50, 30, 8, 8), labelled=0),
    person(5, 3, box=LARGE, segmentation=[]),
]
CROWD = person(6, 3, box=(48, 0, 16, 48), iscrowd=1)


@pytest.fixture(scope="module")
def numbers():
    return summarize(IMAGES, [*PEOPLE, CROWD])


def test_people_are_counted(numbers):
    assert (numbers["pictures"], numbers["people"]) == (4, 5)
    assert numbers["people_with_keypoints"] == 4
    assert numbers["people_with_unknown_mask"] == 1
    per_picture = numbers["people_per_picture"]
    assert (per_picture["mean"], per_picture["most"]) == (5 / 4, 3)
    assert per_picture["without"] == 1


def test_heads_are_people_with_a_labelled_keypoint(numbers):
    rows = {row["people"]: row for row in numbers["head_counts"]}
    assert {n: rows[n]["pictures"] for n in (0, 1, 2, 3)} == {0: 1, 1: 2, 2: 1, 3: 0}
    assert rows[1]["share"] == pytest.approx(2 / 3)
    assert rows[1]["coco_train2017"] == pytest.approx(0.478)
    assert rows[0]["share"] is None
    assert list(rows) == list(range(14))


def test_more_heads_than_coco_ever_has_get_a_row():
    rows = statistics.head_counts(np.array([1, 20]))
    assert rows[-1] == {
        "people": 20,
        "pictures": 1,
        "share": 0.5,
        "coco_train2017": None,
    }


def test_the_shares_of_coco_are_those_that_are_drawn():
    assert COCO_HEAD_COUNTS == HEAD_COUNTS


def test_people_beyond_the_number_that_training_keeps_are_counted(numbers):
    assert numbers["beyond_max_people"] == {
        "max_people": 2,
        "pictures": 1,
        "people": 1,
    }


def test_sizes_have_the_classes_of_coco(numbers):
    size = numbers["person_size"]
    assert (size["small"], size["medium"], size["large"]) == (3 / 5, 2 / 5, 0)
    assert size["quantiles"]["50"] == pytest.approx(np.sqrt(10 * 20))
    # An input of 128 px shows pictures of 64 px at twice their size.
    ratio = size["quantiles_at_input"]["50"] / size["quantiles"]["50"]
    assert ratio == pytest.approx(2)


def test_visibility_is_shared_out_among_people_with_keypoints(numbers):
    nose, ankle = (numbers["visibility"][KEYPOINT_NAMES[index]] for index in (0, -1))
    assert nose == {"unlabelled": 0, "hidden": 0, "visible": 1}
    assert ankle == {"unlabelled": 1 / 4, "hidden": 0, "visible": 3 / 4}


def test_every_pixel_is_of_one_kind(numbers):
    pixels = numbers["pixels"]
    assert tuple(pixels) == PIXEL_KINDS
    assert sum(row["share"] for row in pixels.values()) == pytest.approx(1)
    area = 4 * 48 * 64
    assert pixels["several people"]["share"] == pytest.approx(10 * 20 / area)
    assert pixels["ignored"]["share"] == pytest.approx(16 * 48 / area)
    assert pixels["unknown mask"] == {
        "share": pytest.approx(40 * 40 / area),
        "pictures": 1,
    }


def test_keypoints_are_looked_up_on_their_own_mask():
    outside = person(1, 1, box=SMALL)
    outside["keypoints"][:3] = [60, 40, 2]
    covered = person(2, 1, box=SMALL)
    far_out = person(3, 1, box=LARGE)
    far_out["keypoints"][:3] = [-9, 57, 2]
    labels = collect(records([image(1)], [outside, covered, far_out]))
    by_id = labels.on_mask[np.argsort(labels.area, kind="stable")]
    assert by_id[:2].tolist() == [[0] + [1] * 16, [1] * 17]
    assert by_id[2, 0] == 0
    unknown = person(1, 1, box=SMALL, segmentation=[])
    assert (collect(records([image(1)], [unknown])).on_mask == -1).all()


def test_rows_keep_the_order_of_the_records():
    many = [image(number) for number in range(1, 600)]
    people = [person(number, number) for number in range(1, 600, 2)]
    labels = collect(records(many, people))
    assert labels.image_id.tolist() == list(range(1, 600))
    assert labels.image_id[labels.picture].tolist() == list(range(1, 600, 2))


@pytest.mark.parametrize("images", [[], [image(1), image(2)]])
def test_nobody_and_nothing_are_no_error(images):
    labels = collect(records(images, []) if images else [])
    found = statistics.summarize(labels, max_people=3, image_size=97)
    assert found["people"] == 0
    assert found["person_size"]["small"] is None
    json.dumps(found, allow_nan=False)
    assert "| people | 0 |" in as_markdown(found, check(labels), "nothing")


def test_a_broken_people_map_is_named():
    (record,) = records([image(7)], [])
    with pytest.raises(ValueError, match=r"000000000007.*id 7.*people map"):
        collect([{**record, "people": b"no map"}])


def test_the_text_has_the_numbers_and_what_was_left_out():
    left_out = [{"split": "train", "image_id": 9, "reason": "cut | off\nhere"}]
    labels = collect(records(IMAGES, PEOPLE))
    found = statistics.summarize(labels, max_people=2, image_size=97, left_out=left_out)
    text = as_markdown(found, check(labels), "mine")
    assert text.startswith("# mine\n")
    for line in (
        "| pictures | 4 |",
        "| people beyond data.max_people (2) | 1 in 1 pictures |",
        "| 1 | 2 | 66.7 % | 47.8 % |",
        "| 9 | cut \\| off here |",
    ):
        assert line in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


def test_numbers_are_plain(numbers):
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
