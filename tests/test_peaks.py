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
find = jax.jit(partial(peaks.find, **OPTIONS))


def compare(votes, mass):
    got, expected = find(votes, mass), oracle.find(votes, mass, **OPTIONS)
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
