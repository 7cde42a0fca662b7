"""The whole network: what it gives, what it refuses, what it keeps."""

import dataclasses
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from configs.base import get_config
from poseseg_jax.models import poseseg
from poseseg_jax.models.poseseg import ModelSettings, build, largest_stride
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import SKELETONS
from tests.drawn import FAST, draw_variables, mirror_kernels

REPRESENTATION = Representation(
    skeleton=SKELETONS["center"],
    radius=8.0,
    map_stride=4,
    person_stride=2,
    body_sigma=0.1,
)


def _settings(preset="tiny", **changes):
    settings = ModelSettings(**get_config(preset).model.to_dict())
    return dataclasses.replace(settings, **changes)


SMALL = _settings(width=0.25, neck_channels=16, refine_steps=0)
REFINED = dataclasses.replace(SMALL, refine_stages=1, refine_channels=8)


def _images(side=33, seed=0, batch=2):
    shape = (batch, side, side, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _variables(settings):
    network = build(settings, REPRESENTATION)
    return draw_variables(partial(network.init, train=False), _images())


@cache
def _test_time(settings):
    """(variables, pictures) -> stages, compiled once for all that ask."""
    network = build(settings, REPRESENTATION)
    return jax.jit(partial(network.apply, train=False))


@cache
def _training_step(settings):
    """(gradient, updated statistics, statistics before)."""
    network = build(settings, REPRESENTATION)
    variables = _variables(settings)

    def loss(params):
        stages, updated = network.apply(
            {**variables, "params": params}, _images(), True, mutable=["batch_stats"]
        )
        leaves = jax.tree.leaves(stages)
        return sum(jnp.abs(leaf - 0.1).mean() for leaf in leaves), updated

    step = jax.jit(jax.grad(loss, has_aux=True), compiler_options=FAST)
    gradient, updated = step(variables["params"])
    return gradient, updated["batch_stats"], variables["batch_stats"]


def _shapes(settings, images, representation=REPRESENTATION):
    """(shapes of the stages, shapes of the variables), without computing anything."""
    network = build(settings, representation)
    return jax.eval_shape(
        lambda key: network.init_with_output(key, images, False), jax.random.key(0)
    )


@pytest.mark.parametrize("neck", ["fpn", "upsample"])
@pytest.mark.parametrize(
    ("output_stride", "side"), [(8, 57), (16, 129), (16, 401), (32, 97), (32, 641)]
)
def test_maps_have_one_cell_per_stride_and_one_more(neck, output_stride, side):
    settings = dataclasses.replace(SMALL, neck=neck, output_stride=output_stride)
    assert largest_stride(settings) == output_stride
    (maps,), _ = _shapes(settings, np.zeros((1, side, side, 3), np.uint8))
    cells = (side - 1) // 4 + 1
    assert maps.heatmap.shape == (1, cells, cells, 18)
    assert maps.mid.shape == (1, cells, cells, 34, 2)
    assert maps.person.shape == (1, (side - 1) // 2 + 1, (side - 1) // 2 + 1)


def test_the_real_thing_computes_in_bfloat16_and_keeps_float32():
    stages, variables = _shapes(
        _settings(preset=""), np.zeros((2, 641, 641, 3), np.uint8)
    )
    assert stages[-1].long.shape == (2, 161, 161, 18, 2)
    assert stages[-1].person.shape == (2, 321, 321)
    for leaf in jax.tree.leaves((stages, variables)):
        assert leaf.dtype == jnp.float32
    backbone = sum(
        leaf.size for leaf in jax.tree.leaves(variables["params"]["backbone"])
    )
    assert backbone == 42_500_160  # torchvision's resnet101 without its classifier


def test_the_small_one_has_about_a_million_parameters():
    _, variables = _shapes(_settings(), _images(129))
    size = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert 750_000 < size < 1_250_000


def test_each_stage_is_given_and_they_share_what_is_not_refined():
    settings = dataclasses.replace(SMALL, refine_steps=1)
    raw, refined = _test_time(settings)(_variables(settings), _images())
    for name in ("heatmap", "short", "person", "body"):
        np.testing.assert_array_equal(getattr(raw, name), getattr(refined, name))
    for name in ("mid", "long"):
        assert np.abs(getattr(raw, name) - getattr(refined, name)).max() > 0


def test_learned_stages_follow_the_heads_and_offsets_are_refined_last():
    settings = dataclasses.replace(REFINED, refine_stages=2, refine_steps=1)
    stages, variables = _shapes(settings, _images())
    assert len(stages) == 4
    shape_of = partial(jax.tree.map, jnp.shape)
    assert all(shape_of(stage) == shape_of(stages[0]) for stage in stages)
    parts = variables["params"].keys()
    assert parts == {"backbone", "neck", "heads", "refine1", "refine2"}


def test_learned_refinement_changes_every_map():
    raw, refined = _test_time(REFINED)(_variables(REFINED), _images())
    for name in ("heatmap", "short", "mid", "long", "person", "body"):
        assert np.abs(getattr(raw, name) - getattr(refined, name)).max() > 0.01, name


def test_learned_stages_leave_the_rest_of_the_network_as_it_was():
    """Its initial values too: so that two runs differ in what was changed."""

    def initial(settings) -> Any:
        network = build(settings, REPRESENTATION)

        def some() -> Any:
            variables: Any = network.init(jax.random.key(0), _images(), train=False)
            # The rest is not compiled.
            layers = {"backbone": "down0", "neck": "smooth", "heads": "mid"}
            return [
                variables["params"][part][layer]["kernel"]
                for part, layer in layers.items()
            ]

        return jax.jit(some, compiler_options=FAST)()

    for plain, refined in zip(initial(SMALL), initial(REFINED), strict=True):
        np.testing.assert_array_equal(plain, refined)


def test_a_body_map_that_is_left_out_has_neither_head_nor_loss():
    without = dataclasses.replace(REFINED, body_map=False)
    (_, maps), variables = _shapes(without, _images())
    _, whole = _shapes(REFINED, _images())
    for part in ("heads", "refine1"):
        parts = variables["params"][part].keys()
        assert whole["params"][part].keys() - parts == {"body"}
    assert maps.body.shape == maps.heatmap.shape[:-1], "decoders need not know"
    names = poseseg.supervised(REFINED)
    assert set(names) - set(poseseg.supervised(without)) == {"body"}
    assert set(names) == {"heatmap", "short", "mid", "long", "person", "body"}


def test_refinement_has_no_parameters():
    _, without = _shapes(SMALL, _images())
    _, refined = _shapes(dataclasses.replace(SMALL, refine_steps=2), _images())
    assert jax.tree.structure(without) == jax.tree.structure(refined)


@pytest.mark.parametrize(("norm", "moves"), [("live", True), ("frozen", False)])
def test_only_live_norms_move_the_statistics(norm, moves):
    stages = {"live": 1, "frozen": 0}[norm]
    settings = dataclasses.replace(REFINED, norm=norm, refine_stages=stages)
    _, after, before = _training_step(settings)
    for part in before:
        pairs = zip(
            jax.tree.leaves(after[part]), jax.tree.leaves(before[part]), strict=True
        )
        expected = moves or part != "backbone"
        assert all(bool((new != old).any()) == expected for new, old in pairs), part


@pytest.mark.parametrize("backbone", ["tiny", "resnet18", "resnet50"])
def test_frozen_norms_are_the_backbones_and_no_others(backbone):
    settings = dataclasses.replace(REFINED, norm="frozen", backbone=backbone)
    _, variables = _shapes(settings, _images())
    is_frozen = poseseg.frozen_parameters(settings)
    names = traverse_util.flatten_dict(variables["params"], sep="/")
    norms = {name for name in names if name.split("/")[-2].rsplit("_")[-1][:2] == "bn"}
    frozen = {name for name in names if is_frozen(name)}
    assert frozen == {name for name in norms if name.startswith("backbone/")}
    assert norms - frozen, "neck and heads have norms of their own"
    assert poseseg.frozen_parameters(SMALL) is None


@pytest.mark.parametrize(("norm", "stages"), [("live", 1), ("frozen", 0)])
def test_every_parameter_is_trained(norm, stages):
    settings = dataclasses.replace(REFINED, norm=norm, refine_stages=stages)
    gradient, _, _ = _training_step(settings)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, path


def test_a_picture_does_not_depend_on_its_neighbours_at_test_time():
    variables, images = _variables(SMALL), _images()
    others = np.stack([images[0], 255 - images[1]])
    (maps,) = _test_time(SMALL)(variables, images)
    (beside_others,) = _test_time(SMALL)(variables, others)
    for one, other in zip(
        jax.tree.leaves(maps), jax.tree.leaves(beside_others), strict=True
    ):
        np.testing.assert_array_equal(one[0], other[0])
        assert np.abs(one[1] - other[1]).max() > 0


@pytest.mark.parametrize(("neck", "stages"), [("fpn", 1), ("upsample", 0)])
def test_a_mirrored_picture_gives_mirrored_maps(neck, stages):
    """Of kernels symmetric along x: every cell then sits where its pixel sits."""
    settings = dataclasses.replace(REFINED, neck=neck, refine_stages=stages)
    variables, images = mirror_kernels(_variables(settings)), _images()
    *_, maps = _test_time(settings)(variables, images)
    *_, mirrored = _test_time(settings)(variables, images[:, :, ::-1])
    for name in ("heatmap", "short", "mid", "long", "person", "body"):
        got, expected = getattr(mirrored, name)[:, :, ::-1], getattr(maps, name)
        size = np.abs(expected).max()
        np.testing.assert_allclose(got, expected, atol=1e-4 * size, err_msg=name)
        assert np.abs(got[:, :, ::-1] - expected).max() > 0.01 * size, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "vgg"}, r"model.backbone is 'vgg'; there are \('resnet18'"),
        ({"neck": "none"}, "there are .'fpn', 'upsample'"),
        ({"norm": "group"}, "there are .'live', 'frozen'"),
        ({"dtype": "float64"}, "there are .'float32', 'bfloat16'"),
        ({"output_stride": 4}, r"there are \(8, 16, 32\)"),
        ({"bottleneck_stride": "2x2"}, "there are .'3x3', '1x1'"),
        ({"width": 0.0}, "must be positive"),
        ({"neck_channels": 0}, "at least 1"),
        ({"refine_steps": -1}, "at least 0"),
        ({"refine_stages": -1}, "refine_stages is -1; it must be at least 0"),
        ({"refine_channels": 0}, "refine_channels is 0; it must be at least 1"),
        ({"refine_maps": "all"}, "there are .'both', 'keypoint', 'mask'"),
    ],
)
def test_unknown_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(_settings(**changes), REPRESENTATION)


@pytest.mark.parametrize(
    ("settings", "strides", "message"),
    [
        ({"output_stride": 8}, {"map_stride": 16}, r"map_stride is 16.*\[2, 4, 8\]"),
        ({}, {"map_stride": 1, "person_stride": 1}, "map_stride is 1"),
        ({}, {"map_stride": 3}, "map_stride is 3"),
        ({}, {"person_stride": 8}, r"person_stride is 8.*\[1, 2, 4\]"),
    ],
)
def test_strides_that_do_not_fit_are_refused(settings, strides, message):
    with pytest.raises(ValueError, match=message):
        build(_settings(**settings), dataclasses.replace(REPRESENTATION, **strides))


def test_a_side_between_cells_is_refused():
    with pytest.raises(ValueError, match="multiple of the largest stride 16"):
        _shapes(SMALL, np.zeros((1, 65, 64, 3), np.uint8))
