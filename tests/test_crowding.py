import pytest

from poseseg_jax.coco.annotations import parse
from poseseg_jax.coco.crowding import buckets, largest_overlap, scores_by_bucket
from poseseg_jax.coco.scoring import match
from tests.coco_files import document, image, person, write_json


def pictures(*annotations, count=1):
    images = [image(i + 1) for i in range(count)]
    return parse(document(images, list(annotations)), source="test").pictures


@pytest.mark.parametrize(
    ("heads", "bucket"),
    [
        (1, "people_1"),
        (2, "people_2"),
        (3, "people_3-4"),
        (4, "people_3-4"),
        (5, "people_5-7"),
        (7, "people_5-7"),
        (8, "people_8+"),
        (30, "people_8+"),
    ],
)
def test_pictures_are_sorted_by_labelled_people(heads, bucket):
    labelled = [person(i, 1) for i in range(heads)]
    unlabelled = person(99, 1, labelled=0)
    found = buckets(pictures(*labelled, unlabelled))
    people = [name for name in found if name.startswith("people") and found[name]]
    assert people == [bucket]


def test_a_picture_without_people_is_in_no_bucket():
    crowd = person(1, 1, iscrowd=1)
    assert not any(buckets(pictures(crowd)).values())


@pytest.mark.parametrize(
    ("shift", "overlap", "bucket"),
    [
        (20, 0.0, "overlap_0.0-0.1"),
        (10, 1 / 3, "overlap_0.3-0.5"),
        (15, 1 / 7, "overlap_0.1-0.3"),
        (0, 1.0, "overlap_0.5-1.0"),
    ],
)
def test_pictures_are_sorted_by_their_largest_overlap(shift, overlap, bucket):
    people = (
        person(1, 1, box=(0, 0, 20, 20)),
        person(2, 1, box=(shift, 0, 20, 20)),
        person(3, 1, box=(50, 30, 10, 10)),
    )
    (picture,) = pictures(*people)
    assert largest_overlap(picture) == pytest.approx(overlap)
    found = buckets([picture])
    assert [n for n in found if n.startswith("overlap") and found[n]] == [bucket]


def test_boxes_without_area_overlap_with_nobody():
    flat = [person(i, 1, box=(3, 3, 0, 0), area=0.0, segmentation=[]) for i in (1, 2)]
    (picture,) = pictures(*flat)
    assert largest_overlap(picture) == 0.0


def test_every_bucket_has_a_score_or_none(tmp_path):
    content = document([image(1), image(2)], [person(1, 1), person(2, 2), person(3, 2)])
    path = write_json(tmp_path / "truth.json", content)
    entry = {"image_id": 1, "category_id": 1, "score": 0.9}
    entry["keypoints"] = content["annotations"][0]["keypoints"]
    scores = scores_by_bucket(match([entry], path, "keypoints"))
    assert len(scores) == 9
    assert scores["crowd/people_1/keypoints/AP"] == pytest.approx(1.0)
    assert scores["crowd/people_2/keypoints/AP"] == 0.0
    assert scores["crowd/people_8+/keypoints/AP"] is None
    assert scores["crowd/overlap_0.0-0.1/keypoints/AP"] == pytest.approx(1.0)
    assert scores["crowd/overlap_0.5-1.0/keypoints/AP"] == 0.0
