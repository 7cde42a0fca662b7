"""Runs are compared on the same draws of pictures, and drawn as well if several."""

import dataclasses

import numpy as np
import pytest

from benchmarks.coverage import Case, held, pretend
from poseseg_jax.coco import bootstrap, groups
from tests import random_split

PICTURES = 12


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "truth.json"
    return random_split.match_all(random_split.write_truth(path, pictures=PICTURES))


@pytest.fixture(scope="module")
def better(tmp_path_factory):
    """The same people, found with half the error."""
    path = tmp_path_factory.mktemp("split") / "truth.json"
    truth = random_split.write_truth(path, pictures=PICTURES)
    return random_split.match_all(truth, noise=0.5)


def known(intervals):
    return {key: found for key, found in intervals.by_key.items() if found is not None}


def test_a_run_differs_from_itself_by_nothing(tasks):
    found = known(groups.difference(tasks, tasks, resamples=20))
    for interval in found.values():
        assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_a_difference_turns_its_sign_with_its_order(tasks, better):
    one = groups.difference(tasks, better, resamples=50).by_key["segm/AP"]
    other = groups.difference(better, tasks, resamples=50).by_key["segm/AP"]
    assert one.value > 0
    assert (one.value, one.low) == pytest.approx((-other.value, -other.high))


def test_on_the_same_draws_a_difference_is_surer_than_two_scores(tasks, better):
    apart = [
        bootstrap.intervals(run, resamples=60).by_key["segm/AP"]
        for run in (tasks, better)
    ]
    together = groups.difference(tasks, better, resamples=60).by_key["segm/AP"]
    independent = np.hypot(*(found.high - found.low for found in apart))
    assert together.value == apart[1].value - apart[0].value
    assert together.high - together.low < 0.8 * independent


def test_what_cannot_be_compared_is_refused(tmp_path, tasks):
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
            groups.difference(tasks, after, resamples=2)


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


@pytest.mark.parametrize(
    ("case", "least", "most"),
    [
        (Case(runs=1, seeds=0, chance=0.8, paired=False), 0.91, 0.98),
        (Case(runs=1, seeds=2, chance=0.8, paired=False), 0.54, 0.68),
        (Case(runs=3, seeds=0, chance=0, paired=True), 0.91, 0.98),
        (Case(runs=3, seeds=5, chance=0, paired=False), 0.79, 0.9),
        (Case(runs=3, seeds=5, chance=0, paired=True), 0.73, 0.86),
        (Case(runs=10, seeds=1, chance=0, paired=False), 0.91, 0.98),
    ],
    ids=[
        "pictures alone",
        "one seed is too sure",
        "pairs that seeds do not move",
        "three seeds are too sure",
        "three pairs still more",
        "many seeds",
    ],
)
def test_a_known_difference_is_in_as_many_intervals_as_is_said(case, least, most):
    assert least <= held(case, trials=400, resamples=200) <= most


def test_pairs_that_share_what_moves_them_are_surer():
    case = Case(runs=5, seeds=0, chance=0, paired=True)
    pairs = pretend(case, trials=1, resamples=200, seed=0)
    shared = np.random.default_rng(0).normal(0, 3, 5)
    moved = [
        [of_run(np.ones(100), run.scores["0"] + shared[n]) for n, run in enumerate(of)]
        for of in pairs
    ]
    alone, paired = (
        groups.group_difference(*moved, paired=paired).by_key["segm/AP"]
        for paired in (False, True)
    )
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_groups_of_one_run_are_two_runs(tasks, better):
    one, other = (bootstrap.drawn(run, resamples=30) for run in (tasks, better))
    for paired in (False, True):
        found = groups.group_difference([one], [other], paired=paired)
        assert found == groups.difference(tasks, better, resamples=30)
    assert groups.group_mean([one]) == bootstrap.intervals(tasks, resamples=30)


def test_the_mean_of_a_group_is_that_of_its_runs(tasks, better):
    runs = [bootstrap.drawn(run, resamples=30) for run in (tasks, better)]
    found = groups.group_mean(runs)
    for key, interval in known(found).items():
        mean = (runs[0].value[key] + runs[1].value[key]) / 2
        assert interval.value == pytest.approx(mean)
        assert interval.low <= interval.high
    assert found.by_key.keys() == runs[0].value.keys()


def test_runs_that_cannot_be_compared_are_refused(tasks):
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
            groups.group_difference([run], after)
    with pytest.raises(ValueError, match="1 and 2 runs are no pairs"):
        groups.group_difference([run], [run, run], paired=True)


def test_a_difference_is_a_contrast_of_two_groups(tasks, better):
    one, other = (bootstrap.drawn(run, resamples=30) for run in (tasks, better))
    found = groups.group_contrast([[one, other], [other]], [-1, 1])
    assert found == groups.group_difference([one, other], [other])


def test_the_weights_of_a_slope_are_those_of_least_squares():
    at, values = [0, 30, 40, 80], np.array([1.0, 5.0, 2.0, 9.0])
    slope = np.polyfit(at, values, 1)[0]
    assert np.dot(groups.slope_weights(at), values) == pytest.approx(slope)
    with pytest.raises(ValueError, match="no slope over"):
        groups.slope_weights([3, 3])


def test_a_contrast_needs_a_weight_for_each_group():
    with pytest.raises(ValueError, match="1 weights for 2 groups"):
        groups.group_contrast([[of_run(np.ones(4), np.ones(9))]] * 2, [1.0])


def test_a_slope_rests_on_more_runs_than_a_difference():
    """Seven groups of three runs hold what two of three hold less often: see above."""
    case, at = Case(runs=3, seeds=5, chance=0, paired=False), range(7)
    slope, number, trials = 0.02, 0, 400
    moved = []
    for place in at:
        group, _ = pretend(case, trials=trials, resamples=200, seed=0)
        by_chance = np.random.default_rng(place).normal(
            0, 0.5 / np.sqrt(2), (3, trials)
        )
        moved.append(
            [lifted(run, slope * place + by_chance[n]) for n, run in enumerate(group)]
        )
    found = groups.group_contrast(moved, groups.slope_weights(at)).by_key
    for interval in found.values():
        number += interval.low <= slope <= interval.high
    assert 0.88 <= number / trials <= 0.97


def lifted(run, by):
    keys = list(run.value)
    return dataclasses.replace(
        run,
        value={key: run.value[key] + by[i] for i, key in enumerate(keys)},
        scores={key: run.scores[key] + by[i] for i, key in enumerate(keys)},
    )
