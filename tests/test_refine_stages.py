"""Learned refinement: what a stage sees, what it corrects, and where it sits."""

import dataclasses
from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax.models import refine_stages, resnet
from poseseg_jax.models.heads import shallow_stride
from poseseg_jax.models.refine_stages import RefineStage
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import NUM_KEYPOINTS, SKELETONS
from poseseg_jax.structs import Maps
from tests.drawn import FAST, draw_variables

LAYERS = {
    "conv": partial(resnet.conv_layer, use_bias=False),
    "norm": partial(nn.BatchNorm, use_running_average=True),
}
REPRESENTATION = Representation(SKELETONS["tree"], 8.0, 4, 2, 0.1)
KEYPOINT_MAPS = ("heatmap", "short", "mid", "body")
MASK_MAPS = ("long", "person")


def _stage(representation=REPRESENTATION, stride=4, *, refined="both", body_map=True):
    return RefineStage(representation, stride, 8, refined, body_map, **LAYERS)


def _inputs(representation=REPRESENTATION, stride=4, side=65):
    """(features, shallow features, maps) of one picture."""
    rng = np.random.default_rng(0)

    def draw(step, *channels, spread=1.0):
        cells = (side - 1) // step + 1
        values = rng.normal(0, spread, (1, cells, cells, *channels))
        return jnp.asarray(values, jnp.float32)

    cell, radius = representation.map_stride, representation.radius
    maps = Maps(
        heatmap=draw(cell, 18),
        short=draw(cell, 18, 2, spread=radius),
        mid=draw(cell, representation.skeleton.num_edges, 2, spread=radius),
        long=draw(cell, 18, 2, spread=radius),
        person=draw(representation.person_stride),
        body=draw(cell),
    )
    return draw(stride, 16), draw(shallow_stride(representation), 5), maps


@cache
def _drawn(**options):
    """(variables, compiled stage) of a stage with the tests' representation."""
    stage = _stage(**options)
    return draw_variables(stage.init, *_inputs()), jax.jit(stage.apply)


def _difference(one, other, name):
    return np.abs(np.asarray(getattr(one, name) - getattr(other, name)))


@pytest.mark.parametrize(
    ("map_stride", "person_stride", "stride"),
    [(4, 2, 4), (4, 2, 16), (4, 1, 4), (8, 8, 8), (1, 1, 8), (8, 2, 8)],
)
def test_a_stage_keeps_the_shape_of_every_map(map_stride, person_stride, stride):
    representation = dataclasses.replace(
        REPRESENTATION, map_stride=map_stride, person_stride=person_stride
    )
    inputs = _inputs(representation, stride)
    stage = _stage(representation, stride)
    after, _ = jax.eval_shape(stage.init_with_output, jax.random.key(0), *inputs)
    expected = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), inputs[-1])
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == expected


def test_an_untrained_stage_hardly_corrects():
    inputs = _inputs()
    stage = _stage()
    apply = jax.jit(stage.init_with_output, compiler_options=FAST)
    after, _ = apply(jax.random.key(0), *inputs)
    for name in (*KEYPOINT_MAPS, *MASK_MAPS):
        size = 1.0 if name in ("heatmap", "person", "body") else REPRESENTATION.radius
        difference = _difference(after, inputs[-1], name)
        assert 0 < difference.mean() < 0.2 * size, name


@pytest.mark.parametrize("refined", refine_stages.REFINED)
def test_maps_that_are_not_refined_are_passed_on(refined):
    variables, stage = _drawn(refined=refined)
    inputs = _inputs()
    after = stage(variables, *inputs)
    for kind, names in (("keypoint", KEYPOINT_MAPS), ("mask", MASK_MAPS)):
        for name in names:
            changed = _difference(after, inputs[-1], name).max() > 0
            assert changed == (refined in (kind, "both")), name


def test_keypoints_and_masks_have_a_network_each():
    variables, stage = _drawn()
    x, shallow, maps = _inputs()
    after = stage(variables, x, shallow, maps)
    for seen, others in ((KEYPOINT_MAPS, MASK_MAPS), (MASK_MAPS, KEYPOINT_MAPS)):
        for name in seen:
            moved = maps.replace(**{name: getattr(maps, name) + 1})
            other = stage(variables, x, shallow, moved)
            for read in seen:
                # Beyond what is passed on: that it moved by 1 is no correction.
                by = 1.0 if read == name else 0.0
                moved_by = _difference(other, after, read)
                assert np.abs(moved_by - by).max() > 1e-3, (name, read)
            for read in others:
                assert _difference(other, after, read).max() == 0, (name, read)


def test_a_correction_comes_from_fourteen_cells_around():
    variables, stage = _drawn()
    x, shallow, maps = _inputs(side=193)
    lit = maps.replace(heatmap=maps.heatmap.at[:, 24, 24, 3].add(5.0))
    difference = _difference(
        stage(variables, x, shallow, lit), stage(variables, x, shallow, maps), "short"
    )
    rows, columns = np.nonzero(difference[0].max((-1, -2)))
    assert (rows.min(), rows.max()) == (24 - 14, 24 + 14)
    assert (columns.min(), columns.max()) == (24 - 14, 24 + 14)


def test_offsets_are_seen_and_corrected_in_units_of_the_radius():
    """So a stage knows nothing of how large pictures are."""
    x, shallow, maps = _inputs()
    wider = dataclasses.replace(REPRESENTATION, radius=3 * REPRESENTATION.radius)
    tripled = maps.replace(short=3 * maps.short, mid=3 * maps.mid, long=3 * maps.long)
    variables, stage = _drawn()
    expected = stage(variables, x, shallow, maps)
    got = jax.jit(_stage(wider).apply)(variables, x, shallow, tripled)
    for name in ("short", "mid", "long"):
        np.testing.assert_allclose(
            getattr(got, name), 3 * getattr(expected, name), rtol=1e-3, atol=1e-3
        )
    np.testing.assert_allclose(got.heatmap, expected.heatmap, rtol=1e-3, atol=1e-3)


def test_without_a_body_map_the_refined_heatmaps_stand_for_it():
    variables, stage = _drawn(body_map=False)
    after = stage(variables, *_inputs())
    strongest = after.heatmap[..., :NUM_KEYPOINTS].max(-1)
    np.testing.assert_array_equal(after.body, strongest)
    assert "body" not in variables["params"]
