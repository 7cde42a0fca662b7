"""Each picture's own scores, and which pictures are the worst."""

import csv

import numpy as np
import pytest

from poseseg_jax.coco import per_picture, scoring
from poseseg_jax.coco.annotations import load
from tests import random_split
from tests.coco_files import document, image, person, write_json
from tests.test_coco_scoring import perfect

BOXES = ((2, 2, 18, 40), (22, 2, 18, 40), (44, 4, 16, 36))
PICTURES = 12


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "truth.json"
    random_split.write_truth(path, pictures=PICTURES)
    return path, random_split.match_all(path)


def levels_of(tasks):
    return {matches.task: per_picture.best_score(matches) for matches in tasks}


def three_pictures(tmp_path):
    """Three people, one person, and nobody."""
    people = [person(i, 1, box=box) for i, box in enumerate(BOXES)]
    people.append(person(9, 2, box=BOXES[0]))
    content = document([image(i) for i in (1, 2, 3)], people)
    return write_json(tmp_path / "truth.json", content)


def judge(path, results, level=0.0):
    tasks = [scoring.match(results[task], path, task) for task in scoring.TASKS]
    return per_picture.score_pictures(tasks, dict.fromkeys(scoring.TASKS, level))


@pytest.mark.parametrize("task", scoring.TASKS)
def test_people_found_missed_and_imagined_are_counted(tmp_path, task):
    path = three_pictures(tmp_path)
    results = {name: perfect(path, name) for name in scoring.TASKS}
    found = results[task]
    found.pop(0)  # one of three is missed
    ghost = {**found[-1], "image_id": 3}  # where nobody is
    found.append(ghost)
    scores = [one.tasks[task] for one in judge(path, results)]
    assert [(s.to_find, s.found, s.missed, s.wrong) for s in scores] == [
        (3, 2, 1, 0),
        (1, 1, 0, 0),
        (0, 0, 0, 1),
    ]
    assert scores[0].quality == pytest.approx(1)
    assert scores[1].average_precision == pytest.approx(1)
    assert (scores[2].quality, scores[2].average_precision) == (None, None)


def test_a_picture_s_ap_is_that_of_the_split_that_it_would_be(split):
    path, tasks = split
    rows = per_picture.score_pictures(tasks, levels_of(tasks))
    for index, matches in enumerate(tasks):
        for one in rows:
            alone = scoring.summarize(matches, [one.picture.image_id])
            found = one.tasks[matches.task].average_precision
            assert found == alone[f"{matches.task}/AP"], index
    assert [one.index for one in rows] == list(range(PICTURES))
    assert [one.picture.image_id for one in rows] == [
        picture.image_id for picture in load(path).pictures
    ]


def test_counts_are_those_of_results_from_the_level_on(split):
    path, tasks = split
    for matches in tasks:
        for level in (0.0, 0.4, 0.8):
            levels = {one.task: level for one in tasks}
            rows = per_picture.score_pictures(tasks, levels)
            kept = random_split.find(path, matches.task)
            kept = [entry for entry in kept if entry["score"] >= level]
            again = scoring.match(kept, path, matches.task)
            entries = again.evaluator.evalImgs[:PICTURES]
            for one, entry in zip(rows, entries, strict=True):
                if entry is None:
                    continue
                matched = entry["dtMatches"][0] > 0
                counts = ~entry["dtIgnore"][0]
                found = one.tasks[matches.task]
                assert found.found == np.sum(matched & counts)
                assert found.wrong == np.sum(~matched & counts)
                assert found.found <= found.to_find


def test_quality_is_the_overlap_with_whom_it_met(tmp_path):
    path = three_pictures(tmp_path)
    results = {name: perfect(path, name) for name in scoring.TASKS}
    rows = judge(path, results)
    assert rows[0].tasks["segm"].quality == pytest.approx(1)
    shrunk = [
        person(i, 1, box=(x, y, w, h / 2)) for i, (x, y, w, h) in enumerate(BOXES)
    ]
    half = write_json(tmp_path / "half.json", document([image(1)], shrunk))
    results["segm"] = perfect(half, "segm")
    quality = judge(path, results)[0].tasks["segm"].quality
    assert quality == pytest.approx(0.5, abs=0.02)


def test_the_best_score_is_where_f1_is_highest(split):
    path, tasks = split
    for matches in tasks:
        best = per_picture.best_score(matches)
        f1 = {}
        for level in sorted(
            {e["score"] for e in random_split.find(path, matches.task)}
        ):
            rows = per_picture.score_pictures(tasks, {one.task: level for one in tasks})
            ours = [one.tasks[matches.task] for one in rows]
            found = sum(one.found for one in ours)
            total = found + sum(one.wrong for one in ours)
            f1[level] = 2 * found / (total + sum(one.to_find for one in ours))
        assert f1[best] == max(f1.values())


@pytest.mark.parametrize("task", scoring.TASKS)
def test_without_a_right_result_all_are_shown(tmp_path, task):
    path = three_pictures(tmp_path)
    assert per_picture.best_score(scoring.match([], path, task)) == 0
    (result, *_) = perfect(path, task)
    wrong = scoring.match([{**result, "image_id": 3}], path, task)
    assert per_picture.best_score(wrong) == 0


def test_the_worst_have_the_lowest_ap_and_then_the_most_mistakes(tmp_path):
    path = three_pictures(tmp_path)
    nothing = judge(path, {task: [] for task in scoring.TASKS})
    ids = [one.picture.image_id for one in per_picture.worst_first(nothing)]
    assert ids == [1, 2]  # three missed before one; in the third nobody can be
    results = {task: perfect(path, task) for task in scoring.TASKS}
    some = {task: [e for e in found if e["image_id"] == 1]
            for task, found in results.items()}  # fmt: skip
    worst = per_picture.worst_first(judge(path, some))[:1]
    assert [one.picture.image_id for one in worst] == [2]


def test_every_picture_has_a_line(split, tmp_path):
    path, tasks = split
    rows = per_picture.score_pictures(tasks, levels_of(tasks))
    per_picture.write_csv(tmp_path / "per_picture.csv", rows)
    with (tmp_path / "per_picture.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == PICTURES
    for line, picture in zip(lines, load(path).pictures, strict=True):
        assert int(line["image_id"]) == picture.image_id
        assert line["file_name"] == picture.file_name
        assert int(line["people"]) == picture.head_count
        assert bool(line["overlap"]) == bool(picture.people)
        for task, quality in (("keypoints", "OKS"), ("segm", "IoU")):
            counted = int(line[f"{task}/found"]) + int(line[f"{task}/missed"])
            assert counted == int(line[f"{task}/to_find"])
            assert bool(line[f"{task}/AP"]) == bool(counted)
            assert bool(line[f"{task}/{quality}"]) == bool(int(line[f"{task}/found"]))
