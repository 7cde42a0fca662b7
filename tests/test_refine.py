"""Recurrent offset refinement, against a loop and on hand-made maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax import geometry
from poseseg_jax.models.refine import refine, sample
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import SKELETONS
from poseseg_jax.structs import Maps

STRIDE = 4


def _representation(skeleton="center"):
    return Representation(SKELETONS[skeleton], 8.0, STRIDE, 2, 0.1)


def _maps(height=5, width=6, edges=34, spread=15.0, seed=0):
    generator = np.random.default_rng(seed)

    def draw(*shape):
        values = generator.normal(size=(height, width, *shape)) * spread
        return jnp.asarray(values, jnp.float32)

    return Maps(
        heatmap=draw(18),
        short=draw(18, 2),
        mid=draw(edges, 2),
        long=draw(18, 2),
        person=draw(),
        body=draw(),
    )


def _read(field, x, y):
    """`field` [h w 2] at (x, y) px, between the four cells around."""
    height, width = field.shape[:2]
    x, y = np.clip(x / STRIDE, 0, width - 1), np.clip(y / STRIDE, 0, height - 1)
    value = np.zeros(2)
    for row in range(height):
        for column in range(width):
            weight = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
            value += weight * field[row, column]
    return value


def _refine_oracle(offsets, fields):
    """Corrects offsets [h w 2] by each of the fields in turn."""
    result = np.array(offsets, np.float64)
    for row, column in np.ndindex(result.shape[:2]):
        place = np.array([column, row]) * STRIDE
        for field in fields:
            offset = result[row, column]
            result[row, column] = offset + _read(field, *(place + offset))
    return result


@pytest.mark.parametrize(("skeleton", "steps"), [("center", 1), ("tree", 2)])
def test_refinement_equals_a_loop_over_cells(skeleton, steps):
    representation = _representation(skeleton)
    maps = _maps(edges=representation.skeleton.num_edges)
    refined = jax.jit(
        lambda maps: refine(maps, representation=representation, steps=steps)
    )(maps)
    short, mid, long = (np.array(a) for a in (maps.short, maps.mid, maps.long))
    for edge, (_, target) in enumerate(representation.skeleton.edges):
        expected = _refine_oracle(mid[:, :, edge], steps * [short[:, :, target]])
        np.testing.assert_allclose(refined.mid[:, :, edge], expected, atol=2e-3)
    for anchor in range(18):
        fields = steps * [long[:, :, anchor]] + steps * [short[:, :, anchor]]
        expected = _refine_oracle(long[:, :, anchor], fields)
        np.testing.assert_allclose(refined.long[:, :, anchor], expected, atol=2e-3)


def test_other_maps_are_passed_on():
    maps = _maps()
    refined = refine(maps, representation=_representation(), steps=1)
    for name in ("heatmap", "short", "person", "body"):
        assert getattr(refined, name) is getattr(maps, name)


def test_no_steps_change_nothing():
    maps = _maps()
    refined = refine(maps, representation=_representation(), steps=0)
    jax.tree.map(np.testing.assert_array_equal, refined, maps)


def test_an_offset_that_lands_near_its_anchor_is_drawn_onto_it():
    anchor = np.array([18.0, 9.0])
    to_anchor = anchor - geometry.cell_centers(5, 6, STRIDE)
    maps = _maps()
    maps = maps.replace(
        short=jnp.broadcast_to(to_anchor[:, :, None], maps.short.shape),
        mid=jnp.broadcast_to(to_anchor[:, :, None] + 1.5, maps.mid.shape),
        long=jnp.broadcast_to(0.9 * to_anchor[:, :, None], maps.long.shape),
    )
    refined = refine(maps, representation=_representation(), steps=1)
    for offsets in (refined.mid, refined.long):
        expected = np.broadcast_to(to_anchor[:, :, None], offsets.shape)
        np.testing.assert_allclose(offsets, expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(5, 6, 3), (1, 6, 2), (5, 1, 2), (1, 1, 1)])
def test_sampling_and_its_gradient_are_those_of_bilinear(shape):
    generator = np.random.default_rng(1)
    field = jnp.asarray(generator.normal(size=(*shape, 2)), jnp.float32)
    # Also far outside, but nowhere on a cell, where the slope is not defined.
    cells = jnp.asarray(generator.uniform(-3, 8, size=(*shape, 2)), jnp.float32)
    wanted = jnp.asarray(generator.normal(size=(*shape, 2)), jnp.float32)
    bilinear = jax.vmap(geometry.bilinear, in_axes=2, out_axes=2)

    def run(function):
        value, pull = jax.vjp(function, field, cells)
        return value, *pull(wanted)

    got, expected = (jax.jit(run, static_argnums=0)(f) for f in (sample, bilinear))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
