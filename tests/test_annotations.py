import gzip
import json

import pytest

from poseseg_jax.coco.annotations import (
    is_labelled,
    load,
    parse,
    people_map,
    read_document,
)
from poseseg_jax.skeleton import KEYPOINT_NAMES
from tests.coco_files import document, image, person, real_data, write_json

GOOD = document([image(2), image(1)], [person(10, 1), person(11, 2)])


def test_pictures_come_by_id_with_and_without_people(tmp_path):
    content = document([image(3), image(1)], [person(10, 3)])
    path = write_json(tmp_path / "a.json", content)
    pictures = load(path).pictures
    assert [(p.image_id, len(p.people)) for p in pictures] == [(1, 0), (3, 1)]


def test_compressed_files_are_read(tmp_path):
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    assert len(load(path).pictures) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"", "empty"),
        ("a.json", b'{"images": [', "cut off"),
        ("a.json", b"\xff\xfe\x00", "no JSON"),
        ("a.json", b"[]", "a list is what result files hold"),
        ("a.json", b'{"images": []}', "no list 'annotations'"),
        ("a.json", b'{"images": [], "annotations": []}', "no pictures"),
        ("a.json.gz", b"no gzip", "cannot be read"),
        ("a.json.gz", gzip.compress(b"{}" * 99, mtime=0)[:-9], "cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_lists_pictures_is_read_where_labels_are_not_needed(tmp_path):
    """As COCO's image_info_test-dev2017.json: all 80 categories, nobody annotated."""
    categories = [{"supercategory": "x", "id": i, "name": f"{i}"} for i in range(1, 91)]
    content = {"info": {}, "licenses": [], "categories": categories}
    path = write_json(tmp_path / "info.json", {**content, "images": [image(1)]})
    document = read_document(path, need_labels=False)
    (picture,) = parse(document, source="info").pictures
    assert picture.people == picture.crowds == ()
    assert not is_labelled(path)
    assert is_labelled(write_json(tmp_path / "good.json", GOOD))
    broken = write_json(tmp_path / "broken.json", {"images": [], "annotations": 1})
    with pytest.raises(ValueError, match=r"'images'|'annotations'"):
        is_labelled(broken)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.json: cannot be read"):
        load(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (KEYPOINT_NAMES[:16], "has 16 keypoints"),
        ((*KEYPOINT_NAMES[:2:-1], *KEYPOINT_NAMES[:3]), "COCO's order"),
    ],
)
def test_other_keypoints_than_cocos_are_refused(tmp_path, names, message):
    category = {"id": 1, "name": "person", "keypoints": list(names)}
    path = write_json(tmp_path / "a.json", {**GOOD, "categories": [category]})
    with pytest.raises(ValueError, match=message):
        load(path)


BROKEN = {
    "16 keypoints": (person(10, 1, keypoints=[0] * 48), 1, "48 numbers"),
    "NaN": (person(10, 1, area=float("nan")), 1, "area"),
    "annotation id used twice": (person(11, 1), 1, "11 is used twice"),
    "missing picture": (person(10, 77), 77, "annotation 10 is of a picture not in"),
    "broken polygon": (person(10, 1, segmentation=[[1, 2, 3]]), 1, "3 numbers"),
    "no id": ({"image_id": 1}, 1, "id is None; expected"),
    "no picture": ({"id": 10}, None, "image_id is None; expected"),
    "no object": (7, None, "is 7; expected an object"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_record_stops_the_reading_by_file_and_id(case):
    bad, image_id, message = BROKEN[case]
    content = document([image(1), image(2)], [person(11, 2), bad])
    with pytest.raises(ValueError, match=message) as caught:
        parse(content, source="some.json")
    assert f"some.json: {1 + (case == 'annotation id used twice')}" in str(caught.value)
    named = "annotations[" if image_id is None else f"picture {image_id}:"
    assert named in str(caught.value)


@pytest.mark.parametrize("case", BROKEN)
def test_a_skipped_record_is_listed_and_the_others_are_kept(case):
    bad, image_id, message = BROKEN[case]
    content = document([image(1), image(3)], [person(11, 3), person(12, 3), bad])
    if case == "annotation id used twice":
        content["images"].append(image(4))
    read = parse(content, source="some.json", on_error="skip")
    assert image_id in {problem.image_id for problem in read.problems}
    assert any(message in problem.message for problem in read.problems)
    bad_ids = {problem.image_id for problem in read.problems}
    every = {entry["id"] for entry in content["images"]}
    assert {p.image_id for p in read.pictures} == every - bad_ids


def test_a_picture_id_used_twice_leaves_both_out():
    content = document([image(1), image(1), image(2)], [])
    read = parse(content, source="some.json", on_error="skip")
    assert [p.image_id for p in read.pictures] == [2]
    with pytest.raises(ValueError, match="picture 1: the picture's id is used twice"):
        parse(content, source="some.json")


def test_other_categories_are_counted_not_read():
    content = document([image(1)], [{"id": 5, "image_id": 1, "category_id": 18}])
    read = parse(content, source="some.json")
    assert (read.num_other, read.pictures[0].people) == (1, ())


def test_there_are_two_ways_to_meet_an_error():
    with pytest.raises(ValueError, match="on_error is 'ignore'"):
        parse(GOOD, source="some.json", on_error="ignore")


@pytest.mark.parametrize(
    ("path", "pictures", "people", "crowds"),
    [
        ("coco_original_sample/annotations/person_keypoints_val2017.json", 21, 181, 10),
        ("coco_persons_mini/annotations/person_keypoints_val2017.json", 241, 1180, 22),
        (
            "coco_persons_mini/annotations/person_keypoints_train2017.json",
            2649,
            10840,
            65,
        ),
    ],
)
def test_real_files_are_read_whole(path, pictures, people, crowds):
    read = load(real_data(path))
    assert len(read.pictures) == pictures
    assert sum(len(picture.people) for picture in read.pictures) == people
    assert sum(len(picture.crowds) for picture in read.pictures) == crowds
    for picture in read.pictures[:20]:
        codes = people_map(picture)
        assert codes.shape == (picture.height, picture.width)
