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


@pytest.fixture(scope="module")
def better(truth):
    """The same people, found with half the error."""
    return random_split.match_all(truth, noise=0.5)


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


def test_a_run_differs_from_itself_by_nothing(tasks):
    found = known(bootstrap.difference(tasks, tasks, resamples=20))
    for interval in found.values():
        assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_a_difference_turns_its_sign_with_its_order(tasks, better):
    one = bootstrap.difference(tasks, better, resamples=50).by_key["segm/AP"]
    other = bootstrap.difference(better, tasks, resamples=50).by_key["segm/AP"]
    assert one.value > 0
    assert (one.value, one.low) == pytest.approx((-other.value, -other.high))


def test_on_the_same_draws_a_difference_is_surer_than_two_scores(tasks, better):
    apart = [
        bootstrap.intervals(run, resamples=60).by_key["segm/AP"]
        for run in (tasks, better)
    ]
    together = bootstrap.difference(tasks, better, resamples=60).by_key["segm/AP"]
    independent = np.hypot(*(found.high - found.low for found in apart))
    assert together.value == apart[1].value - apart[0].value
    assert together.high - together.low < 0.8 * independent


def test_what_cannot_be_compared_is_refused(tmp_path, truth, tasks):
    fewer = random_split.write_truth(tmp_path / "fewer.json", pictures=4)
    other = random_split.write_truth(tmp_path / "other.json", pictures=12, seed=5)
    refused = {
        "different pictures": random_split.match_all(fewer),
        "same tasks": tasks[:1],
        "different people": random_split.match_all(other),
        "no matches": [],
    }
    for message, after in refused.items():
        with pytest.raises(ValueError, match=message):
            bootstrap.difference(tasks, after, resamples=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"resamples": 0}, "resamples is 0"), ({"level": 1.0}, "level is 1.0")],
)
def test_numbers_that_make_no_sense_are_refused(tasks, changes, message):
    with pytest.raises(ValueError, match=message):
        bootstrap.intervals(tasks, **changes)


def simulated(rng, weights, *, runs, effect, seed_moves, shares_seeds=False):
    """Two groups of runs, whose scores are means over pictures, `effect` apart."""
    pictures = weights.shape[1]
    hard = rng.normal(0, 1, pictures)
    groups, moved = [], rng.normal(0, seed_moves, runs)
    for gain in (0.0, effect):
        moved = moved if shares_seeds else rng.normal(0, seed_moves, runs)
        suits = rng.normal(0, 0.5, pictures)
        noise = rng.normal(0, 1, (runs, pictures))
        right = gain + hard + suits + moved[:, None] + noise
        groups.append([of_run(one, one @ weights.T / pictures) for one in right])
    return groups


def of_run(right, scores, **changes):
    count = len(right)
    fields = {
        "resamples": len(scores),
        "seed": 0,
        "value": {"segm/AP": float(right.mean())},
        "scores": {"segm/AP": scores},
        "image_ids": tuple(range(count)),
        "to_find": {"segm": np.ones(count, np.int64)},
    }
    return bootstrap.Drawn(**(fields | changes))


@pytest.fixture(scope="module")
def weights():
    return np.array(list(bootstrap.draws(60, resamples=200, seed=0)))


@pytest.mark.parametrize(
    ("runs", "seed_moves", "least", "most"),
    [(1, 0.0, 0.9, 0.98), (8, 0.2, 0.9, 0.99), (1, 0.5, 0.0, 0.7), (3, 2.0, 0.6, 0.93)],
    ids=["pictures alone", "several seeds", "one seed is too sure", "so are three"],
)
def test_a_known_difference_is_in_95_of_100_intervals(
    weights, runs, seed_moves, least, most
):
    rng, times, held = np.random.default_rng(1), 200, 0
    for _ in range(times):
        groups = simulated(rng, weights, runs=runs, effect=0.3, seed_moves=seed_moves)
        found = bootstrap.group_difference(*groups).by_key["segm/AP"]
        held += found.low <= 0.3 <= found.high
    assert least <= held / times <= most


def test_pairs_that_share_what_moves_them_are_surer(weights):
    rng = np.random.default_rng(0)
    groups = simulated(
        rng, weights, runs=5, effect=0.3, seed_moves=3.0, shares_seeds=True
    )
    alone, paired = (
        bootstrap.group_difference(*groups, paired=paired).by_key["segm/AP"]
        for paired in (False, True)
    )
    assert alone.value == paired.value
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_groups_of_one_run_are_two_runs(tasks, better):
    one, other = (bootstrap.drawn(run, resamples=30) for run in (tasks, better))
    for paired in (False, True):
        found = bootstrap.group_difference([one], [other], paired=paired)
        assert found == bootstrap.difference(tasks, better, resamples=30)
    assert bootstrap.group_mean([one]) == bootstrap.intervals(tasks, resamples=30)


def test_the_mean_of_a_group_is_that_of_its_runs(tasks, better):
    runs = [bootstrap.drawn(run, resamples=30) for run in (tasks, better)]
    found = bootstrap.group_mean(runs)
    for key, interval in known(found).items():
        mean = (runs[0].value[key] + runs[1].value[key]) / 2
        assert interval.value == pytest.approx(mean)
        assert interval.low <= interval.high
    assert found.by_key.keys() == runs[0].value.keys()


def test_runs_that_cannot_be_compared_are_refused(weights, tasks):
    right, others = np.ones(60), {"segm": np.arange(60)}
    run, drawn = of_run(right, np.ones(9)), bootstrap.drawn(tasks, resamples=2)
    refused = {
        "no runs": [],
        "9 of seed 0; expected the same": [of_run(right, np.ones(8))],
        "of seed 7 cannot": [of_run(right, np.ones(9), seed=7)],
        "different pictures": [drawn],
        "different people": [of_run(right, np.ones(9), to_find=others)],
    }
    for message, after in refused.items():
        with pytest.raises(ValueError, match=message):
            bootstrap.group_difference([run], after)
    with pytest.raises(ValueError, match="1 and 2 runs are no pairs"):
        bootstrap.group_difference([run], [run, run], paired=True)
