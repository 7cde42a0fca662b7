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
ownership = jax.jit(partial(masks.ownership, threshold=THRESHOLD))
divide = jax.jit(partial(masks.exclusive_ownership, stride=STRIDE, threshold=THRESHOLD))
assemble = jax.jit(masks.assemble, static_argnames="factor")


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


@given(SEEDS)
def test_ownership_equals_the_loop(seed):
    rng = np.random.default_rng(seed)
    distance = rng.uniform(0, 0.6, (PEOPLE, 6, 7)).astype(np.float32)
    distance[rng.random(PEOPLE) < 0.3] = np.inf
    is_person = (rng.random(PEOPLE) < 0.7).astype(np.float32)
    expected = oracle.ownership(distance, is_person, threshold=THRESHOLD)
    got = ownership(distance, is_person)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def people_in_the_embedding(rng):
    """Distances and what they come from, near enough that most cells are owned."""
    long, pose, weight, scale = embedding(rng)
    fields = {"long": long, "pose": pose, "confidence": weight, "scale": scale * 4}
    distance = embedding_distance(*fields.values())
    is_person = (rng.random(PEOPLE) < 0.8).astype(np.float32)
    return np.asarray(distance), is_person, fields


@settings(max_examples=30)
@given(SEEDS)
def test_exclusive_ownership_equals_the_loop(seed):
    distance, is_person, fields = people_in_the_embedding(np.random.default_rng(seed))
    expected = oracle.exclusive_ownership(
        distance, is_person, **fields, stride=STRIDE, threshold=THRESHOLD
    )
    got = divide(distance, is_person, **fields)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@settings(max_examples=20)
@given(SEEDS)
def test_exclusive_shares_add_up_to_1_at_most(seed):
    distance, is_person, fields = people_in_the_embedding(np.random.default_rng(seed))
    owned = np.asarray(divide(distance, is_person, **fields))
    assert owned.min() >= 0
    assert owned.sum(axis=0).max() <= 1 + 1e-5
    assert not owned[is_person == 0].any()


@pytest.mark.parametrize("part", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_a_cell_between_two_people_is_shared_as_it_says(part):
    """The mean of two embeddings says how much of the cell is whose."""
    rng = np.random.default_rng(0)
    pose = rng.uniform(0, 30, (2, NUM_ANCHORS, 2)).astype(np.float32)
    said = (1 - part) * pose[0] + part * pose[1]
    fields = {
        "long": said[None, None],  # the only cell is at (0, 0)
        "pose": pose,
        "confidence": np.ones((2, NUM_ANCHORS), np.float32),
        "scale": np.full(2, 100, np.float32),
    }
    distance = embedding_distance(*fields.values())
    owned = divide(distance, np.ones(2, np.float32), **fields)
    np.testing.assert_allclose(owned[:, 0, 0], [1 - part, part], atol=1e-5)


@pytest.mark.parametrize("slot", range(PEOPLE))
def test_one_person_alone_owns_the_whole_cell(slot):
    rng = np.random.default_rng(0)
    _, _, fields = people_in_the_embedding(rng)
    distance = np.full((PEOPLE, 6, 7), 0.1, np.float32)
    alone = (np.arange(PEOPLE) == slot).astype(np.float32)
    np.testing.assert_array_equal(divide(distance, alone, **fields)[slot], 1)


def test_people_whom_nothing_tells_apart_do_not_share():
    """The better one has it all: half of it each would be nobody's."""
    _, _, fields = people_in_the_embedding(np.random.default_rng(0))
    fields["pose"] = np.repeat(fields["pose"][:1], PEOPLE, axis=0)
    fields["confidence"] = np.ones((PEOPLE, NUM_ANCHORS), np.float32)
    fields["long"] = fields["pose"][0] - np.asarray(
        masks.geometry.cell_centers(6, 7, STRIDE)[:, :, None]
    )
    distance = embedding_distance(*fields.values())
    fields["scale"] = np.full(PEOPLE, 50, np.float32)
    owned = np.asarray(divide(distance, np.ones(PEOPLE, np.float32), **fields))
    np.testing.assert_allclose(owned.max(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(owned.sum(axis=0), 1, atol=1e-5)


# Miss of a person of scale 10 and of one of scale 1000, px; what each of them owns.
# The threshold is a quarter of the scale.
@pytest.mark.parametrize(
    ("misses", "owned"),
    [
        ((1, 60), (1, 0)),  # the small one is nearest
        ((2, 15), (0.5, 0.5)),  # in between, near to both
        ((4, 60), (0, 0)),  # the small one is nearest, and too far: the other's is not
        ((60, 4), (0, 1)),
    ],
)
def test_a_cell_is_judged_by_how_far_its_nearest_person_is(misses, owned):
    pose = np.zeros((2, NUM_ANCHORS, 2), np.float32)
    pose[:, :, 0] = np.array([[-misses[0]], [misses[1]]])
    fields = {
        "long": np.zeros((1, 1, NUM_ANCHORS, 2), np.float32),
        "pose": pose,
        "confidence": np.ones((2, NUM_ANCHORS), np.float32),
        "scale": np.array([10, 1000], np.float32),
    }
    distance = embedding_distance(*fields.values())
    got = divide(distance, np.ones(2, np.float32), **fields)
    np.testing.assert_allclose(got[:, 0, 0], owned, atol=0.2)


@pytest.mark.parametrize(
    ("distance", "owned"), [(0, 1), (0.125, 1), (0.25, 0.5), (0.375, 0), (9, 0)]
)
def test_at_the_threshold_a_cell_is_theirs_by_half(distance, owned):
    cells = np.full((1, 1, 1), distance, np.float32)
    got = ownership(cells, np.ones(1, np.float32))
    assert float(got[0, 0, 0]) == pytest.approx(owned)


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
    np.testing.assert_allclose(
        assemble(person, owned, factor=factor), expected, atol=1e-5
    )


@pytest.mark.parametrize("factor", [1, 2, 4])
@settings(max_examples=10)
@given(seed=SEEDS)
def test_what_is_divided_stays_within_the_person_map_and_is_given_once(factor, seed):
    rng = np.random.default_rng(seed)
    person = rng.random((4 * factor + 1, 5 * factor + 1)).astype(np.float32)
    parts = np.asarray(assemble(person, share(rng, PEOPLE), factor=factor))
    assert np.all((parts >= 0) & (parts <= person + 1e-6))
    assert np.sum(parts > 0.5 + 1e-6, axis=0).max() <= 1


@pytest.mark.parametrize("factor", [1, 2, 4])
@settings(max_examples=10)
@given(seed=SEEDS)
def test_coarsening_equals_the_loop(factor, seed):
    values = np.random.default_rng(seed).random((4 * factor + 1, 5 * factor + 1))
    got = masks.coarsen(values.astype(np.float32), factor)
    np.testing.assert_allclose(got, oracle.coarsen(values, factor), rtol=1e-5)


@settings(max_examples=10)
@given(seed=SEEDS)
def test_visible_area_equals_the_loop(seed):
    rng = np.random.default_rng(seed)
    person = rng.random((9, 7)).astype(np.float32)
    to_center = rng.normal(0, 8, (9, 7, 2)).astype(np.float32)
    center = rng.uniform(-4, 40, (5, 2)).astype(np.float32)
    expected = oracle.visible_area(person, to_center, center, stride=STRIDE)
    got = masks.visible_area(person, to_center, center, stride=STRIDE)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-2)


def test_the_visible_area_is_that_of_the_cells_that_point_at_the_centre():
    person = np.zeros((9, 9), np.float32)
    person[2:5, 3:7] = 1  # 12 cells
    to_center = (16.0, 12.0) - masks.geometry.cell_centers(9, 9, STRIDE)
    center = np.array([[16, 12], [32, 32]], np.float32)
    got = masks.visible_area(
        person, to_center.astype(np.float32), center, stride=STRIDE
    )
    np.testing.assert_allclose(got, [12 * STRIDE**2, 0])


def test_a_lone_person_keeps_the_outline_of_the_person_map():
    person = np.random.default_rng(0).random((17, 21)).astype(np.float32)
    alone = assemble(person, np.ones((1, 5, 6), np.float32), factor=4)
    np.testing.assert_allclose(alone[0], person, atol=1e-6)


def test_a_cell_without_people_does_not_blur_the_owner_beside_it():
    person = np.zeros((5, 9), np.float32)
    person[:, :4] = 1  # the outline lies between the coarse cells of columns 0 and 4
    owned = np.zeros((1, 2, 3), np.float32)
    owned[0, :, 0] = 1
    np.testing.assert_allclose(assemble(person, owned, factor=4)[0], person, atol=0.02)


def test_nobody_makes_empty_masks():
    person = np.zeros((9, 9), np.float32)
    assert not np.any(assemble(person, np.ones((2, 3, 3), np.float32), factor=4))
