"""Local maxima become candidates."""

from functools import partial

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from poseseg_jax.decode import peaks
from tests import decode_oracle as oracle

STRIDE = 4
OPTIONS = {"roots": (2, 0), "stride": STRIDE, "threshold": 0.3, "per_anchor": 6}
find_in = jax.jit(partial(peaks.find, **OPTIONS))


def find(votes, mass, rank=None):
    """Among the maps of the roots."""
    roots = list(OPTIONS["roots"])
    maps = (votes, mass) if rank is None else (votes, mass, rank)
    names = ("votes", "mass", "rank")
    return find_in(**{n: m[..., roots] for n, m in zip(names, maps, strict=False)})


def compare(votes, mass, rank=None):
    got = find(votes, mass, rank)
    roots = list(OPTIONS["roots"])
    expected = oracle.find(
        votes[..., roots],
        mass[..., roots],
        **OPTIONS,
        rank=None if rank is None else rank[..., roots],
    )
    count = len(expected)
    np.testing.assert_allclose(got.score[:count], [s for s, _, _ in expected])
    np.testing.assert_array_equal(got.anchor[:count], [a for _, a, _ in expected])
    np.testing.assert_array_equal(got.score[count:], 0)
    for place, (_, _, there) in zip(got.position[:count], expected, strict=True):
        np.testing.assert_allclose(place, there, atol=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_candidates_equal_the_search_by_loops(seed):
    votes = np.random.default_rng(seed).random((9, 11, 3)).astype(np.float32)
    compare(votes, votes)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_ties_and_plateaus_equal_the_search_by_loops(seed, levels):
    rng = np.random.default_rng(seed)
    votes = rng.random((9, 11, 3)).astype(np.float32) + 0.1
    mass = rng.integers(0, levels + 1, (9, 11, 3)).astype(np.float32)
    compare(votes, mass)


@given(st.integers(0, 2**32 - 1))
def test_candidates_may_be_scored_by_another_map(seed):
    rng = np.random.default_rng(seed)
    votes, rank = rng.random((2, 9, 11, 3)).astype(np.float32)
    compare(votes, votes, rank + 0.3)


def test_an_empty_cell_beside_a_scored_one_is_no_peak():
    votes = np.zeros((9, 11, 3), np.float32)
    votes[4, 5] = 1
    assert np.sum(find(votes, votes, np.ones_like(votes)).score > 0) == 2


def test_merged_candidates_are_in_one_order():
    rng = np.random.default_rng(0)
    one, other = (
        find(*[rng.random((9, 11, 3)).astype(np.float32)] * 2) for _ in range(2)
    )
    both = peaks.merge(one, other)
    assert np.all(np.diff(both.score) <= 0)
    everybody = {
        (int(a), float(s), *map(float, place))
        for part in (one, other)
        for a, s, place in zip(part.anchor, part.score, part.position, strict=True)
    }
    merged = zip(both.anchor, both.score, both.position, strict=True)
    assert {(int(a), float(s), *map(float, p)) for a, s, p in merged} == everybody


def test_the_places_of_an_anchor_are_its_best_candidates():
    votes = np.random.default_rng(0).random((9, 11, 3)).astype(np.float32)
    found = find(votes, votes)
    places, exists = map(np.asarray, peaks.of_each_anchor(found, count=4))
    assert exists[0].all()
    assert exists[2].all()
    assert not exists[[1, *range(3, len(exists))]].any()
    for anchor in (0, 2):
        own = np.asarray(found.position)[np.asarray(found.anchor) == anchor]
        np.testing.assert_array_equal(places[anchor], own[:4])


def test_candidates_are_in_one_order_of_all_anchors():
    votes = np.random.default_rng(0).random((9, 11, 3)).astype(np.float32)
    got = find(votes, votes)
    assert np.all(np.diff(got.score) <= 0)
    assert set(np.asarray(got.anchor).tolist()) == {0, 2}


def test_an_empty_map_has_no_candidate():
    votes = np.zeros((9, 11, 3), np.float32)
    got = find(votes, votes)
    assert got.score.shape == (12,)
    assert not np.any(got.score)
    assert np.all(np.isfinite(got.position))


def test_more_peaks_than_cells_are_not_asked_for():
    votes = np.ones((2, 2, 3), np.float32)
    assert find(votes, votes).score.shape == (8,)


def test_a_peak_in_the_corner_is_a_peak():
    votes = np.zeros((9, 11, 3), np.float32)
    votes[0, 0, 0], votes[8, 10, 2] = 1.0, 0.5
    got = find(votes, votes)
    np.testing.assert_array_equal(got.position[:2], [[0, 0], [40, 32]])
    np.testing.assert_array_equal(got.score[:3], [1.0, 0.5, 0.0])
