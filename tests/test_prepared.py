import dataclasses
import json

import pytest

from configs import base
from poseseg_jax.coco.scoring import score
from poseseg_jax.data import prepared, synthetic
from poseseg_jax.data.coco_persons.coco_persons_dataset_builder import Builder
from poseseg_jax.data.prepared import DataSettings, prepare, prepare_val
from tests.coco_files import document, image, person, write_folder, write_json

NUM_SINGLE = 10


def splits() -> dict[str, dict]:
    """Pictures 1 ... 10 show one person, 11 ... 13 two, 14 nobody with keypoints."""
    people = [person(i, i) for i in range(1, NUM_SINGLE + 1)]
    people += [person(100 * n + i, i) for i in (11, 12, 13) for n in (1, 2)]
    people.append(person(999, 14, labelled=0))
    train = document([image(i) for i in range(1, 15)], people)
    val = document([image(i) for i in (22, 21)], [person(1, 22)])
    return {"train": train, "val": val}


@pytest.fixture
def settings(tmp_path):
    write_folder(tmp_path / "coco", splits())
    fields = base.get_config().data.to_dict()
    places = {"root": str(tmp_path / "coco"), "prepared_dir": str(tmp_path / "tfds")}
    return DataSettings(**{**fields, **places})


def with_(settings, **changes):
    return dataclasses.replace(settings, **changes)


def ids(records):
    return [records[index]["image_id"] for index in range(len(records))]


def change_train(settings, change):
    """Rewrites the training annotations."""
    content = splits()["train"]
    change(content)
    write_folder(prepared.Path(settings.root), {"train": content})


def test_training_is_multi_then_single_and_validation_is_everything(settings):
    data = prepare(settings)
    train = ids(data.train)
    assert sorted(train[:3]) == [11, 12, 13]
    assert sorted(train[3:]) == list(range(1, 11))
    assert ids(data.val) == [21, 22]
    counts = data.num_multi, data.num_single, data.without_keypoints, data.left_out
    assert counts == (3, NUM_SINGLE, 1, ())


def test_a_reduced_training_set_is_a_prefix(settings):
    whole = ids(prepare(settings).train)
    for reduction, left in ((30, 10), (40, 9), (50, 8), (60, 7), (70, 6), (80, 5)):
        data = prepare(with_(settings, reduction=reduction))
        assert ids(data.train) == whole[:left]
        assert ids(data.val) == [21, 22]


def test_the_order_depends_on_the_seed_and_not_on_the_file(settings):
    whole = ids(prepare(settings).train)
    assert ids(prepare(with_(settings, order_seed=1)).train) != whole
    change_train(settings, lambda content: content["images"].reverse())
    assert ids(prepare(settings).train) == whole


def test_it_is_built_once_and_again_for_other_annotations(settings, monkeypatch):
    first = prepare(settings)
    with monkeypatch.context() as patch:
        patch.setattr(Builder, "_generate_examples", None)
        again = prepare(with_(settings, reduction=70))
    assert again.val_annotations == first.val_annotations
    change_train(settings, lambda content: content["annotations"].pop(0))
    other = prepare(settings)
    assert other.num_single == first.num_single - 1
    assert other.val_annotations != first.val_annotations


def test_an_interrupted_build_is_not_taken_for_a_whole_one(settings, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Builder, "_write_ground_truth", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare(settings)
    assert len(prepare(settings).train) == 13


def _interrupt(*args):
    raise KeyboardInterrupt


def test_the_ground_truth_kept_is_that_of_the_split(settings):
    data = prepare(settings)
    (found,) = splits()["val"]["annotations"]
    result = {"image_id": 22, "category_id": 1, "keypoints": found["keypoints"]}
    scores = score([{**result, "score": 1.0}], data.val_annotations, "keypoints")
    assert scores["keypoints/AP"] == pytest.approx(1.0)


BREAK = {
    "cut off": (lambda path, other: path.write_bytes(path.read_bytes()[:60]), "whole"),
    "empty": (lambda path, other: path.write_bytes(b""), "0 bytes"),
    "missing": (lambda path, other: path.unlink(), "cannot be read"),
    "another picture": (lambda path, other: other.replace(path), "64 x 48"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", BREAK)
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_broken_picture_stops_the_build_or_is_left_out_and_listed(
    settings, case, split
):
    bad_id = {"train": 3, "val": 22}[split]
    root = prepared.Path(settings.root)
    other = write_folder(
        root.parent / "other", {"x": document([image(1, height=9)], [])}
    )
    break_it, message = BREAK[case]
    path = root / f"{split}2017" / f"{bad_id:012d}.png"
    break_it(path, other / "x2017" / f"{1:012d}.png")
    with pytest.raises(ValueError, match=message) as caught:
        prepare(settings)
    assert str(path) in str(caught.value)
    assert f"image id {bad_id}" in str(caught.value)
    data = prepare(with_(settings, on_error="skip"))
    (entry,) = data.left_out
    assert (entry["split"], entry["image_id"]) == (split, bad_id)
    assert message in entry["reason"]
    assert bad_id not in ids(data.train) + ids(data.val)
    assert data.num_single == NUM_SINGLE - (split == "train")
    kept = json.loads(data.val_annotations.read_text())
    assert {entry["id"] for entry in kept["images"]} == set(ids(data.val))
    assert {e["image_id"] for e in kept["annotations"]} <= set(ids(data.val))


def test_a_broken_annotation_is_left_out_and_listed(settings):
    change_train(settings, lambda content: content["annotations"][4].update(area=None))
    with pytest.raises(ValueError, match="annotation 5: area"):
        prepare(settings)
    data = prepare(with_(settings, on_error="skip"))
    assert [(e["split"], e["image_id"]) for e in data.left_out] == [("train", 5)]
    assert 5 not in ids(data.train)
    report = data.val_annotations.with_name("metadata.json").read_text()
    assert json.loads(report)["train"]["left_out"][0]["image_id"] == 5


def test_without_data_the_three_ways_to_give_some_are_named(settings):
    with pytest.raises(ValueError, match="no data") as caught:
        prepare(with_(settings, root=""))
    for way in ("data.root=DIR", "data.download=True", ":tiny"):
        assert way in str(caught.value)


@pytest.mark.parametrize(
    "missing",
    [
        "annotations/person_keypoints_train2017.json",
        "annotations/person_keypoints_val2017.json",
        "train2017",
        "val2017",
        ".",
    ],
)
def test_a_folder_of_another_layout_is_refused(settings, missing):
    path = prepared.Path(settings.root) / missing
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(ValueError, match="expected annotations/person_keypoints_train"):
        prepare(settings)


def test_nonsense_is_refused(settings):
    with pytest.raises(ValueError, match=r"data\.reduction is 35"):
        prepare(with_(settings, reduction=35))
    with pytest.raises(ValueError, match="on_error"):
        prepare(with_(settings, on_error="ignore"))


def test_a_set_without_poses_is_refused(settings):
    change_train(settings, lambda content: content.update(annotations=[]))
    with pytest.raises(ValueError, match="nothing to train on"):
        prepare(settings)


def test_any_annotation_file_can_be_validated_on(settings, tmp_path):
    content = splits()["val"]
    annotations = write_json(tmp_path / "mine.json", content)
    images = prepared.Path(settings.root) / "val2017"
    data = prepare_val(annotations, images, prepared_dir=settings.prepared_dir)
    assert (ids(data.val), len(data.train)) == ([21, 22], 0)
    with pytest.raises(ValueError, match="no such annotation file"):
        prepare_val(tmp_path / "nowhere.json", images)
    with pytest.raises(ValueError, match="no such folder"):
        prepare_val(annotations, tmp_path / "nowhere")


def test_the_embedded_set_is_drawn_once(settings, monkeypatch):
    drawn = []

    def draw(root, *, num_train, num_val, seed):
        drawn.append((num_train, num_val, seed))
        write_folder(root, splits())

    monkeypatch.setattr(synthetic, "draw", draw)
    here = with_(settings, root="embedded", embedded_train=14, embedded_val=2)
    for reduction in (0, 50):
        data = prepare(with_(here, reduction=reduction))
    assert drawn == [(14, 2, 0)]
    assert len(data.train) == 8
