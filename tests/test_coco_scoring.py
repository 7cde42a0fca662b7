import logging
from pathlib import Path

import numpy as np
import pytest

from poseseg_jax.coco import crowding, scoring
from poseseg_jax.coco.annotations import load
from poseseg_jax.coco.results import encode_mask
from poseseg_jax.coco.segmentation import to_mask
from tests.coco_files import document, image, person, real_data, write_json

BOXES = ((5, 5, 40, 50), (60, 10, 35, 45), (110, 5, 100, 110))
ONE = pytest.approx(1.0)  # pycocotools adds an epsilon to a denominator


def small_split() -> dict:
    """Four pictures: three people, one person, nobody, and one nobody could label."""
    images = [image(i, height=120, width=220) for i in (1, 2, 3, 4)]
    people = [person(i, 1, box=box) for i, box in enumerate(BOXES)]
    people += [person(10, 2, box=BOXES[0]), person(11, 4, box=BOXES[1], labelled=0)]
    return document(images, people)


def perfect(path: Path, task: str) -> list[dict]:
    """The ground truth as somebody would have to find it."""
    entries = []
    for picture in load(path).pictures:
        size = {"height": picture.height, "width": picture.width}
        for row, somebody in enumerate(picture.people):
            entry = {"image_id": picture.image_id, "category_id": 1}
            entry["score"] = 1 / (2 + row)
            points = np.concatenate([somebody.keypoints, np.ones((17, 1))], axis=1)
            if task == "keypoints" and somebody.visibility.any():
                entries.append({**entry, "keypoints": points.reshape(-1).tolist()})
            if task == "segm" and somebody.segmentation is not None:
                mask = to_mask(somebody.segmentation, **size).astype(bool)
                entries.append({**entry, "segmentation": encode_mask(mask)})
    return entries


@pytest.fixture
def truth(tmp_path):
    return write_json(tmp_path / "truth.json", small_split())


@pytest.mark.parametrize("task", scoring.TASKS)
def test_ground_truth_as_prediction_is_perfect(truth, task):
    scores = scoring.score(perfect(truth, task), truth, task)
    sizes = {"keypoints": ("M", "L"), "segm": ("S", "M", "L")}[task]
    expected = ["AP", "AP50", "AP75", *(f"AP_{size}" for size in sizes), "AR"]
    assert list(scores) == [f"{task}/{key}" for key in expected]
    assert scores.pop("segm/AP_S", None) is None  # nobody is that small
    assert min(scores.values()) == ONE


@pytest.mark.parametrize("task", scoring.TASKS)
@pytest.mark.parametrize("name", ["coco_original_sample", "coco_persons_mini"])
def test_real_ground_truth_as_prediction_is_perfect(task, name):
    path = real_data(f"{name}/annotations/person_keypoints_val2017.json")
    matches = scoring.match(perfect(path, task), path, task)
    assert scoring.summarize(matches)[f"{task}/AP"] == ONE
    by_bucket = crowding.scores_by_bucket(matches).values()
    assert all(value in (None, ONE) for value in by_bucket)


def test_one_pixel_costs_a_small_person_points(tmp_path):
    path = write_json(
        tmp_path / "truth.json",
        document([image(1)], [person(1, 1, box=(10, 8, 20, 30), area=1100)]),
    )
    (right,) = perfect(path, "keypoints")
    shifted = [value + (i % 3 != 2) for i, value in enumerate(right["keypoints"])]
    wrong = {**right, "keypoints": shifted}
    assert scoring.score([right], path, "keypoints")["keypoints/AP"] == ONE
    assert scoring.score([wrong], path, "keypoints")["keypoints/AP"] < 0.95


@pytest.mark.parametrize("task", scoring.TASKS)
def test_without_results_the_score_is_zero_and_that_is_said(truth, task, caplog):
    with caplog.at_level(logging.WARNING):
        scores = scoring.score([], truth, task)
    assert scores[f"{task}/AP"] == 0.0
    assert scores[f"{task}/AR"] == 0.0
    assert f"no {task} results at all" in caplog.text


@pytest.mark.parametrize("task", scoring.TASKS)
def test_where_nobody_is_to_be_found_there_is_no_score(truth, task):
    scores = scoring.score(perfect(truth, task), truth, task, image_ids=[3])
    assert set(scores.values()) == {None}


@pytest.mark.parametrize("task", scoring.TASKS)
def test_people_found_in_an_empty_picture_cost(truth, task):
    right = perfect(truth, task)
    ghost = {**right[0], "image_id": 3, "score": 0.99}
    assert scoring.score([*right, ghost], truth, task)[f"{task}/AP"] < 0.95
    named = scoring.score([*right, ghost], truth, task, image_ids=[1, 2])
    assert named[f"{task}/AP"] == ONE


def test_a_person_whose_mask_is_unknown_is_no_mistake_and_no_miss(tmp_path):
    content = small_split()
    path = write_json(tmp_path / "known.json", content)
    right = perfect(path, "segm")
    content["annotations"][0]["segmentation"] = []
    path = write_json(tmp_path / "unknown.json", content)
    assert scoring.score(right, path, "segm")["segm/AP"] == ONE
    assert scoring.score(perfect(path, "segm"), path, "segm")["segm/AP"] == ONE


def test_annotation_zero_is_a_person_too(tmp_path):
    content = document([image(1)], [person(0, 1)])
    path = write_json(tmp_path / "truth.json", content)
    assert scoring.score(perfect(path, "segm"), path, "segm")["segm/AP"] == ONE


def test_a_box_in_a_result_changes_no_score(truth):
    right = perfect(truth, "segm")
    boxed = [{**entry, "bbox": [0, 0, 220, 120]} for entry in right[1:]]
    plain = scoring.score(right[1:], truth, "segm")
    assert scoring.score(boxed, truth, "segm") == plain


@pytest.mark.parametrize("task", scoring.TASKS)
def test_scores_of_a_part_are_those_of_the_part_alone(truth, task):
    results = perfect(truth, task)
    results[0]["image_id"] = 2  # a mistake, so that the parts differ
    matches = scoring.match(results, truth, task)
    for part in ([1], [2], [1, 2, 3], [2, 4]):
        alone = scoring.score(results, truth, task, image_ids=part)
        assert scoring.summarize(matches, part) == alone


def test_nothing_is_printed(truth, capsys):
    scoring.score(perfect(truth, "segm"), truth, "segm")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("keypoints", {"image_id": 99}, "picture 99, which the ground truth does not"),
        ("keypoints", {"score": float("nan")}, "picture 1 has the score nan"),
        ("keypoints", {"keypoints": [1] * 48}, "expected 51"),
        ("keypoints", {"keypoints": [float("inf")] * 51}, "expected 51 finite"),
        ("segm", {"segmentation": {"size": [9, 9], "counts": [81]}}, "picture 1: run"),
        ("segm", {"segmentation": []}, "picture 1: segmentation is None"),
        ("segm", {"segmentation": [[1, 1, 9, 1, 9, 9]]}, "expected compressed run"),
        ("keypoints", {"image_id": [1]}, r"picture \[1\], which"),
        ("keypoints", {"score": 10**400}, "picture 1 has the score 1000"),
        ("keypoints", {"keypoints": ["1"] * 51}, "expected 51 finite"),
    ],
)
def test_a_result_that_cannot_be_scored_is_refused(truth, task, change, message):
    results = perfect(truth, task)
    results[0] = {**results[0], **change}
    with pytest.raises(ValueError, match=message):
        scoring.score(results, truth, task)


def test_labelled_keypoints_are_counted_anew(tmp_path):
    """pycocotools would leave out a person whose file says that there are none."""
    content = document([image(1)], [person(1, 1, num_keypoints=0)])
    path = write_json(tmp_path / "truth.json", content)
    assert (
        scoring.score(perfect(path, "keypoints"), path, "keypoints")["keypoints/AP"]
        == ONE
    )


def test_unknown_pictures_and_tasks_are_refused(truth):
    with pytest.raises(ValueError, match=r"not in it, such as \[7\]"):
        scoring.score([], truth, "segm", image_ids=[1, 7])
    with pytest.raises(ValueError, match="no task 'boxes'"):
        scoring.score([], truth, "boxes")


def test_broken_ground_truth_is_refused_only_where_it_is_scored(tmp_path):
    content = small_split()
    content["annotations"][0]["bbox"] = None
    path = write_json(tmp_path / "truth.json", content)
    with pytest.raises(ValueError, match=r"truth\.json"):
        scoring.score([], path, "segm")
    assert scoring.score([], path, "segm", image_ids=[2])["segm/AP"] == 0.0
