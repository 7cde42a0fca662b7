"""Intervals hold what they say, and are the same for the same seed."""

import numpy as np
import pytest

from poseseg_jax.coco import bootstrap, crowding, scoring
from tests import random_split
from tests.coco_files import document, image, person, write_json
from tests.test_coco_scoring import perfect

PICTURES = 12


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "truth.json"
    return random_split.write_truth(path, pictures=PICTURES)


@pytest.fixture(scope="module")
def tasks(truth):
    return random_split.match_all(truth)


def known(intervals):
    return {key: found for key, found in intervals.by_key.items() if found is not None}


def test_draws_hold_as_many_pictures_as_the_split_and_repeat_by_seed():
    one, same, other = (
        list(bootstrap.draws(50, resamples=20, seed=seed)) for seed in (3, 3, 4)
    )
    assert all(times.sum() == 50 for times in one)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    mean = np.mean(list(bootstrap.draws(50, resamples=2000, seed=0)), axis=0)
    np.testing.assert_allclose(mean, 1, atol=0.15)  # every picture as often as another


def test_every_score_has_its_interval(tasks):
    found = bootstrap.intervals(tasks, resamples=100)
    expected = {}
    for matches in tasks:
        expected |= scoring.summarize(matches) | crowding.scores_by_bucket(matches)
    assert found.by_key.keys() == expected.keys()
    assert (found.level, found.resamples, found.seed) == (0.95, 100, 0)
    assert len(known(found)) > 15
    for key, interval in known(found).items():
        assert interval.value == expected[key]
        assert 0 <= interval.low <= interval.high <= 1


def test_the_same_seed_gives_the_same_intervals(tasks):
    one, same, other = (
        bootstrap.intervals(tasks, resamples=20, seed=seed) for seed in (1, 1, 2)
    )
    assert one == same
    assert one.by_key["segm/AP"] != other.by_key["segm/AP"]


def test_a_lower_level_is_a_narrower_interval(tasks):
    wide, narrow = (
        bootstrap.intervals(tasks, resamples=100, level=level).by_key["segm/AP"]
        for level in (0.95, 0.5)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


def test_what_is_always_perfect_is_certain(truth):
    for task in scoring.TASKS:
        matches = scoring.match(perfect(truth, task), truth, task)
        found = known(bootstrap.intervals([matches], resamples=20))
        for interval in found.values():
            assert (interval.low, interval.high) == pytest.approx((1, 1))


def test_intervals_are_those_of_the_share_of_pictures_that_are_right(tmp_path):
    """Each picture one person, found or not: AP is known from the number found."""
    count, right = 60, 30
    content = document(
        [image(i) for i in range(1, count + 1)],
        [person(i, i) for i in range(1, count + 1)],
    )
    path = write_json(tmp_path / "truth.json", content)
    found = perfect(path, "keypoints")[:right]
    matches = scoring.match(found, path, "keypoints")
    interval = bootstrap.intervals([matches], resamples=400).by_key["keypoints/AR"]
    spread = 1.96 * np.sqrt(0.5 * 0.5 / count)  # of a mean of `count` coins
    assert interval.value == 0.5
    assert interval.low == pytest.approx(0.5 - spread, abs=0.03)
    assert interval.high == pytest.approx(0.5 + spread, abs=0.03)


def test_a_single_picture_has_no_interval(tmp_path):
    content = document([image(1), image(2)], [person(1, 1), person(2, 2, labelled=0)])
    path = write_json(tmp_path / "truth.json", content)
    matches = scoring.match(perfect(path, "keypoints"), path, "keypoints")
    found = bootstrap.intervals([matches], resamples=5).by_key
    assert found["crowd/people_1/keypoints/AP"] is None
    assert found["crowd/people_8+/keypoints/AP"] is None
    assert found["keypoints/AP"] is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"resamples": 0}, "resamples is 0"), ({"level": 1.0}, "level is 1.0")],
)
def test_numbers_that_make_no_sense_are_refused(tasks, changes, message):
    with pytest.raises(ValueError, match=message):
        bootstrap.intervals(tasks, **changes)
