"""What metrics.json says, for the truth itself and for files of other data sets."""

import json

import pytest

from configs import base
from poseseg_jax import config as config_lib
from poseseg_jax import judging
from poseseg_jax.coco import annotations, crowding, scoring
from poseseg_jax.coco.results import Results, encode_mask
from poseseg_jax.coco.scoring import TASKS
from poseseg_jax.coco.segmentation import to_mask
from poseseg_jax.data.prepared import Prepared
from poseseg_jax.skeleton import KEYPOINT_NAMES
from tests.coco_files import document, image, person, real_data, write_json
from tests.test_coco_scoring import perfect

ONE = pytest.approx(1.0)
KEYS = set(scoring.keys() + crowding.keys())


def judge_truth(path) -> judging.Judged:
    return judging.judge(Results(*(perfect(path, task) for task in TASKS)), path)


def test_the_truth_scores_one_or_nothing_under_every_key():
    path = real_data("coco_original_sample/annotations/person_keypoints_val2017.json")
    judged = judge_truth(path)
    assert judged.scores.keys() == KEYS
    assert all(value in (None, ONE) for value in judged.scores.values())
    assert sum(value is not None for value in judged.scores.values()) > 20
    assert [matches.task for matches in judged.matches] == list(TASKS)


def test_without_annotations_every_score_is_null(tmp_path):
    content = {"images": [image(1)], "categories": []}
    path = write_json(tmp_path / "info.json", content)
    judged = judging.judge(Results([], []), path)
    assert judged.matches == ()
    assert judged.scores.keys() == KEYS
    assert set(judged.scores.values()) == {None}


@pytest.mark.parametrize("mark", ["metrics.json", "results_segm.json", None])
def test_pictures_of_an_evaluation_before_go_and_nobody_elses(tmp_path, mark):
    fields = base.get_config("tiny").to_dict()
    fields["eval"]["overlays"] = 0
    folder = tmp_path / "overlays"
    folder.mkdir()
    for name in (f"{7:012d}.png", "mine.png"):
        (folder / name).write_bytes(b"")
    if mark:
        (tmp_path / mark).write_text("{}")
    nothing = judging.Judged(Results([], []), (), {})
    prepared = Prepared((), (), tmp_path / "val.json", 0, 0, 0, ())  # type: ignore[arg-type]
    judging.write(tmp_path, nothing, {}, prepared, config_lib.parse(fields))
    left = {path.name for path in folder.iterdir()}
    assert left == ({"mine.png"} if mark else {"mine.png", f"{7:012d}.png"})


def ochuman(path):
    """A file as OCHuman's authors make it (ochuman_coco_format_val_range_...json).

    Ids count from 1; masks are compressed run lengths; the area is the box's; only
    people with keypoints and mask are in it.
    """
    size = {"height": 60, "width": 80}
    people = []
    for number, box in enumerate([(5, 4, 30, 50), (18, 6, 34, 48), (50, 2, 20, 50)], 1):
        entry = person(number, 1 + number // 3, box=box)
        mask = to_mask(entry["segmentation"], **size).astype(bool)
        people.append({**entry, "segmentation": encode_mask(mask)})
    content = document([image(1, **size), image(2, **size)], people)
    content["categories"] = [
        {
            "supercategory": "person",
            "id": 1,
            "name": "person",
            "skeleton": [[16, 14], [14, 12]],
            "keypoints": list(KEYPOINT_NAMES),
        }
    ]
    return write_json(path, content)


def test_files_of_ochuman_are_scored(tmp_path):
    path = ochuman(tmp_path / "ochuman_coco_format_val_range_0.00_1.00.json")
    scores = judge_truth(path).scores
    assert scores["keypoints/AP"] == scores["segm/AP"] == ONE
    assert scores["crowd/overlap_0.3-0.5/segm/AP"] == ONE
    assert scores["crowd/people_1/keypoints/AP"] == ONE


def test_a_file_is_read_and_its_people_are_checked_once(tmp_path, monkeypatch):
    path = ochuman(tmp_path / "some.json")
    found = Results(*(perfect(path, task) for task in TASKS))
    seen = []

    def counted(owner, name):
        true = getattr(owner, name)

        def call(first, *rest):
            seen.append((name, first if first == path else None))
            return true(first, *rest)

        monkeypatch.setattr(owner, name, call)

    counted(type(path), "read_bytes")
    counted(annotations, "parse_picture")
    assert judging.judge(found, path).scores["segm/AP"] == ONE
    assert seen == [("read_bytes", path), *2 * [("parse_picture", None)]]


def test_people_of_unknown_mask_are_scored_by_their_keypoints(tmp_path):
    path = ochuman(tmp_path / "some.json")
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = []
    scores = judge_truth(write_json(path, content)).scores
    assert scores["keypoints/AP"] == scores["segm/AP"] == ONE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"level": 0.95, "resamples": 5, "seed": 0}',
        b'{"level": 0.95, "by_key": {}}',
        b'{"level": 0.95, "resamples": 5, "seed": 0, "by_key": {"segm/AP": {"at": 1}}}',
    ],
)
def test_intervals_that_cannot_be_read_are_named(tmp_path, content):
    path = tmp_path / judging.INTERVALS_FILE
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} cannot be read .*--bootstrap"):
        judging.read_intervals(tmp_path)
