"""How sure the decoder is of keypoints and people."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseseg_jax.decode import scoring
from poseseg_jax.skeleton import NUM_ANCHORS, NUM_KEYPOINTS
from tests import decode_oracle as oracle

STRIDE, RADIUS, PEOPLE = 4, 10.0, 4
SEEDS = st.integers(0, 2**32 - 1)
presence = jax.jit(partial(scoring.presence, stride=STRIDE, radius=RADIUS))
person_scale = jax.jit(partial(scoring.person_scale, smallest=3.0))
soft_nms = jax.jit(partial(scoring.soft_nms, radius=RADIUS))


@jax.jit
def expected_oks(votes, pose, probability, scale):
    around = scoring.look_around(votes, pose, stride=STRIDE, radius=RADIUS)
    return scoring.expected_oks(around, probability, scale)


def random_poses(rng, low=-8.0, high=52.0):
    return rng.uniform(low, high, (PEOPLE, NUM_ANCHORS, 2)).astype(np.float32)


@given(SEEDS)
def test_presence_equals_the_loop(seed):
    rng = np.random.default_rng(seed)
    heatmap = rng.random((13, 11, NUM_ANCHORS)).astype(np.float32)
    short = rng.normal(0, 8, (13, 11, NUM_ANCHORS, 2)).astype(np.float32)
    pose = random_poses(rng)
    expected = oracle.presence(heatmap, short, pose, stride=STRIDE, radius=RADIUS)
    np.testing.assert_allclose(presence(heatmap, short, pose), expected, atol=1e-4)


def test_an_anchor_whose_disc_points_elsewhere_is_not_there():
    heatmap = np.ones((13, 11, NUM_ANCHORS), np.float32)
    y, x = np.mgrid[:13, :11].astype(np.float32) * STRIDE
    short = (20, 24) - np.stack([x, y], -1)[:, :, None]
    short = np.repeat(short, NUM_ANCHORS, axis=2)
    pose = np.full((2, NUM_ANCHORS, 2), (20, 24), np.float32)
    pose[1] += (0, 20)
    there, beside = presence(heatmap, short, pose)
    np.testing.assert_allclose(there, 1, atol=1e-5)
    np.testing.assert_allclose(beside, np.exp(-2), atol=1e-5)


@given(SEEDS)
def test_expected_oks_equals_the_loop(seed):
    rng = np.random.default_rng(seed)
    votes = rng.random((13, 11, NUM_ANCHORS)).astype(np.float32)
    pose, scale = random_poses(rng), rng.uniform(4, 60, PEOPLE).astype(np.float32)
    probability = rng.random((PEOPLE, NUM_ANCHORS)).astype(np.float32)
    expected = oracle.expected_oks(
        votes, pose, probability, scale, stride=STRIDE, radius=RADIUS
    )
    got = expected_oks(votes, pose, probability, scale)
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_votes_that_agree_are_worth_more_and_no_vote_is_worth_nothing():
    votes = np.zeros((13, 11, NUM_ANCHORS), np.float32)
    votes[6, 5, 0] = 1  # sharp
    votes[4:9, 3:8, 1] = 1  # spread
    pose = np.full((PEOPLE, NUM_ANCHORS, 2), (20, 24), np.float32)
    ones = np.ones((PEOPLE, NUM_ANCHORS), np.float32)
    got = expected_oks(votes, pose, ones, np.full(PEOPLE, 30, np.float32))[0]
    assert got[0] == pytest.approx(1)
    assert got[1] < 0.5
    assert got[2] == 0


@given(SEEDS)
def test_scale_equals_the_box_of_what_was_found(seed):
    rng = np.random.default_rng(seed)
    pose, found = random_poses(rng), rng.random((PEOPLE, NUM_ANCHORS)) < 0.2
    expected = oracle.person_scale(pose, found, smallest=3.0)
    np.testing.assert_allclose(person_scale(pose, found), expected, rtol=1e-4)


@given(SEEDS)
def test_what_was_not_found_does_not_matter_for_the_scale(seed):
    rng = np.random.default_rng(seed)
    pose, found = random_poses(rng), rng.random((PEOPLE, NUM_ANCHORS)) < 0.5
    at_zero = np.where(found[..., None], pose, 0).astype(np.float32)
    np.testing.assert_array_equal(
        person_scale(pose, found), person_scale(at_zero, found)
    )


@pytest.mark.parametrize("count", [0, 1])
def test_few_anchors_have_the_smallest_scale(count):
    found = np.zeros((PEOPLE, NUM_ANCHORS), bool)
    found[:, :count] = True
    pose = random_poses(np.random.default_rng(0))
    np.testing.assert_array_equal(person_scale(pose, found), 3.0)


@given(SEEDS, st.sampled_from([10.0, 60.0]))
def test_soft_nms_equals_the_sequential_loop(seed, spread):
    rng = np.random.default_rng(seed)
    pose = rng.integers(0, spread, (12, NUM_KEYPOINTS, 2)).astype(np.float32)
    # Few values that add up exactly: people of the same mean are common.
    confidence = rng.choice([0, 0.5], (12, NUM_KEYPOINTS)).astype(np.float32)
    expected = oracle.soft_nms(pose, confidence, radius=RADIUS)
    np.testing.assert_allclose(soft_nms(pose, confidence), expected, atol=1e-6)


def test_the_second_of_two_equal_people_has_nothing_of_its_own():
    pose = np.ones((2, NUM_KEYPOINTS, 2), np.float32)
    confidence = np.full((2, NUM_KEYPOINTS), 0.5, np.float32)
    np.testing.assert_allclose(soft_nms(pose, confidence), [0.5, 0])


def test_the_best_are_taken_in_order_from_every_leaf():
    score = jnp.array([0.1, 0.9, 0.5, 0.9])
    tree = {"name": jnp.arange(4), "place": jnp.arange(8).reshape(4, 2)}
    best = scoring.take_best(tree, score, 3)
    np.testing.assert_array_equal(best["name"], [1, 3, 2])
    np.testing.assert_array_equal(best["place"], [[2, 3], [6, 7], [4, 5]])
