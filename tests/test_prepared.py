import dataclasses
import functools
import json

import jax
import numpy as np
import pytest

from configs import base
from poseseg_jax import targets
from poseseg_jax.coco.scoring import score
from poseseg_jax.data import pipeline, prepared, synthetic
from poseseg_jax.data.bias import REDUCED_BY, REDUCTIONS
from poseseg_jax.data.coco_persons.coco_persons_dataset_builder import Builder
from poseseg_jax.data.prepared import prepare, prepare_val
from poseseg_jax.data.sampling import Mixture
from poseseg_jax.data.settings import DataSettings
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import SKELETONS
from tests.coco_files import document, image, person, write_folder, write_json

NUM_SINGLE = 10
SMALL = Representation(
    skeleton=SKELETONS["center"],
    radius=6.0,
    map_stride=4,
    person_stride=2,
    body_sigma=0.1,
)


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
    counts = data.num_multi, data.num_single, data.without_heads, data.left_out
    assert counts == (3, NUM_SINGLE, 1, ())


def test_a_reduced_training_set_is_a_prefix(settings):
    whole = ids(prepare(settings).train)
    for reduction, left in ((30, 10), (40, 9), (50, 8), (60, 7), (70, 6), (80, 5)):
        data = prepare(with_(settings, reduction=reduction))
        assert ids(data.train) == whole[:left]
        assert ids(data.val) == [21, 22]


def test_a_random_subset_is_as_large_and_nested(settings):
    here = with_(settings, reduction_by="random")
    largest = ids(prepare(here).train)
    assert sorted(largest) == list(range(1, NUM_SINGLE + 4))
    for reduction, left in ((30, 10), (35, 9), (80, 5), (100, 3)):
        data = prepare(with_(here, reduction=reduction))
        assert ids(data.train) == largest[:left]
    other = prepare(with_(here, order_seed=1))
    assert ids(other.train) != largest


def test_reweighting_removes_nothing(settings):
    whole = ids(prepare(settings).train)
    for reduction, singles in ((0, 10), (30, 7), (100, 0)):
        here = with_(settings, reduction=reduction, reduction_by="reweight")
        train = prepare(here).train
        assert isinstance(train, Mixture)
        assert ids(train) == whole
        assert (train.num_always, train.num_by_turns) == (3, singles)


@pytest.mark.parametrize(
    ("reduced_by", "said"),
    [
        ("removal", "7 of 10 pictures of one person are left out"),
        ("random", "7 of all 13 pictures are left out"),
        ("reweight", "pictures of one person are drawn as if 7 of 10 were gone"),
    ],
)
def test_a_training_says_what_it_does_not_see(settings, reduced_by, said):
    here = with_(settings, reduction=70, reduction_by=reduced_by)
    words = prepare(here).trained_on(here)
    assert words == (
        f"Bias reduction of 70 %, by {reduced_by}: {said}. An epoch has 6 pictures."
    )
    assert prepare(settings).trained_on(settings) == (
        "Training on 13 pictures, 10 of them of one person."
    )


def test_who_counts_is_part_of_the_set(settings):
    labelled = prepare(settings)
    everybody = prepare(with_(settings, head_count="annotated"))
    assert (labelled.num_single, everybody.num_single) == (NUM_SINGLE, NUM_SINGLE + 1)
    assert (labelled.without_heads, everybody.without_heads) == (1, 0)
    assert 14 in ids(everybody.train)
    assert len(prepare(settings).train) == 13


def test_seven_reductions_and_their_controls_share_one_copy(settings):
    folder = prepared.Path(settings.prepared_dir)

    def files():
        return {(p, p.stat().st_size) for p in folder.rglob("*") if p.is_file()}

    prepare(settings)
    before = files()
    for reduced_by in REDUCED_BY:
        for reduction in REDUCTIONS:
            prepare(with_(settings, reduction=reduction, reduction_by=reduced_by))
    assert files() == before


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


def given(settings):
    """The four fields that replace a folder in COCO's layout."""
    root = prepared.Path(settings.root)
    return {
        f"{split}_{what}": str(root / place.format(split))
        for split in ("train", "val")
        for what, place in (
            ("annotations", "annotations/person_keypoints_{}2017.json"),
            ("images", "{}2017"),
        )
    }


def test_four_files_and_folders_need_no_root(settings):
    data = prepare(with_(settings, root="", **given(settings)))
    assert ids(data.train) == ids(prepare(settings).train)
    assert ids(data.val) == [21, 22]


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("missing", range(4))
def test_half_of_the_data_is_refused_and_what_is_missing_named(
    settings, missing, download
):
    fields = given(settings)
    name = list(fields)[missing]
    fields[name] = ""
    with pytest.raises(ValueError, match=f"Half of the data: data.{name} not given"):
        prepare(with_(settings, root="", download=download, **fields))


def test_other_pictures_for_the_same_labels_are_another_set(settings, tmp_path):
    """As for a study of what blurred faces do."""
    blurred = write_folder(tmp_path / "blurred", splits()) / "train2017"
    for path in blurred.iterdir():
        path.write_bytes(path.read_bytes() + b" ")
    first, other = (
        prepare(settings),
        prepare(with_(settings, train_images=str(blurred))),
    )
    assert other.train[0]["image"] == first.train[0]["image"] + b" "


def test_who_validates_on_what_is_learned_is_told(settings, caplog):
    fields = {k: v.replace("train", "val") for k, v in given(settings).items()}
    prepare(with_(settings, root="", **fields))
    assert "is both train and val" in caplog.text


@pytest.mark.parametrize("side", [30, 40])
def test_a_set_without_small_persons_is_pointed_out(settings, caplog, side):
    images = [image(i) for i in range(1, 101)]
    people = [person(i, i, box=(1, 1, side, side)) for i in range(1, 101)]
    content = {"train": document(images, people), "val": splits()["val"]}
    write_folder(prepared.Path(settings.root), content)
    prepare(settings)
    said = [r.message for r in caplog.records if "32 x 32 px" in r.message]
    assert len(said) == (side > 32)
    assert all("background" in message for message in said)


@pytest.mark.parametrize(
    ("max_people", "people", "pictures"), [(3, 0, 0), (2, 1, 1), (1, 4, 3)]
)
def test_people_beyond_the_number_kept_are_counted(
    settings, max_people, people, pictures
):
    change_train(
        settings, lambda content: content["annotations"].append(person(7000, 11))
    )
    data = prepare(with_(settings, max_people=max_people))
    assert (data.people_beyond, data.pictures_beyond) == (people, pictures)
    said = f": {pictures}. The largest of each stay; {people} in all"
    assert (said in data.beyond(max_people)) == (people > 0)
    assert bool(data.beyond(max_people)) == (people > 0)


def test_without_a_mask_the_pixels_are_not_asked_and_the_keypoints_are(settings):
    """From the JSON to the targets, at a scale of one."""
    box = (8, 8, 32, 32)
    without = person(500, 30, box=box, segmentation=[])
    with_mask = person(501, 31, box=box)
    val = document(
        [image(i, height=65, width=65) for i in (30, 31)], [without, with_mask]
    )
    write_folder(prepared.Path(settings.root), {"val": val})
    data = prepare(settings)
    (batch,) = pipeline.eval_batches(
        data.val, image_size=65, max_people=4, batch_size=2
    )
    make = jax.jit(functools.partial(targets.make, representation=SMALL))
    truth = make(batch)
    unknown, known = np.asarray(truth.asked_person)
    assert not unknown[6:18, 6:18].any()  # in the box, at 2 px per cell
    assert unknown[24:, 24:].all()
    assert known.all()
    owned = np.asarray(truth.owned)
    assert not owned[0].any()
    assert owned[1].any()
    for field in ("near", "edge", "asked", "asked_body"):
        without_mask, masked = np.asarray(getattr(truth, field))
        np.testing.assert_array_equal(without_mask, masked)
    heatmaps = np.asarray(truth.maps.heatmap)
    np.testing.assert_array_equal(*heatmaps)
    assert heatmaps[0].any(axis=(0, 1)).all()


def test_cocopersons_files_are_known_by_their_name(settings, tmp_path, caplog):
    entries = document([image(22)], [person(1, 22, box=(1, 1, 50, 40))])
    file = write_json(tmp_path / "person_keypoints_val2017_pose2seg.json", entries)
    images = prepared.Path(settings.root) / "val2017"
    prepare_val(file, images, prepared_dir=settings.prepared_dir)
    assert "AP_S is null" in caplog.text


def test_a_report_tells_what_a_set_holds(settings):
    write_folder(prepared.Path(settings.root), splits())
    bad = prepared.Path(settings.root) / "train2017" / f"{3:012d}.png"
    bad.write_bytes(b"")
    data = prepare(with_(settings, on_error="skip"))
    text = data.val_annotations.with_name("report.md").read_text()
    for line in ("| pictures | 12 | 2 |", "| persons | 15 | 1 |", "| 2 | 3 | 0 |"):
        assert line in text
    assert "* train, picture 3: " in text
    assert str(bad) in text


def test_without_data_the_ways_to_give_some_are_named(settings):
    with pytest.raises(ValueError, match="no data") as caught:
        prepare(with_(settings, root=""))
    ways = ("data.root=DIR", "data.train_images=DIR", "data.download=True", ":tiny")
    for way in ways:
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
    with pytest.raises(ValueError, match=r"data\.reduction is 101"):
        prepare(with_(settings, reduction=101))
    with pytest.raises(ValueError, match=r"data\.reduction_by is 'magic'"):
        prepare(with_(settings, reduction_by="magic"))
    with pytest.raises(ValueError, match=r"data\.head_count is 'all'"):
        prepare(with_(settings, head_count="all"))
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
