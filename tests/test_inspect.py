"""The command shows what the loader makes, and complains in words."""

import dataclasses
import json
import re

import cv2
import numpy as np
import pytest

from poseseg_jax import config as config_lib
from poseseg_jax.data import inspect as module
from poseseg_jax.data import pipeline
from poseseg_jax.data.bias import REDUCED_BY
from poseseg_jax.data.inspect import inspect
from poseseg_jax.data.prepared import prepare
from poseseg_jax.sheets import compose
from poseseg_jax.sheets.labels import SIDE_COLORS
from poseseg_jax.skeleton import FLIP, KEYPOINT_NAMES
from tests import documented, tiny_run
from tests.tiny_run import NUM_TRAIN, NUM_VAL


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


@pytest.fixture(scope="module")
def settings(ground):
    return config_lib.parse(ground.config())


@pytest.fixture
def quick(monkeypatch):
    """Sheets as small as a stamp: how they look is tested elsewhere."""
    stamp = np.zeros((4, 4, 3), np.uint8)
    seen = []
    monkeypatch.setattr(
        compose, "sample_sheet", lambda sample, title: seen.append(sample) or stamp
    )
    monkeypatch.setattr(compose, "record_sheet", lambda labelled, title: stamp)
    return seen


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_command_leaves_sheets_and_statistics(ground, tmp_path):
    flags = [
        "--config=configs/full.py:tiny",
        *ground.flags(),
        f"--output={tmp_path}",
        "--pictures=2",
    ]
    done = documented.run("poseseg_jax.data.inspect", *flags, env=ground.environment())
    assert done.returncode == 0, done.stderr
    assert names(tmp_path) == [
        "records",
        "records.png",
        "samples",
        "samples.png",
        "statistics.json",
        "statistics.md",
    ]
    sheets = [*tmp_path.glob("records/*.png"), *tmp_path.glob("samples/*.png")]
    assert len(sheets) == 4
    for path in sheets:
        assert cv2.imread(str(path)).std() > 20
    numbers = json.loads((tmp_path / "statistics.json").read_text())
    assert (numbers["split"], numbers["pictures"]) == ("train", NUM_TRAIN)
    assert "| pictures | 12 |" in (tmp_path / "statistics.md").read_text()
    assert f"Reading the labels of {NUM_TRAIN} records" in done.stderr


def test_samples_are_what_training_sees_first(settings, tmp_path, quick):
    inspect(settings, tmp_path, pictures=5)
    batches = pipeline.train_batches(
        prepare(settings.data).train,
        image_size=settings.train.image_size,
        max_people=settings.data.max_people,
        augment=settings.augment,
        batch_size=5,
        seed=settings.train.seed,
        num_workers=0,
    )
    batch = next(batches)
    batches.close()
    for row, sample in enumerate(quick):
        np.testing.assert_array_equal(sample.picture.image, batch.image[row])
        np.testing.assert_array_equal(sample.picture.people, batch.people[row])
    ids = [int(name[4:16]) for name in names(tmp_path / "samples")]
    assert ids == batch.image_id.tolist()


def test_the_validation_split_is_shown_as_evaluation_sees_it(settings, tmp_path, quick):
    found = inspect(settings, tmp_path, split="val")
    assert found["pictures"] == len(quick) == NUM_VAL
    (side,) = {sample.picture.image.shape[0] for sample in quick}
    assert side == settings.eval_image_size


def test_the_same_seed_shows_the_same_records(settings, tmp_path, quick):
    shown = []
    for seed in (0, 0, 1):
        inspect(settings, tmp_path, pictures=2, seed=seed)
        shown.append(names(tmp_path / "records"))
    assert len(shown[0]) == 2  # and nothing of the inspection before
    assert shown[0] == shown[1] != shown[2]


def test_chosen_pictures_alone_are_shown(settings, tmp_path, quick):
    source = prepare(settings.data).train
    ids = sorted(int(source[index]["image_id"]) for index in (3, 7))
    inspect(settings, tmp_path, image_ids=ids)
    assert names(tmp_path / "records") == [f"{i:012d}.png" for i in ids]
    assert {int(sample.picture.image_id) for sample in quick} <= set(ids)


def test_pictures_that_are_not_its_own_stay(settings, tmp_path, quick):
    others = tmp_path / "records" / "mine.png"
    others.parent.mkdir()
    others.write_bytes(b"mine")
    inspect(settings, tmp_path, pictures=1)
    assert others.read_bytes() == b"mine"


def test_without_pictures_there_are_just_numbers(settings, tmp_path):
    inspect(settings, tmp_path, pictures=0)
    assert names(tmp_path) == ["statistics.json", "statistics.md"]


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("reduced_by", REDUCED_BY)
def test_how_the_data_are_reduced_is_said(settings, tmp_path, reduced_by, split):
    data = dataclasses.replace(settings.data, reduction=50, reduction_by=reduced_by)
    changed = dataclasses.replace(settings, data=data)
    found = inspect(changed, tmp_path, split=split, pictures=0)
    title = (tmp_path / "statistics.md").read_text().splitlines()[0]
    is_train = split == "train"
    assert found["reduction_by"] == (reduced_by if is_train else None)
    assert (f"data.reduction 50 by {reduced_by}" in title) == is_train
    assert ("not of draws" in title) == (is_train and reduced_by == "reweight")


def test_what_is_not_there_is_refused(settings, tmp_path):
    with pytest.raises(ValueError, match=r"\[987\].*reduction"):
        inspect(settings, tmp_path, image_ids=[987])
    with pytest.raises(ValueError, match="'test'"):
        inspect(settings, tmp_path, split="test")
    assert not names(tmp_path)


def test_a_swapped_file_is_warned_of_and_seen(ground, tmp_path, caplog, quick):
    """The same pictures and labels, with left and right keypoints exchanged."""
    root = tmp_path / "coco"
    drawn = {}
    for is_swapped in (False, True):
        folder = ground.drawn if not is_swapped else swapped_copy(ground.drawn, root)
        config = ground.config()
        config["data"] |= {"root": str(folder), "prepared_dir": str(tmp_path / "tfds")}
        output = tmp_path / f"swapped_{is_swapped}"
        caplog.clear()
        found = inspect(config_lib.parse(config), output, pictures=4)
        told = [record.message for record in caplog.records]
        assert any("look swapped" in text for text in told) == is_swapped
        assert ("look swapped" in (output / "statistics.md").read_text()) == is_swapped
        assert bool(found["checks"]["warnings"]) == is_swapped
        drawn[is_swapped] = cv2.imread(str(output / "records.png"))[..., ::-1]
    assert drawn[True].shape == drawn[False].shape
    blue = np.abs(drawn[False].astype(int) - SIDE_COLORS["left"]).max(-1) < 20
    red = np.abs(drawn[True].astype(int) - SIDE_COLORS["right"]).max(-1) < 20
    # What was blue and round is red and square.
    assert (blue & red).sum() > 0.5 * blue.sum() > 200


def swapped_copy(source, root):
    """A folder with the same pictures and with left and right keypoints exchanged."""
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        name = f"annotations/person_keypoints_{split}2017.json"
        content = json.loads((source / name).read_text())
        for annotation in content["annotations"]:
            triples = np.array(annotation["keypoints"]).reshape(-1, 3)
            exchanged = triples[FLIP[: len(KEYPOINT_NAMES)]]
            annotation["keypoints"] = exchanged.reshape(-1).tolist()
        (root / name).write_text(json.dumps(content))
        (root / f"{split}2017").symlink_to(source / f"{split}2017")
    return root


MISUSE = {
    "wrong path": (["--config=configs/none.py", "--output={tmp}/o"], ["none.py"]),
    "no data": (["--config=configs/full.py", "--output={tmp}/o"], ["data.root=DIR"]),
    "wrong field": (
        ["--config=configs/full.py", "--output={tmp}/o", "--config.train.sede=1"],
        ["'train.sede'", "'seed'"],
    ),
    "wrong ids": (
        ["--config=configs/full.py:tiny", "--output={tmp}/o", "--image_ids=1,b"],
        ["image_ids", "'b'"],
    ),
}


@pytest.mark.parametrize("case", MISUSE)
def test_a_misspelt_command_is_refused_in_words(tmp_path, case):
    flags, words = MISUSE[case]
    flags = [flag.format(tmp=tmp_path) for flag in flags]
    done = documented.run("poseseg_jax.data.inspect", *flags)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert not re.search("Traceback", said), said
    for word in words:
        assert word in said
    assert not (tmp_path / "o").exists()


def test_its_log_is_heard():
    """Run as a command it is called __main__, and that logger says nothing."""
    assert module._log.name.startswith("poseseg_jax.")
