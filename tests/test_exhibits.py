"""What is drawn of an evaluation: the right pictures, and what was found in them."""

import cv2
import numpy as np
import pytest

from poseseg_jax import config as config_lib
from poseseg_jax import exhibits
from poseseg_jax.coco import annotations, crowding, per_picture, scoring
from poseseg_jax.coco.bootstrap import Interval, Intervals
from poseseg_jax.coco.results import Results
from poseseg_jax.coco.scoring import TASKS
from poseseg_jax.data.prepared import prepare
from tests import tiny_run
from tests.test_coco_scoring import perfect
from tests.tiny_run import NUM_VAL

SHOW_ALL = dict.fromkeys(TASKS, 0.0)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


@pytest.fixture(scope="module")
def prepared(ground):
    return prepare(config_lib.parse(ground.config()).data)


@pytest.fixture(scope="module")
def truth(prepared):
    """Everybody with labelled keypoints, found as they are."""
    path = prepared.val_annotations
    by_place = {
        task: {(e["image_id"], e["score"]): e for e in perfect(path, task)}
        for task in TASKS
    }
    both = by_place["keypoints"].keys() & by_place["segm"].keys()
    return Results(*([by_place[task][key] for key in sorted(both)] for task in TASKS))


@pytest.mark.parametrize(("asked", "drawn"), [(0, 0), (1, 1), (NUM_VAL + 3, NUM_VAL)])
def test_no_more_overlays_than_pictures(prepared, asked, drawn):
    pictures = list(exhibits.overlays(Results([], []), prepared, asked))
    assert len({image_id for image_id, _ in pictures}) == drawn


def test_without_annotations_the_picture_stands_for_the_truth(prepared):
    plain, titled = (
        next(exhibits.overlays(Results([], []), prepared, 1, is_labelled=is_labelled))
        for is_labelled in (True, False)
    )
    assert plain[1].shape == titled[1].shape
    assert not np.array_equal(plain[1], titled[1])  # another caption


def judged(prepared, found):
    matches = [
        scoring.match(getattr(found, task), prepared.val_annotations, task)
        for task in TASKS
    ]
    return per_picture.score_pictures(matches, SHOW_ALL)


def test_the_sheet_shows_what_was_found(prepared, truth):
    pictures = per_picture.worst_first(judged(prepared, truth))[:3]
    levels = dict.fromkeys(TASKS, 2.0)  # above every score: nobody is shown
    full, empty = (
        exhibits.sheet_of(truth, prepared, pictures, level)
        for level in (SHOW_ALL, levels)
    )
    assert full.shape == empty.shape
    left = slice(0, 450)  # of the first pair: the truth
    np.testing.assert_array_equal(full[:300, left], empty[:300, left])
    assert (full != empty).any(axis=-1).mean() > 0.01


def test_the_chart_says_the_same_for_the_same_numbers(prepared):
    pictures = annotations.load(prepared.val_annotations).pictures
    scores = dict.fromkeys(scoring.keys() + crowding.keys(), 0.5)
    scores["crowd/people_8+/segm/AP"] = None
    intervals = Intervals(
        0.95, 10, 0, {key: v and Interval(v, 0.4, 0.7) for key, v in scores.items()}
    )
    plain = exhibits.crowd_chart(scores, pictures)
    assert plain == exhibits.crowd_chart(scores, pictures)
    with_intervals = exhibits.crowd_chart(scores, pictures, intervals)
    assert plain != with_intervals
    for file in (plain, with_intervals):
        image = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert (image < 250).any(axis=-1).mean() > 0.02


def test_where_nothing_is_known_the_chart_is_empty_and_drawn_all_the_same(prepared):
    pictures = annotations.load(prepared.val_annotations).pictures
    scores = dict.fromkeys(scoring.keys() + crowding.keys())
    assert exhibits.crowd_chart(scores, pictures).startswith(b"\x89PNG")
