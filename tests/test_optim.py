"""Learning rate, chain and average, each against what it promises."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax import optim
from poseseg_jax.config import OptimSettings

SETTINGS = OptimSettings(
    name="adamw",
    learning_rate=0.1,
    warmup_steps=0,
    schedule="constant",
    weight_decay=0.0,
    clip=0.0,
    momentum=0.0,
    ema=0.9,
)
PARAMS = {
    "conv": {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.full(3, 2.0)},
    "norm": {"scale": jnp.full(3, 2.0)},
}
GRADS = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.5), PARAMS)


def run(settings, *, num_updates=1, grads=GRADS, is_frozen=None):
    """What the parameters have moved by after some updates with the same gradient."""
    chain = optim.make(settings, num_steps=10, is_frozen=is_frozen)
    params, state = PARAMS, chain.init(PARAMS)
    for _ in range(num_updates):
        updates, state = chain.update(grads, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return jax.tree.map(lambda new, old: np.asarray(new - old), params, PARAMS)


def rates(*, num_steps=20, **changes):
    schedule = optim.schedule(replace(SETTINGS, **changes), num_steps=num_steps)
    return np.array([schedule(step) for step in range(num_steps + 1)])


def test_warm_up_starts_near_zero_and_reaches_the_peak():
    rate = rates(warmup_steps=9, schedule="cosine")
    np.testing.assert_allclose(rate[:10], np.arange(1, 11) / 10 * 0.1, rtol=1e-6)


def test_the_first_step_is_not_lost():
    assert rates(warmup_steps=9)[0] > 0


def test_cosine_ends_at_zero():
    rate = rates(warmup_steps=4, schedule="cosine")
    np.testing.assert_allclose(rate[-1], 0, atol=1e-9)
    np.testing.assert_allclose(rate[12], 0.05, rtol=1e-6)
    assert (np.diff(rate[4:]) < 0).all()


def test_constant_stays_at_the_peak():
    np.testing.assert_allclose(rates(warmup_steps=3)[3:], 0.1, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_run_shorter_than_its_warm_up_only_rises(schedule):
    rate = rates(warmup_steps=100, schedule=schedule, num_steps=3)
    assert (np.diff(rate) > 0).all()
    assert rate[-1] < 0.1


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weight_decay_pulls_kernels_only(name):
    still = jax.tree.map(jnp.zeros_like, GRADS)
    moved = run(replace(SETTINGS, name=name, weight_decay=0.01), grads=still)
    np.testing.assert_allclose(moved["conv"]["kernel"], -0.1 * 0.01 * 2, rtol=1e-4)
    assert not moved["conv"]["bias"].any()
    assert not moved["norm"]["scale"].any()


def test_sgd_follows_the_gradient():
    moved = run(replace(SETTINGS, name="sgd"))
    np.testing.assert_allclose(moved["conv"]["kernel"], -0.1 * 0.5, rtol=1e-5)


def test_adamw_steps_by_the_learning_rate_whatever_the_gradient():
    for scale in (1e-3, 1.0):
        moved = run(SETTINGS, grads=jax.tree.map(lambda g, s=scale: g * s, GRADS))
        np.testing.assert_allclose(moved["conv"]["kernel"], -0.1, rtol=1e-3)


def test_momentum_gathers_gradients():
    moved = run(replace(SETTINGS, name="sgd", momentum=0.5), num_updates=2)
    np.testing.assert_allclose(moved["conv"]["bias"], -0.1 * 0.5 * 2.5, rtol=1e-5)


def test_clipping_bounds_the_global_norm_and_keeps_the_direction():
    moved = run(replace(SETTINGS, name="sgd", clip=0.3))
    flat = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(moved)])
    np.testing.assert_allclose(np.linalg.norm(flat), 0.1 * 0.3, rtol=1e-5)
    np.testing.assert_allclose(flat, flat[0], rtol=1e-6)


def test_no_clip_leaves_large_gradients_alone():
    large = jax.tree.map(lambda leaf: leaf * 1e4, GRADS)
    moved = run(replace(SETTINGS, name="sgd"), grads=large)
    np.testing.assert_allclose(moved["norm"]["scale"], -0.1 * 5e3, rtol=1e-5)


def test_frozen_parameters_stay_and_have_no_part_in_the_norm():
    settings = replace(SETTINGS, name="sgd", clip=0.3, weight_decay=0.1)
    moved = run(settings, is_frozen=lambda name: name.startswith("conv/"))
    assert not moved["conv"]["kernel"].any()
    assert not moved["conv"]["bias"].any()
    np.testing.assert_allclose(np.linalg.norm(moved["norm"]["scale"]), 0.03, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"name": "lion"}, "optim.name"), ({"schedule": "step"}, "optim.schedule")],
)
def test_an_unknown_choice_is_refused_by_its_field(changes, named):
    with pytest.raises(ValueError, match=named):
        optim.make(replace(SETTINGS, **changes), num_steps=10)


def test_the_average_of_constant_parameters_reaches_them():
    ema = jax.tree.map(jnp.zeros_like, PARAMS)
    for step in range(60):
        ema = optim.update_ema(ema, PARAMS, decay=0.9, step=jnp.int32(step))
    for leaf in jax.tree.leaves(ema):
        np.testing.assert_allclose(leaf, 2.0, rtol=5e-3)


@pytest.mark.parametrize(("step", "kept"), [(0, 0.1), (5, 0.4), (1_000, 0.9)])
def test_the_average_forgets_faster_at_first(step, kept):
    ema = optim.update_ema(jnp.ones(()), jnp.zeros(()), decay=0.9, step=step)
    np.testing.assert_allclose(ema, kept, rtol=1e-6)
