import gzip
import json
import logging
import re

import pytest

from poseseg_jax.coco.annotations import load
from poseseg_jax.data.coco_persons.coco_persons_dataset_builder import (
    Source,
    make_record,
)
from poseseg_jax.data.prepared import prepare_val
from poseseg_jax.data.sources import draw, find, identity
from tests.coco_files import document, image, person, real_data, write_folder

PLAIN, POSE2SEG = "person_keypoints_val2017", "person_keypoints_val2017_pose2seg"
CONTENT = {
    split: document([image(n + i) for i in range(3)], [person(1, n)])
    for split, n in (("train", 1), ("val", 10))
}


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "coco", CONTENT)


def rename(root, *names):
    """Gives the validation annotations these names instead of their own."""
    file = root / "annotations" / f"{PLAIN}.json"
    data = file.read_bytes()
    file.unlink()
    for name in names:
        packed = gzip.compress(data) if name.endswith(".gz") else data
        file.with_name(name).write_bytes(packed)


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ([f"{PLAIN}.json"], f"{PLAIN}.json"),
        ([f"{PLAIN}.json.gz"], f"{PLAIN}.json.gz"),
        ([f"{PLAIN}.json", f"{PLAIN}.json.gz"], f"{PLAIN}.json"),
        ([f"{POSE2SEG}.json"], f"{POSE2SEG}.json"),
        ([f"{POSE2SEG}.json.gz"], f"{POSE2SEG}.json.gz"),
        ([f"{PLAIN}.json.gz", f"{POSE2SEG}.json"], f"{PLAIN}.json.gz"),
    ],
)
def test_the_plain_file_goes_before_cocopersons(root, there, taken):
    rename(root, *there)
    found = find("val", root=root)
    assert found == Source(root / "annotations" / taken, root / "val2017")
    assert len(load(found.annotations).pictures) == 3


def test_where_both_are_there_it_is_said_how_to_choose(root, caplog):
    rename(root, f"{PLAIN}.json", f"{POSE2SEG}.json")
    other = root / "annotations" / f"{POSE2SEG}.json"
    with caplog.at_level(logging.INFO):
        find("val", root=root)
    assert f"--config.data.val_annotations={other}" in caplog.text
    assert find("val", root=root, annotations=str(other)).annotations == other


def test_what_is_given_goes_before_the_layout(root, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file = root / "annotations" / f"{PLAIN}.json"
    assert find("train", root=root, images=str(elsewhere)).images == elsewhere
    assert find("train", root=root, annotations=str(file)).annotations == file
    both = find("train", root=None, annotations=str(file), images=str(elsewhere))
    assert both == Source(file, elsewhere)


@pytest.mark.parametrize("what", ["annotations", "images"])
def test_what_is_given_and_not_there_is_named_with_its_field(root, what):
    with pytest.raises(ValueError, match=f"data.val_{what}: there is no .*/nowhere"):
        find("val", root=root, **{what: "/nowhere"})


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        (None, "There is no such folder"),
        ([], "It is empty"),
        (["images", "labels"], "It holds images, labels"),
        ([f"{i:02}" for i in range(30)], "It holds 00, .*, 07 and 22 more"),
    ],
)
def test_a_folder_of_another_layout_is_described(tmp_path, holds, said):
    root = tmp_path / "root"
    for name in [""] if holds == [] else holds or []:
        (root / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=said) as caught:
        find("train", root=root)
    assert "expected annotations/person_keypoints_train2017.json" in str(caught.value)
    assert "--config.data.train_annotations=PATH" in str(caught.value)


def test_who_has_one_split_is_told_what_it_is_good_for(root):
    (root / "annotations" / "person_keypoints_train2017.json").unlink()
    with pytest.raises(ValueError, match=r"Only val is there") as caught:
        find("train", root=root)
    assert f"--images={root}/val2017" in str(caught.value)


def test_a_half_drawn_set_is_drawn_again_and_its_remains_removed(tmp_path):
    root = draw(tmp_path, num_train=2, num_val=1)
    half = root.with_name(f".{root.name}-abc")  # as a killed process leaves it
    root.rename(half)
    assert draw(tmp_path, num_train=2, num_val=1) == root
    assert len(list((root / "train2017").iterdir())) == 2
    assert not half.exists()


def name_of(root, **changes):
    given = {"order_seed": 0, "on_error": "raise"} | changes
    splits = [find(split, root=root) for split in ("train", "val")]
    return identity("my data!", splits, given)


def test_an_identity_is_readable_and_the_same_wherever_the_data_lie(root, tmp_path):
    assert re.fullmatch(r"my_data-[0-9a-f]{12}", name_of(root))
    assert name_of(root.rename(tmp_path / "moved")) == name_of(tmp_path / "moved")
    before = name_of(tmp_path / "moved")
    assert name_of((tmp_path / "moved").rename(root)) == before


def _exchange_picture(root):
    path = root / "val2017" / image(11)["file_name"]
    path.write_bytes(path.read_bytes() + b" ")


def _exchange_annotation(root):
    path = root / "annotations" / f"{PLAIN}.json"
    path.write_text(path.read_text() + " ")


DIFFERENT = {
    "another picture": _exchange_picture,
    "another annotation": _exchange_annotation,
    "a picture less": lambda root: (root / "val2017" / image(12)["file_name"]).unlink(),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_other_content_is_another_identity(root, case):
    before = name_of(root)
    DIFFERENT[case](root)
    assert name_of(root) != before


def test_another_order_or_treatment_is_another_identity(root):
    names = {name_of(root), name_of(root, order_seed=1), name_of(root, on_error="skip")}
    assert len(names) == 3


def test_what_is_not_in_the_annotations_is_no_part_of_the_identity(root):
    before = name_of(root)
    (root / "val2017" / "thumbnails.db").write_bytes(b"x")
    assert name_of(root) == before


def test_names_are_read_as_json_writes_them(root):
    content = json.loads(json.dumps(CONTENT["val"]))
    content["images"][0]["file_name"] = 'a "b" \\ é.png'
    (root / "annotations" / f"{PLAIN}.json").write_text(json.dumps(content))
    before = name_of(root)
    (root / "val2017" / 'a "b" \\ é.png').write_bytes(b"x")
    assert name_of(root) != before


def test_packed_annotations_name_their_pictures_too(root):
    rename(root, f"{PLAIN}.json.gz")
    before = name_of(root)
    _exchange_picture(root)
    assert name_of(root) != before


def test_an_identity_asks_nothing_of_the_content(root):
    rename(root, f"{PLAIN}.json.gz")
    file = root / "annotations" / f"{PLAIN}.json.gz"
    file.write_bytes(file.read_bytes()[:40])
    assert name_of(root)  # the builder says what is wrong with it


def test_real_data_leave_no_record_out(tmp_path):
    for name, count in (("coco_original_sample", 21), ("coco_persons_mini", 241)):
        root = real_data(name)
        source = find("val", root=root)
        data = prepare_val(
            source.annotations, source.images, prepared_dir=str(tmp_path)
        )
        assert (len(data.val), data.left_out) == (count, ())
    labels = load(find("train", root=root).annotations)
    assert (len(labels.pictures), labels.problems) == (2649, ())
    for picture in labels.pictures[::50]:
        make_record(picture, root / "train2017")
