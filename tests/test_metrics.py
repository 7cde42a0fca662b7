"""A mean in two parts, divided at the very end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseseg_jax.metrics import Mean

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(5, 4)).astype(np.float32)
WEIGHTS = RNG.integers(0, 3, (5, 4)).astype(np.float32)


def test_it_is_numpys_weighted_average():
    mean = Mean.from_values(VALUES, WEIGHTS).compute()
    np.testing.assert_allclose(mean, np.average(VALUES, weights=WEIGHTS), rtol=1e-5)


@given(st.integers(1, 4))
def test_the_merged_parts_are_the_whole_whatever_their_sizes(cut):
    parts = [
        Mean.from_values(VALUES[rows], WEIGHTS[rows])
        for rows in (slice(cut), slice(cut, None))
    ]
    whole = Mean.from_values(VALUES, WEIGHTS).compute()
    np.testing.assert_allclose(parts[0].merge(parts[1]).compute(), whole, rtol=1e-5)
    np.testing.assert_allclose(parts[1].merge(parts[0]).compute(), whole, rtol=1e-5)


def test_a_part_of_which_nothing_counts_changes_nothing():
    mean = Mean.from_values(VALUES, WEIGHTS)
    nothing = Mean.from_values(VALUES, 0 * WEIGHTS)
    assert mean.merge(nothing).compute() == mean.compute()


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_does_not_count_may_be_anything(broken):
    values = np.where(WEIGHTS > 0, VALUES, broken)
    mean = Mean.from_values(values, WEIGHTS).compute()
    np.testing.assert_allclose(mean, np.average(VALUES, weights=WEIGHTS), rtol=1e-5)


def test_what_counts_and_is_broken_shows():
    values = np.where(WEIGHTS > 0, np.nan, VALUES)
    assert np.isnan(Mean.from_values(values, WEIGHTS).compute())


def test_the_mean_of_nothing_is_0_with_a_finite_gradient():
    def mean(values):
        return Mean.from_values(values, jnp.zeros_like(values)).compute()

    value, gradient = jax.value_and_grad(mean)(jnp.ones((2, 3)))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_weights_are_not_broadcast():
    with pytest.raises((ValueError, TypeError)):
        Mean.from_values(VALUES, WEIGHTS[:, :1])


def test_it_passes_through_jit():
    mean = jax.jit(Mean.from_values)(VALUES, WEIGHTS)
    np.testing.assert_allclose(mean.count, WEIGHTS.sum())
