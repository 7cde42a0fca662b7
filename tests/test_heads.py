"""From features to Maps."""

import dataclasses
from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax.models import heads, resnet
from poseseg_jax.models.heads import Heads, shallow_stride
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import SKELETONS
from tests.drawn import draw_variables

LAYERS = {
    "conv": partial(resnet.conv_layer, use_bias=False),
    "norm": partial(nn.BatchNorm, use_running_average=True),
}
REPRESENTATION = Representation(
    skeleton=SKELETONS["tree"],
    radius=8.0,
    map_stride=4,
    person_stride=2,
    body_sigma=0.1,
)


def _features(stride, channels, seed=0, side=33, dtype=jnp.float32):
    cells = side // stride + 1
    values = np.random.default_rng(seed).normal(size=(2, cells, cells, channels))
    return jnp.asarray(values, dtype)


def _inputs(representation, stride, dtype=jnp.float32):
    shallow = _features(shallow_stride(representation), 3, seed=1)
    return _features(stride, 32, dtype=dtype), shallow


def _variables(representation, stride):
    module = Heads(representation, stride, **LAYERS)
    return draw_variables(module.init, *_inputs(representation, stride))


@cache
def _heads(representation, stride):
    return jax.jit(Heads(representation, stride, **LAYERS).apply)


@pytest.mark.parametrize(
    ("map_stride", "person_stride", "stride"),
    [(4, 2, 4), (4, 2, 16), (4, 1, 4), (8, 8, 8), (1, 1, 8)],
)
def test_maps_have_the_cells_of_their_strides(map_stride, person_stride, stride):
    representation = dataclasses.replace(
        REPRESENTATION, map_stride=map_stride, person_stride=person_stride
    )
    maps, _ = jax.eval_shape(
        Heads(representation, stride, **LAYERS).init_with_output,
        jax.random.key(0),
        *_inputs(representation, stride),
    )
    cells, fine = 32 // map_stride + 1, 32 // person_stride + 1
    assert maps.heatmap.shape == (2, cells, cells, 18)
    assert maps.short.shape == maps.long.shape == (2, cells, cells, 18, 2)
    assert maps.mid.shape == (2, cells, cells, 32, 2)
    assert maps.body.shape == (2, cells, cells)
    assert maps.person.shape == (2, fine, fine)


def test_untrained_maps_say_their_priors_and_hardly_any_offset():
    module = Heads(REPRESENTATION, 4, **LAYERS)
    inputs = _inputs(REPRESENTATION, 4)
    maps, _ = jax.jit(module.init_with_output)(jax.random.key(0), *inputs)
    for logits, prior in [
        (maps.heatmap, heads.HEATMAP_PRIOR),
        (maps.person, heads.PERSON_PRIOR),
        (maps.body, heads.BODY_PRIOR),
    ]:
        assert np.median(jax.nn.sigmoid(logits)) == pytest.approx(prior, rel=0.3)
    for offsets in (maps.short, maps.mid, maps.long):
        assert np.abs(offsets).mean() < 0.1 * REPRESENTATION.radius


def test_offsets_are_predicted_in_units_of_the_radius():
    wider = dataclasses.replace(REPRESENTATION, radius=24.0)
    variables, inputs = _variables(REPRESENTATION, 4), _inputs(REPRESENTATION, 4)
    maps = _heads(REPRESENTATION, 4)(variables, *inputs)
    tripled = _heads(wider, 4)(variables, *inputs)
    for name in ("short", "mid", "long"):
        np.testing.assert_allclose(
            getattr(tripled, name), 3 * getattr(maps, name), rtol=1e-5
        )
    np.testing.assert_array_equal(tripled.heatmap, maps.heatmap)


def test_maps_are_float32_from_any_features():
    maps, _ = jax.eval_shape(
        Heads(REPRESENTATION, 4, **LAYERS).init_with_output,
        jax.random.key(0),
        *_inputs(REPRESENTATION, 4, jnp.bfloat16),
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(maps)} == {jnp.dtype("float32")}


def test_upsampled_maps_keep_the_values_of_coarse_cells():
    coarse = dataclasses.replace(REPRESENTATION, map_stride=16)
    variables, inputs = _variables(REPRESENTATION, 16), _inputs(REPRESENTATION, 16)
    maps = _heads(REPRESENTATION, 16)(variables, *inputs)
    expected = _heads(coarse, 16)(variables, *inputs)
    for name in ("heatmap", "short", "mid", "long", "body"):
        np.testing.assert_allclose(
            getattr(maps, name)[:, ::4, ::4], getattr(expected, name), rtol=1e-4
        )


def test_only_the_person_map_sees_the_shallow_features():
    variables = _variables(REPRESENTATION, 4)
    x, shallow = _inputs(REPRESENTATION, 4)
    maps = _heads(REPRESENTATION, 4)(variables, x, shallow)
    other = _heads(REPRESENTATION, 4)(variables, x, shallow + 1)
    assert np.abs(other.person - maps.person).max() > 0
    for name in ("heatmap", "short", "mid", "long", "body"):
        np.testing.assert_array_equal(getattr(other, name), getattr(maps, name))
