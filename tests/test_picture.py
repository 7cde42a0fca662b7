import numpy as np
import pytest

from poseseg_jax.coco.picture import parse_picture, people_map
from tests.coco_files import image, person

SMALL = image(1, height=5, width=6)


def small_person(annotation_id, box, **changes):
    return person(annotation_id, 1, box=box, **changes)


def codes(*annotations):
    return people_map(parse_picture(SMALL, list(annotations)))


def test_keypoints_stay_and_boxes_lose_half_a_pixel():
    (somebody,) = parse_picture(SMALL, [small_person(7, (2, 1, 1, 3))]).people
    np.testing.assert_array_equal(somebody.box, [1.5, 0.5, 2.5, 3.5])
    np.testing.assert_allclose(somebody.keypoints[0], (3, 2))
    assert somebody.annotation_id == 7


def test_unlabelled_keypoints_are_zero():
    annotation = small_person(1, (0, 0, 3, 3), labelled=2)
    annotation["keypoints"][6:9] = [5, 4, 0]
    (somebody,) = parse_picture(SMALL, [annotation]).people
    assert not somebody.keypoints[2:].any()
    assert somebody.visibility.tolist() == [2, 2] + [0] * 15


def test_people_come_by_decreasing_area():
    areas = ((1, 4.0), (2, 9.0), (3, 4.0))
    annotations = [small_person(i, (0, 0, 2, 2), area=area) for i, area in areas]
    people = parse_picture(SMALL, annotations).people
    assert [p.annotation_id for p in people] == [2, 1, 3]


def test_heads_are_persons_with_a_labelled_keypoint():
    one, other = (small_person(i, (0, 0, 2, 2), labelled=i) for i in (0, 1))
    crowd = small_person(9, (0, 0, 2, 2), iscrowd=1)
    assert parse_picture(SMALL, [one, other, crowd]).head_count == 1


def test_what_real_files_hold_is_accepted():
    flat = small_person(1, (1, 1, 0, 3), area=0.0, segmentation=[])
    outside = small_person(2, (-0.4, -0.2, 7, 6))
    people = parse_picture(SMALL, [flat, outside]).people
    assert [person.area for person in people] == [42, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": [1, 1, 2] * 16}, "48 numbers; expected 51"),
        ({"keypoints": [1, 1, 3] * 17}, "expected 0, 1 or 2"),
        ({"keypoints": [1, float("nan"), 2] * 17}, "finite"),
        ({"keypoints": [1, "1", 2] * 17}, "finite"),
        ({"keypoints": None}, "expected 51"),
        ({"bbox": [1, 1, 2]}, "bbox has 3 numbers"),
        ({"bbox": [1, 1, -2, 2]}, "negative side"),
        ({"bbox": [1, 1, float("inf"), 2]}, "finite"),
        ({"area": float("nan")}, "area"),
        ({"area": -1}, "area is -1"),
        ({"iscrowd": 2}, "iscrowd is 2"),
        ({"segmentation": [[1, 1, 2]]}, "polygon 0 has 3 numbers"),
        ({"segmentation": {"size": [6, 5], "counts": [30]}}, "size"),
    ],
)
def test_a_broken_annotation_is_refused_by_its_id_and_value(change, message):
    with pytest.raises(ValueError, match=f"annotation 31: .*{message}"):
        parse_picture(SMALL, [small_person(31, (0, 0, 2, 2), **change)])


@pytest.mark.parametrize("key", ["bbox", "area", "segmentation", "keypoints"])
def test_a_missing_key_is_named(key):
    annotation = small_person(31, (0, 0, 2, 2))
    del annotation[key]
    with pytest.raises(ValueError, match=f"annotation 31: no {key}"):
        parse_picture(SMALL, [annotation])


@pytest.mark.parametrize(
    "change", [{"height": 0}, {"width": "6"}, {"file_name": ""}, {"height": None}]
)
def test_a_picture_needs_a_name_and_a_size(change):
    (key,) = change
    with pytest.raises(ValueError, match=key):
        parse_picture({**SMALL, **change}, [])


def test_more_people_than_codes_are_refused():
    annotations = [small_person(i, (0, 0, 2, 2)) for i in range(253)]
    with pytest.raises(ValueError, match="253 people"):
        parse_picture(SMALL, annotations)


def test_the_people_map_says_whose_each_pixel_is():
    large = small_person(1, (0, 0, 3, 3))
    small = small_person(2, (2, 1, 3, 2))
    expected = [
        [1, 1, 1, 0, 0, 0],
        [1, 1, 254, 2, 2, 0],
        [1, 1, 254, 2, 2, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(codes(small, large), expected)


def test_an_unknown_mask_takes_its_box_and_hides_others_in_it():
    unknown = small_person(1, (0.4, 0, 2, 2), segmentation=[])
    known = small_person(2, (1, 1, 4, 1))
    expected = [
        [253, 253, 253, 0, 0, 0],
        [253, 254, 254, 2, 2, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(codes(unknown, known), expected)


def test_three_masks_on_a_pixel_are_still_several():
    assert (
        codes(*(small_person(i, (1, 1, 2, 2)) for i in (1, 2, 3))) != 254
    ).sum() == 26


def test_a_crowd_is_ignored_where_nobody_is_known():
    crowd = {"size": [5, 6], "counts": [0, 15, 15]}  # the left three columns
    annotations = (
        small_person(1, (1, 1, 4, 1)),
        small_person(2, (0, 3, 6, 1), segmentation=[]),
        {"id": 3, "image_id": 1, "iscrowd": 1, "bbox": [0] * 4, "segmentation": crowd},
    )
    expected = [
        [255, 255, 255, 0, 0, 0],
        [255, 2, 2, 2, 2, 0],
        [255, 255, 255, 0, 0, 0],
        [255, 255, 255, 253, 253, 253],
        [255, 255, 255, 0, 0, 0],
    ]
    np.testing.assert_array_equal(codes(*annotations), expected)
