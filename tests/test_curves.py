"""Scores of any draw of pictures are pycocotools' own."""

import contextlib
import copy
import io

import numpy as np
import pytest

from poseseg_jax.coco import crowding, scoring
from poseseg_jax.coco.curves import curves_of, make_curve, of_one, scores_of
from tests import random_split
from tests.coco_files import document, image, write_json

PICTURES = 12


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "truth.json"
    random_split.write_truth(path, pictures=PICTURES)
    return random_split.match_all(path)


def by_pycocotools(matches, times):
    """Its scores where its list of pictures holds each as often as it was drawn."""
    chosen = np.repeat(np.arange(PICTURES), times)
    evaluator = copy.copy(matches.evaluator)
    evaluator.params = copy.deepcopy(matches.evaluator.params)
    evaluator.params.imgIds = [matches.evaluator.params.imgIds[i] for i in chosen]
    evaluator._paramsEval = evaluator.params
    evaluator.evalImgs = [
        matches.evaluator.evalImgs[area * PICTURES + index]
        for area in range(len(evaluator.params.areaRng))
        for index in chosen
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        return scoring.summarize(scoring.Matches(matches.task, (), evaluator))


def scores_once(curves, times):
    return of_one(scores_of(curves, times[None]))


def test_every_picture_once_gives_every_score_to_the_last_digit(tasks):
    for matches in tasks:
        scores = scores_once(curves_of(matches), np.ones(PICTURES, np.int64))
        expected = scoring.summarize(matches) | crowding.scores_by_bucket(matches)
        assert scores == expected
        assert {key for key in scores if scores[key] not in (None, 0, 1)}


@pytest.mark.parametrize("seed", range(8))
def test_a_picture_that_is_drawn_twice_counts_twice(tasks, seed):
    draw = np.random.default_rng(seed)
    times = np.bincount(draw.integers(0, PICTURES, PICTURES), minlength=PICTURES)
    for matches in tasks:
        scores = scores_once(curves_of(matches), times)
        for key, expected in by_pycocotools(matches, times).items():
            assert scores[key] == expected, key


def test_many_draws_are_each_as_if_alone(tasks):
    draw = np.random.default_rng(0)
    times = draw.multinomial(PICTURES, np.full(PICTURES, 1 / PICTURES), size=30)
    times[7] = 0  # nobody
    for matches in tasks:
        curves = curves_of(matches)
        together = scores_of(curves, times)
        alone = [scores_of(curves, one[None]) for one in times]
        for key, scores in together.items():
            np.testing.assert_array_equal(scores, [one[key][0] for one in alone])
            assert np.isnan(scores[7])


def test_a_curve_of_some_pictures_is_theirs_alone(tasks):
    for matches in tasks:
        pictures = [1, 4, 7]
        ids = [matches.pictures[i].image_id for i in pictures]
        curve = make_curve(matches, pictures=pictures)
        expected = scoring.summarize(matches, ids)
        once = np.ones(PICTURES, np.int64)
        assert curve.score(once)["AP"] == expected[f"{matches.task}/AP"]
        others = np.ones(PICTURES, np.int64)
        others[pictures] = 0
        assert curve.score(others)["AP"] is None
        assert curve.num_pictures <= 3


def test_where_nobody_is_to_be_found_there_is_no_score(tasks):
    for matches in tasks:
        scores = scores_once(curves_of(matches), np.zeros(PICTURES, np.int64))
        assert set(scores.values()) == {None}


@pytest.mark.parametrize("task", scoring.TASKS)
def test_without_results_or_people_there_is_a_curve_too(tmp_path, task):
    path = write_json(tmp_path / "a.json", document([image(1), image(2)], []))
    curves = curves_of(scoring.match([], path, task))
    assert set(scores_once(curves, np.ones(2, np.int64)).values()) == {None}
    path = random_split.write_truth(tmp_path / "b.json", pictures=PICTURES)
    matches = scoring.match([], path, task)
    scores = scores_once(curves_of(matches), np.ones(PICTURES, np.int64))
    assert scores == scoring.summarize(matches) | crowding.scores_by_bucket(matches)
    assert scores[f"{task}/AP"] == 0.0
