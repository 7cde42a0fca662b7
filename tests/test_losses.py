"""Losses: what counts, what it counts for, and what must not change them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax import losses, targets
from poseseg_jax.losses import TERMS, LossSettings
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import SKELETONS
from poseseg_jax.structs import IGNORE, Batch, Maps, Targets
from tests.targets_oracle import picture, scene

RADIUS = 8.0
OFFSETS = ("short", "mid", "long")
# A weight to every field that no other has.
SETTINGS = LossSettings(
    heatmap=4.0,
    person=2.0,
    short=1.0,
    mid=0.25,
    long=0.125,
    body=0.5,
    positive_weight=3.0,
    hard_keypoint_weight=1.0,
)
REPRESENTATION = Representation(SKELETONS["center"], RADIUS, 4, 2, 0.1)


@jax.jit
def make(batch: Batch) -> Targets:
    return targets.make(batch, representation=REPRESENTATION)


def stack(*pictures) -> Batch:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *pictures)


@functools.cache
def make_targets(*seeds) -> Targets:
    """Of a batch of scenes."""
    return make(stack(*map(scene, seeds)))


def random_like(maps: Maps, seed=0) -> Maps:
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(0, 3, leaf.shape).astype("f4"), maps)


def perfect(truth: Targets) -> Maps:
    """What a network says that knows everything and is sure of it."""
    maps = truth.maps
    logits = {
        name: jnp.clip(jax.scipy.special.logit(getattr(maps, name)), -50, 50)
        for name in ("heatmap", "person", "body")
    }
    return dataclasses.replace(maps, **logits)


@jax.jit
def terms(maps: Maps, truth: Targets) -> dict:
    means = losses.terms(maps, truth, radius=RADIUS, positive_weight=3.0)
    return {name: mean.compute() for name, mean in means.items()}


@functools.partial(jax.jit, static_argnames="settings")
def compiled_total(stages, truth, settings):
    return losses.total(stages, truth, radius=RADIUS, settings=settings)


def total(*stages, truth, **changes):
    return compiled_total(stages, truth, dataclasses.replace(SETTINGS, **changes))


def assert_same(got: dict, expected: dict):
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5, err_msg=name)


def map_axis(function, maps: Maps, truth: Targets):
    """Applies a function of an array to both."""
    return jax.tree.map(function, (maps, truth))


LOGITS = np.array([-20, -3, -0.5, 0, 0.1, 2, 15], np.float32)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_cross_entropy_is_its_formula(target):
    t, x = target, LOGITS.astype(np.float64)
    p = 1 / (1 + np.exp(-x))
    got = losses.sigmoid_cross_entropy(LOGITS, np.full_like(LOGITS, t))
    expected = -t * np.log(p) - (1 - t) * np.log(1 - p)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_its_gradient_is_the_error_of_the_probability(target):
    slope = jax.vmap(jax.grad(losses.sigmoid_cross_entropy))
    got = slope(LOGITS, np.full_like(LOGITS, target))
    np.testing.assert_allclose(got, jax.nn.sigmoid(LOGITS) - target, atol=1e-6)


@pytest.mark.parametrize(
    ("logit", "target", "loss"),
    [(100, 1, 0), (100, 0, 100), (-100, 1, 100), (-100, 0, 0)],
)
def test_cross_entropy_is_stable(logit, target, loss):
    logit, target = jnp.float32(logit), jnp.float32(target)
    value, slope = jax.value_and_grad(losses.sigmoid_cross_entropy)(logit, target)
    np.testing.assert_allclose((value, slope), (loss, jnp.sign(logit) * (loss > 0)))


def test_offset_errors_are_in_units_of_the_radius_per_component():
    said = np.array([[8.0, 0.0], [4.0, -4.0], [0.0, 0.0]], np.float32)
    error = losses.offset_error(said, np.zeros_like(said), radius=8.0)
    np.testing.assert_allclose(error, [0.5, 0.5, 0.0])


def test_a_perfect_answer_costs_nothing():
    truth = make_targets(0, 1)
    got = terms(perfect(truth), truth)
    for name in (*OFFSETS, "heatmap"):
        assert got[name] == pytest.approx(0, abs=1e-6), name


def test_no_answer_is_better_than_the_perfect_one():
    """Fractions have an entropy of their own; it is the least to pay."""
    truth = make_targets(0, 1)
    best = perfect(truth)
    wrong = jax.tree.map(jnp.add, best, random_like(best))
    for name in TERMS:
        assert terms(wrong, truth)[name] > terms(best, truth)[name], name
    for name in ("person", "body"):
        true = np.asarray(getattr(truth.maps, name), np.float64)
        asked = np.asarray(getattr(truth, f"asked_{name}"))
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -true * np.log(true) - (1 - true) * np.log(1 - true)
        expected = np.average(np.nan_to_num(entropy), weights=asked)
        np.testing.assert_allclose(terms(best, truth)[name], expected, rtol=1e-4)


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_offset_term_is_the_mean_error_of_what_counts(offset):
    truth = make_targets(0, 1)
    weights = {"short": truth.near, "mid": truth.edge, "long": truth.owned}[offset]
    said = random_like(truth.maps)
    error = np.abs(getattr(said, offset) - getattr(truth.maps, offset)) / RADIUS
    weights = np.broadcast_to(np.asarray(weights, np.float64)[..., None], error.shape)
    expected = np.average(error, weights=weights)
    np.testing.assert_allclose(terms(said, truth)[offset], expected, rtol=1e-5)


def test_the_same_error_costs_the_same_in_every_offset():
    """Before the weights of the settings, which say the rest."""
    truth = make_targets(0, 1)
    moved = {name: getattr(truth.maps, name) + RADIUS / 2 for name in OFFSETS}
    got = terms(dataclasses.replace(perfect(truth), **moved), truth)
    for name in OFFSETS:
        np.testing.assert_allclose(got[name], 0.5, rtol=1e-5)


@pytest.mark.parametrize("broken", [1e3, np.nan])
def test_ignored_pixels_cost_nothing(broken):
    """Neither wherever a weight is 0, nor in a picture of which nothing is known."""
    truth = make_targets(0, 1)
    weights = Maps(
        heatmap=truth.asked,
        short=truth.near[..., None],
        mid=truth.edge[..., None],
        long=truth.owned[..., None],
        person=truth.asked_person,
        body=truth.asked_body,
    )
    said = random_like(truth.maps)
    spoilt = jax.tree.map(lambda w, m: jnp.where(w > 0, m, broken), weights, said)
    assert all((w == 0).any() for w in jax.tree.leaves(weights))
    (loss, report), (expected, wanted) = (total(m, truth=truth) for m in (spoilt, said))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert_same(
        {name: mean.compute() for name, mean in report.items()},
        {name: mean.compute() for name, mean in wanted.items()},
    )


def test_a_picture_of_which_nothing_is_known_costs_nothing():
    unknown = picture(np.full((33, 33), IGNORE, np.uint8), rows=5)
    truth = make(stack(unknown, unknown))

    def loss_of(maps):
        return total(maps, truth=truth)[0]

    loss, gradient = jax.value_and_grad(loss_of)(random_like(truth.maps))
    assert loss == 0
    for leaf in jax.tree.leaves(gradient):
        np.testing.assert_array_equal(leaf, 0)


def test_the_gradient_is_0_where_nothing_counts_and_finite_everywhere():
    truth = make_targets(0, 1)
    maps = random_like(truth.maps)
    gradient = jax.grad(lambda m: total(m, truth=truth)[0])(maps)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    for name, weight in {"mid": truth.edge, "long": truth.owned}.items():
        moves = np.abs(getattr(gradient, name)).sum(-1) > 0
        np.testing.assert_array_equal(moves, np.asarray(weight) > 0)


@pytest.mark.parametrize(
    "axis", [pytest.param(0, id="pictures"), pytest.param(2, id="people and cells")]
)
def test_twice_as_much_of_the_same_costs_the_same(axis):
    """A mean over all that counts, taken once: no division by the batch on top."""
    truth = make_targets(0, 1)
    maps = random_like(truth.maps)
    twice = map_axis(lambda leaf: jnp.concatenate([leaf, leaf], axis), maps, truth)
    assert_same(terms(*twice), terms(maps, truth))


def test_twice_as_many_edges_cost_the_same():
    truth = make_targets(0, 1)
    maps = random_like(truth.maps)

    def double(values):
        return jnp.concatenate([values, values], axis=3)

    more = dataclasses.replace(
        truth,
        edge=double(truth.edge),
        maps=dataclasses.replace(truth.maps, mid=double(truth.maps.mid)),
    )
    assert_same(
        terms(dataclasses.replace(maps, mid=double(maps.mid)), more), terms(maps, truth)
    )


def test_pictures_count_by_what_they_show():
    """A picture with one cell that counts does not weigh as much as a full one."""
    truth = make_targets(0, 1)
    maps = random_like(truth.maps)
    parts = [
        losses.terms(
            *map_axis(lambda leaf, i=i: leaf[i : i + 1], maps, truth),
            radius=RADIUS,
            positive_weight=3.0,
        )
        for i in range(2)
    ]
    merged = {name: parts[0][name].merge(parts[1][name]).compute() for name in TERMS}
    assert_same(merged, terms(maps, truth))


def test_the_loss_is_what_the_settings_make_of_the_terms():
    truth = make_targets(0, 1)
    maps = random_like(truth.maps)
    loss, report = total(maps, truth=truth)
    means = terms(maps, truth)
    expected = sum(getattr(SETTINGS, name) * means[name] for name in TERMS)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(report["total"].compute(), loss)
    assert report.keys() == {"total", *TERMS}
    for name in TERMS:
        without, _ = total(maps, truth=truth, **{name: 0.0})
        share = getattr(SETTINGS, name) * means[name]
        np.testing.assert_allclose(loss - without, share, rtol=1e-3, err_msg=name)


def test_stages_are_averaged_and_the_last_is_reported():
    truth = make_targets(0, 1)
    first, last = (random_like(truth.maps, seed) for seed in (1, 2))
    alone = [total(maps, truth=truth)[0] for maps in (first, last)]
    loss, report = total(first, last, truth=truth)
    np.testing.assert_allclose(loss, np.mean(alone), rtol=1e-6)
    np.testing.assert_allclose(total(last, last, truth=truth)[0], alone[1], rtol=1e-6)
    reported = {name: report[name].compute() for name in TERMS}
    assert_same(reported, terms(last, truth))


@pytest.mark.parametrize("weight", [0.5, 1.0, 4.0])
def test_cells_inside_a_disc_weigh_what_they_are_told(weight):
    truth = make_targets(0, 1)
    maps = random_like(truth.maps)
    means = losses.terms(maps, truth, radius=RADIUS, positive_weight=weight)
    inside = np.asarray(truth.maps.heatmap)
    asked = np.asarray(truth.asked, np.float64)
    loss = np.asarray(losses.sigmoid_cross_entropy(maps.heatmap, truth.maps.heatmap))
    expected = (asked * loss * np.where(inside > 0, weight, 1)).sum() / asked.sum()
    np.testing.assert_allclose(means["heatmap"].compute(), expected, rtol=1e-5)


def test_maps_of_another_shape_are_refused():
    truth = make_targets(0, 1)
    maps = random_like(truth.maps)
    with pytest.raises((ValueError, TypeError)):
        losses.terms(
            dataclasses.replace(maps, person=maps.body),
            truth,
            radius=RADIUS,
            positive_weight=1.0,
        )
