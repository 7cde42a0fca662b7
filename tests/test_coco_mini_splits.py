"""Nobody is trained on who is scored, and each part is what it says."""

import json
import shutil
from collections import Counter

import pytest

from experiments.coco_mini import splits
from experiments.coco_mini.folders import annotations_of, pictures_of
from poseseg_jax.coco.annotations import load
from tests import coco_files
from tests.coco_files import image, person


def entries(heads, *, first=1, unknown=()):
    """Pictures 1, 2, ... with so many heads; of some, one mask is unknown."""
    images, people = [], []
    for image_id, number in enumerate(heads, start=first):
        images.append(image(image_id))
        for row in range(number):
            changes = {"segmentation": []} if image_id in unknown and not row else {}
            people.append(person(1000 * image_id + row, image_id, **changes))
    return coco_files.document(images, people)


HEADS = [0] * 4 + [1] * 12 + [2] * 8 + [4] * 6 + [6] * 4
UNKNOWN = {5, 6, 17, 18, 25}
VAL = [1, 2, 3]


@pytest.fixture
def root(tmp_path):
    documents = {
        "train": entries(HEADS, unknown=UNKNOWN),
        "val": entries(VAL, first=101),
    }
    return coco_files.write_folder(tmp_path / "r", documents)


def ids_of(path):
    return {picture.image_id for picture in load(path).pictures}


def parts_of(folder):
    names = {part: annotations_of(folder, part) for part in ("train", "val")}
    names["test"] = folder / "annotations" / splits.TEST
    return {part: ids_of(path) for part, path in names.items()}


def test_parts_share_no_picture_and_lose_none(root, tmp_path):
    splits.divide(root, tmp_path / "s", held_out=10)
    parts = parts_of(tmp_path / "s")
    assert not parts["train"] & parts["val"]
    assert parts["train"] | parts["val"] == set(range(1, len(HEADS) + 1))
    assert parts["test"] == {101, 102, 103}
    for part, ids in parts.items():
        names = {path.name for path in pictures_of(tmp_path / "s", part).iterdir()}
        assert names == {f"{image_id:012d}.png" for image_id in ids}


def test_pictures_are_links_to_the_files_themselves(root, tmp_path):
    splits.divide(root, tmp_path / "s", held_out=10)
    path = pictures_of(tmp_path / "s", "test") / f"{101:012d}.png"
    assert path.is_symlink()
    assert path.resolve() == (root / "val2017" / path.name).resolve()


def test_held_out_are_known_masks_in_shares_of_all(root, tmp_path):
    summary = splits.divide(root, tmp_path / "s", held_out=10)
    held_out = set(summary["held_out"])
    assert not held_out & UNKNOWN
    heads = Counter(HEADS[image_id - 1] for image_id in held_out)
    # 10 of 34: 1.2, 3.5, 2.4, 1.8, 1.2.
    assert heads == {0: 1, 1: 4, 2: 2, 4: 2, 6: 1}
    assert summary["pictures"]["val"]["all"] == len(held_out)
    assert summary["pictures"]["train"]["people_3-4"] == 4
    assert json.loads((tmp_path / "s" / splits.SUMMARY).read_text()) == summary


def test_half_of_the_pictures_with_all_masks_stay(root):
    pictures = load(annotations_of(root, "train")).pictures
    chosen = splits.choose(pictures, 33, seed=0)
    heads = Counter(HEADS[image_id - 1] for image_id in chosen)
    assert heads == {0: 2, 1: 5, 2: 3, 4: 2, 6: 2}


def test_the_seed_decides_alone(root, tmp_path):
    found = [
        splits.divide(root, tmp_path / name, held_out=10, seed=seed)["held_out"]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert found[0] == found[1] != found[2]
    same = [annotations_of(tmp_path / name, "val").read_bytes() for name in ("a", "b")]
    assert same[0] == same[1]


def test_a_list_restricts_what_is_scored(root, tmp_path):
    (tmp_path / "list.txt").write_text("103\n\n101\n")
    summary = splits.divide(
        root, tmp_path / "s", listed=tmp_path / "list.txt", held_out=10
    )
    assert parts_of(tmp_path / "s")["test"] == {101, 103}
    assert summary["pictures"]["test"] == {
        **dict.fromkeys(summary["pictures"]["test"], 0),
        "all": 2,
        "people_1": 1,
        "people_3-4": 1,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("101\n7\n", r"1 that val2017 lacks, as \[7\]"),
        ("101\n101\n", "line 2: '101' is there twice"),
        ("a.jpg\n", "line 1: 'a.jpg' is no image id"),
        ("\n", "lists nothing"),
        (None, "cannot be read"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(root, tmp_path, text, said):
    if text is not None:
        (tmp_path / "list.txt").write_text(text)
    with pytest.raises(ValueError, match=rf"list\.txt: .*{said}"):
        splits.divide(root, tmp_path / "s", listed=tmp_path / "list.txt", held_out=10)
    assert not (tmp_path / "s").exists()


def test_an_id_in_both_splits_is_refused(root, tmp_path):
    documents = {"train": entries(HEADS), "val": entries(VAL, first=30)}
    other = coco_files.write_folder(tmp_path / "other", documents)
    with pytest.raises(ValueError, match=r"3 image ids are in train2017 and in val"):
        splits.divide(other, tmp_path / "s", held_out=10)


def test_the_same_picture_under_two_ids_is_refused(root, tmp_path):
    shutil.copy(
        root / "train2017" / f"{9:012d}.png", root / "val2017" / f"{102:012d}.png"
    )
    said = r"102.png \(image id 102\): the same picture as image id 9 of train2017"
    with pytest.raises(ValueError, match=said):
        splits.divide(root, tmp_path / "s", held_out=10)


def test_a_picture_that_is_not_there_is_named(root, tmp_path):
    (root / "train2017" / f"{9:012d}.png").unlink()
    with pytest.raises(ValueError, match=r"000009.png: cannot be read"):
        splits.divide(root, tmp_path / "s", held_out=10)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("number", [1, 10_000])
def test_nobody_held_out_is_refused(root, tmp_path, number):
    pictures = load(annotations_of(root, "train")).pictures
    alone = [p for p in pictures if not splits.masks_are_known(p)]
    with pytest.raises(ValueError, match=rf"--held_out={number} of 5 .*hold out 0"):
        splits.choose(alone, number, seed=0)


def test_a_folder_in_use_is_refused(root, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "mine").touch()
    with pytest.raises(ValueError, match="s is not empty"):
        splits.divide(root, tmp_path / "s", held_out=10)


def test_of_the_real_pictures_those_are_scored_that_peers_have_not_seen(tmp_path):
    root = coco_files.real_data("coco_persons_mini")
    listed = root / "annotations" / "val2017_unseen_by_peers.txt"
    summary = splits.divide(root, tmp_path / "s", listed=listed)
    counts = {part: count["all"] for part, count in summary["pictures"].items()}
    assert counts["test"] == 177
    assert counts["train"] + counts["val"] == 2649
    assert 190 <= counts["val"] <= 205
    test = load(tmp_path / "s" / "annotations" / splits.TEST).pictures
    assert all(splits.masks_are_known(picture) for picture in test)
