"""Cells vote for where an anchor is."""

from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseseg_jax.decode import hough
from poseseg_jax.decode.peaks import find
from tests import decode_oracle as oracle

STRIDE, RADIUS = 4, 16.0
SEEDS = st.integers(0, 2**32 - 1)
vote = jax.jit(partial(hough.vote, stride=STRIDE, radius=RADIUS))


def lone_vote(i, j, offset, height=9, width=11):
    """The votes of one sure cell."""
    heatmap = np.zeros((height, width, 1), np.float32)
    short = np.zeros((height, width, 1, 2), np.float32)
    heatmap[i, j], short[i, j] = 1, offset
    return np.asarray(vote(heatmap, short))[..., 0] * np.pi * (RADIUS / STRIDE) ** 2


def disc(place, height=21, width=19):
    """A disc whose cells all point at a place (x, y), input px."""
    y, x = np.mgrid[:height, :width]
    to = np.asarray(place) - np.stack([x, y], -1) * STRIDE
    heatmap = np.linalg.norm(to, axis=-1) <= RADIUS
    return heatmap[..., None].astype(np.float32), to[:, :, None].astype(np.float32)


@given(SEEDS)
def test_votes_equal_the_double_loop(seed):
    rng = np.random.default_rng(seed)
    heatmap = rng.random((9, 11, 3)).astype(np.float32)
    short = rng.normal(0, 12, (9, 11, 3, 2)).astype(np.float32)
    for onto in (4, 2, 1):
        options = {"stride": STRIDE, "radius": RADIUS, "vote_stride": onto}
        got = hough.vote(heatmap, short, **options)
        assert got.shape == (32 // onto + 1, 40 // onto + 1, 3)
        expected = oracle.vote(heatmap, short, **options)
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("reach", [1, 2, 4])
@settings(max_examples=10)
@given(seed=SEEDS)
def test_gathering_equals_the_loop(reach, seed):
    votes = np.random.default_rng(seed).random((9, 11, 2)).astype(np.float32)
    got = hough.gather_neighbours(votes, reach=reach)
    expected = oracle.gather_neighbours(votes, reach=reach)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (1.0, -2.0), (3.5, 0.5), (-2.0, 2.0)])
def test_a_finer_grid_gathers_the_mass_that_the_coarse_one_would(offset):
    """So that candidates from both compare."""
    heatmap = np.zeros((9, 11, 1), np.float32)
    heatmap[4, 5] = 1
    short = np.full((9, 11, 1, 2), offset, np.float32)
    coarse, fine = (hough.splat(heatmap, short, stride=4, onto=onto) for onto in (4, 2))
    wide = hough.gather_neighbours(coarse)[..., 0]
    same = hough.gather_neighbours(fine, reach=4)[::2, ::2, 0]
    np.testing.assert_allclose(same, wide, atol=0.13)


@pytest.mark.parametrize(
    ("offset", "why"),
    [
        ((-4.0 * 6, 0), "left of the map"),
        ((0, -4.0 * 5), "above it"),
        ((4.0 * 7, 0), "right of it"),
        ((0, 4.0 * 6), "below it"),
        ((-4.0 * 14, -4.0 * 11), "a whole map away, where a wrapped index would land"),
        ((1e6, -1e6), "far away"),
    ],
)
def test_a_vote_that_leaves_the_map_is_lost(offset, why):
    assert lone_vote(4, 5, offset).sum() == 0, why


@pytest.mark.parametrize(("offset", "rest"), [((-1.0, 0), 0.75), ((-3.0, -2.0), 0.125)])
def test_a_vote_across_the_border_leaves_its_inner_share(offset, rest):
    votes = lone_vote(0, 0, offset)
    assert votes[0, 0] == pytest.approx(rest)
    assert votes.sum() == pytest.approx(rest)


def test_a_vote_keeps_its_centre_of_mass():
    votes = lone_vote(4, 5, (5.0, -7.0))
    y, x = np.mgrid[:9, :11]
    assert votes.sum() == pytest.approx(1)
    assert (votes * x).sum() == pytest.approx(5 + 5 / 4)
    assert (votes * y).sum() == pytest.approx(4 - 7 / 4)


@given(st.floats(20, 52), st.floats(20, 60))
def test_a_disc_that_agrees_casts_a_mass_of_about_1_and_is_located_exactly(x, y):
    votes = vote(*disc((x, y)))
    mass = hough.gather_neighbours(votes)
    assert float(votes.sum()) == pytest.approx(1, abs=0.15)
    # Between four cells, a quarter is seen of each: the least that is gathered is 9/16.
    assert 0.85 * 9 / 16 <= float(mass.max()) <= 1.15
    best = find(
        votes, mass, roots=(0,), stride=STRIDE, threshold=0.1, per_anchor=1
    ).position[0]
    np.testing.assert_allclose(best, (x, y), atol=1e-3)


def test_doubt_weighs_less():
    heatmap, short = disc((36.0, 40.0))
    np.testing.assert_allclose(
        vote(heatmap / 4, short), vote(heatmap, short) / 4, atol=1e-7
    )


def test_anchors_do_not_see_each_other():
    heatmap, short = disc((36.0, 40.0))
    silent = np.zeros_like(heatmap)
    both = vote(
        np.concatenate([silent, heatmap], -1), np.concatenate([short, short], 2)
    )
    assert float(both[..., 0].sum()) == 0
    np.testing.assert_allclose(both[..., 1], vote(heatmap, short)[..., 0])
