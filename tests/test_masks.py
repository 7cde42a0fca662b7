"""Which pixels belong to whom."""

from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseseg_jax.decode import masks
from poseseg_jax.skeleton import NUM_ANCHORS
from tests import decode_oracle as oracle

STRIDE, PEOPLE, THRESHOLD = 4, 3, 0.25
SEEDS = st.integers(0, 2**32 - 1)
embedding_distance = jax.jit(partial(masks.embedding_distance, stride=STRIDE))
ownership = jax.jit(
    partial(masks.ownership, threshold=THRESHOLD), static_argnames="exclusive"
)
assemble = jax.jit(masks.assemble)


def embedding(rng):
    long = rng.normal(0, 10, (6, 7, NUM_ANCHORS, 2)).astype(np.float32)
    pose = rng.uniform(0, 24, (PEOPLE, NUM_ANCHORS, 2)).astype(np.float32)
    weight = rng.random((PEOPLE, NUM_ANCHORS)).astype(np.float32)
    weight *= rng.random((PEOPLE, NUM_ANCHORS)) < 0.5
    weight *= rng.random((PEOPLE, 1)) < 0.8  # somebody without any anchor
    scale = rng.uniform(5, 50, PEOPLE).astype(np.float32)
    return long, pose, weight, scale


@settings(max_examples=20)
@given(SEEDS)
def test_embedding_distance_equals_the_loop(seed):
    inputs = embedding(np.random.default_rng(seed))
    expected = oracle.embedding_distance(*inputs, stride=STRIDE)
    np.testing.assert_allclose(embedding_distance(*inputs), expected, rtol=1e-4)


@settings(max_examples=20)
@given(SEEDS)
def test_anchors_that_were_not_found_may_be_anywhere(seed):
    long, pose, weight, scale = embedding(np.random.default_rng(seed))
    moved = np.where(weight[..., None] > 0, pose, 0).astype(np.float32)
    np.testing.assert_allclose(
        embedding_distance(long, moved, weight, scale),
        embedding_distance(long, pose, weight, scale),
        rtol=1e-5,
    )


@pytest.mark.parametrize("exclusive", [False, True])
@given(seed=SEEDS)
def test_ownership_equals_the_loop(exclusive, seed):
    rng = np.random.default_rng(seed)
    distance = rng.uniform(0, 0.6, (PEOPLE, 6, 7)).astype(np.float32)
    distance[rng.random(PEOPLE) < 0.3] = np.inf
    is_person = (rng.random(PEOPLE) < 0.7).astype(np.float32)
    expected = oracle.ownership(
        distance, is_person, threshold=THRESHOLD, exclusive=exclusive
    )
    got = ownership(distance, is_person, exclusive=exclusive)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@given(SEEDS)
def test_exclusive_owners_share_no_cell(seed):
    rng = np.random.default_rng(seed)
    # Few values: several are the nearest.
    distance = rng.integers(0, 3, (PEOPLE, 6, 7)).astype(np.float32) / 10
    owned = ownership(distance, np.ones(PEOPLE, np.float32), exclusive=True)
    assert np.sum(np.asarray(owned) > 0, axis=0).max() <= 1
    alone = ownership(distance, np.ones(PEOPLE, np.float32), exclusive=False)
    np.testing.assert_allclose(owned.max(axis=0), alone.max(axis=0))


@pytest.mark.parametrize(
    ("distance", "owned"), [(0, 1), (0.125, 1), (0.25, 0.5), (0.375, 0), (9, 0)]
)
def test_at_the_threshold_a_cell_is_theirs_by_half(distance, owned):
    cells = np.full((1, 1, 1), distance, np.float32)
    assert float(
        ownership(cells, np.ones(1, np.float32), exclusive=False)[0, 0, 0]
    ) == pytest.approx(owned)


def share(rng, people, height=5, width=6):
    """Ownership that adds up to 1 in every cell."""
    owned = rng.random((people, height, width)).astype(np.float32)
    return owned / owned.sum(0)


@pytest.mark.parametrize("factor", [1, 2, 4])
@settings(max_examples=10)
@given(seed=SEEDS)
def test_masks_equal_the_loop(factor, seed):
    rng = np.random.default_rng(seed)
    person = rng.random((4 * factor + 1, 5 * factor + 1)).astype(np.float32)
    owned = rng.random((2, 5, 6)).astype(np.float32)
    expected = oracle.assemble(person, owned, factor=factor)
    np.testing.assert_allclose(assemble(person, owned), expected, atol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 4])
@settings(max_examples=10)
@given(seed=SEEDS)
def test_what_is_divided_among_people_adds_up_to_the_person_map(factor, seed):
    rng = np.random.default_rng(seed)
    person = rng.random((4 * factor + 1, 5 * factor + 1)).astype(np.float32)
    parts = np.asarray(assemble(person, share(rng, PEOPLE)))
    assert np.all((parts >= 0) & (parts <= person + 1e-6))
    np.testing.assert_allclose(parts.sum(0), person, atol=1e-5)


def test_a_lone_person_keeps_the_outline_of_the_person_map():
    person = np.random.default_rng(0).random((17, 21)).astype(np.float32)
    alone = assemble(person, np.ones((1, 5, 6), np.float32))
    np.testing.assert_allclose(alone[0], person, atol=1e-6)


def test_a_cell_without_people_does_not_blur_the_owner_beside_it():
    person = np.zeros((5, 9), np.float32)
    person[:, :4] = 1  # the outline lies between the coarse cells of columns 0 and 4
    owned = np.zeros((1, 2, 3), np.float32)
    owned[0, :, 0] = 1
    np.testing.assert_allclose(assemble(person, owned)[0], person, atol=0.01)


def test_nobody_makes_empty_masks():
    person = np.zeros((9, 9), np.float32)
    assert not np.any(assemble(person, np.ones((2, 3, 3), np.float32)))
