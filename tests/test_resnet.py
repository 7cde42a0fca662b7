"""Backbones: their cells, their blocks, and what dilation keeps."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax.models import resnet
from poseseg_jax.models.resnet import BasicBlock, Bottleneck, ResNet, stage_grids
from poseseg_jax.models.tiny import Tiny
from tests import torch_resnets
from tests.drawn import draw_variables, mirror_kernels

LAYERS = {
    "conv": partial(resnet.conv_layer, use_bias=False),
    "norm": partial(nn.BatchNorm, use_running_average=True),
}
EARLY = partial(Bottleneck, stride_in="1x1")
SMALL = {
    "basic": lambda stride: ResNet(BasicBlock, (1, 1, 1, 1), stride, **LAYERS),
    "bottleneck": lambda stride: ResNet(Bottleneck, (1, 1, 1, 1), stride, **LAYERS),
    "early stride": lambda stride: ResNet(EARLY, (1, 1, 1, 1), stride, **LAYERS),
    "tiny": lambda stride: Tiny(0.25, stride, **LAYERS),
}


DOWNSAMPLE = {"downsample_conv": "downsample.0", "downsample_bn": "downsample.1"}


def torch_name(path):
    """("layer1_0", "downsample_bn") -> "layer1.0.downsample.1"."""
    return ".".join(DOWNSAMPLE.get(name, name.replace("_", ".")) for name in path)


def to_flax(tensors, module):
    """Variables of a flax module that torchvision names, by its own names."""
    leaves = {"kernel": "weight", "scale": "weight", "bias": "bias"}
    leaves |= {"mean": "running_mean", "var": "running_var"}
    image = jnp.zeros((1, 33, 33, 3))

    def find(path, leaf):
        _, *layers, last = (key.key for key in path)
        found = tensors[f"{torch_name(layers)}.{leaves[last]}"]
        found = found.transpose(2, 3, 1, 0) if found.ndim == 4 else found
        assert found.shape == leaf.shape, layers
        return found

    variables = jax.eval_shape(module.init, jax.random.key(0), image)
    return jax.tree_util.tree_map_with_path(find, variables)


def outputs_of(intermediates, path=()):
    """(path of a module, what it said), from flax's capture_intermediates."""
    for name, below in intermediates.items():
        if name == "__call__":
            yield path, below[0]
        else:
            yield from outputs_of(below, (*path, name))


def _convolve(x, kernel, stride=1, dilation=1):
    """A convolution of [h w c], padded alike on both sides, as three loops."""
    size = kernel.shape[0]
    reach = dilation * (size // 2)
    x = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
    rows = range(0, x.shape[0] - 2 * reach, stride)
    columns = range(0, x.shape[1] - 2 * reach, stride)
    out = np.zeros((len(rows), len(columns), kernel.shape[3]))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            for a in range(size):
                for b in range(size):
                    pixel = x[row + a * dilation, column + b * dilation]
                    out[i, j] += pixel @ kernel[a, b]
    return out


def _block_oracle(x, variables, convolutions, shortcut_stride):
    """convolutions: (stride, dilation) of each."""
    params, stats = variables["params"], variables["batch_stats"]

    def normalise(x, name):
        x = (x - stats[name]["mean"]) / np.sqrt(stats[name]["var"] + 1e-5)
        return x * params[name]["scale"] + params[name]["bias"]

    y = x
    for index, (stride, dilation) in enumerate(convolutions, 1):
        y = _convolve(y, params[f"conv{index}"]["kernel"], stride, dilation)
        y = normalise(y, f"bn{index}")
        if index < len(convolutions):
            y = np.maximum(y, 0)
    if "downsample_conv" in params:
        x = _convolve(x, params["downsample_conv"]["kernel"], shortcut_stride)
        x = normalise(x, "downsample_bn")
    return np.maximum(x + y, 0)


@pytest.mark.parametrize(
    ("block", "channels", "stride", "dilation", "convolutions"),
    [
        (BasicBlock, 4, 1, (1, 1), [(1, 1), (1, 1)]),
        (BasicBlock, 6, 2, (1, 1), [(2, 1), (1, 1)]),
        (BasicBlock, 4, 1, (1, 2), [(1, 1), (1, 2)]),
        (Bottleneck, 1, 1, (2, 2), [(1, 1), (1, 2), (1, 1)]),
        (Bottleneck, 2, 2, (1, 1), [(1, 1), (2, 1), (1, 1)]),
        (Bottleneck, 1, 1, (1, 2), [(1, 1), (1, 1), (1, 1)]),
        (EARLY, 2, 2, (1, 1), [(2, 1), (1, 1), (1, 1)]),
        (EARLY, 2, 1, (2, 4), [(1, 1), (1, 4), (1, 1)]),
    ],
)
def test_a_block_is_its_convolutions_and_a_shortcut(
    block, channels, stride, dilation, convolutions
):
    x = np.random.default_rng(1).normal(size=(1, 9, 9, 4)).astype(np.float32)
    module = block(channels, stride, dilation, **LAYERS)
    variables = draw_variables(module.init, x)
    expected = _block_oracle(x[0], variables, convolutions, stride)
    got = jax.jit(module.apply)(variables, x)[0]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "stride_in", "output_stride"),
    [
        ("resnet18", "3x3", 32),
        ("resnet34", "3x3", 32),
        ("resnet50", "1x1", 8),
        ("resnet101", "3x3", 16),
        ("resnet152", "3x3", 16),
    ],
)
def test_every_layer_says_what_plain_numpy_says(name, stride_in, output_stride):
    image = np.random.default_rng(4).normal(size=(33, 49, 3)).astype(np.float32)
    tensors = torch_resnets.draw(name)
    options = {"stride_in": stride_in, "output_stride": output_stride}
    expected = torch_resnets.forward(tensors, image, **options)
    backbone = resnet.build_resnet(
        name, output_stride=output_stride, bottleneck_stride=stride_in, **LAYERS
    )
    variables = to_flax(tensors, backbone)
    # Not jitted: so every kind of layer is compiled once, for all depths that have it.
    said: Any
    _, said = backbone.apply(variables, image[None], capture_intermediates=True)
    seen = {
        torch_name(path): x for path, x in outputs_of(said["intermediates"]) if path
    }
    assert seen.keys() == expected.keys()
    for layer, values in expected.items():
        size = np.abs(values).max()
        assert size > 0.1, f"{layer} is silent"
        np.testing.assert_allclose(
            seen[layer][0], values, rtol=0, atol=1e-4 * size, err_msg=layer
        )


@pytest.mark.parametrize("name", list(resnet.RESNETS))
def test_parameters_are_as_many_as_published(name):
    shapes = torch_resnets.shapes(name)
    counted = [shape for key, shape in shapes.items() if "running" not in key]
    counted = [shape for shape in counted if shape != ()]
    classifier = np.prod(shapes["fc.weight"]) + 1000
    assert sum(map(np.prod, counted)) == torch_resnets.PARAMETERS[name]
    backbone = resnet.build_resnet(
        name, output_stride=32, bottleneck_stride="3x3", **LAYERS
    )
    image = jnp.zeros((1, 33, 33, 3))
    variables: Any = jax.eval_shape(backbone.init, jax.random.key(0), image)
    params = variables["params"]
    ours = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert ours == torch_resnets.PARAMETERS[name] - classifier


@pytest.mark.parametrize(
    ("strides", "limit", "expected"),
    [
        ((1, 2, 2, 2), 8, [(1, 1, 1), (2, 1, 1), (2, 1, 1), (2, 1, 1)]),
        ((1, 2, 2, 2), 4, [(1, 1, 1), (2, 1, 1), (2, 1, 1), (1, 1, 2)]),
        ((1, 2, 2, 2), 2, [(1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 4)]),
    ],
)
def test_strides_beyond_the_limit_become_dilation(strides, limit, expected):
    assert stage_grids(strides, limit) == expected


@pytest.mark.parametrize("stride", resnet.OUTPUT_STRIDES)
@pytest.mark.parametrize("name", [*resnet.RESNETS, "tiny"])
def test_every_stride_has_its_cells(name, stride):
    backbone = (
        Tiny(1.0, stride, **LAYERS)
        if name == "tiny"
        else resnet.build_resnet(
            name, output_stride=stride, bottleneck_stride="3x3", **LAYERS
        )
    )
    image = jnp.zeros((1, 2 * stride + 1, 5 * stride + 1, 3))
    features, _ = jax.eval_shape(backbone.init_with_output, jax.random.key(0), image)
    assert list(features) == [2**n for n in range(1, 6) if 2**n <= stride]
    for at, feature in features.items():
        assert feature.shape[1:3] == (2 * stride // at + 1, 5 * stride // at + 1)
    channels = {"resnet18": 512, "resnet34": 512, "tiny": 128}.get(name, 2048)
    assert features[stride].shape[3] == channels


@pytest.mark.parametrize("name", ["basic", "bottleneck", "early stride"])
def test_output_strides_agree_where_their_grids_coincide(name):
    image = np.random.default_rng(2).normal(size=(1, 65, 65, 3)).astype(np.float32)
    variables = draw_variables(SMALL[name](32).init, image)
    deepest = {
        stride: np.array(jax.jit(SMALL[name](stride).apply)(variables, image)[stride])
        for stride in resnet.OUTPUT_STRIDES
    }
    for stride in (16, 8):
        step = 32 // stride
        np.testing.assert_allclose(
            deepest[stride][:, ::step, ::step], deepest[32], rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("stride", [32, 8])
@pytest.mark.parametrize("name", list(SMALL))
def test_a_mirrored_picture_gives_mirrored_features(name, stride):
    image = np.random.default_rng(3).normal(size=(1, 65, 65, 3)).astype(np.float32)
    backbone = SMALL[name](stride)
    variables = mirror_kernels(draw_variables(backbone.init, image))
    apply = jax.jit(backbone.apply)
    plain, mirrored = (apply(variables, x) for x in (image, image[:, :, ::-1]))
    for at, feature in plain.items():
        size = np.abs(feature).max()
        np.testing.assert_allclose(
            mirrored[at][:, :, ::-1], feature, atol=1e-5 * size, err_msg=f"{at}"
        )


@pytest.mark.parametrize("name", ["basic", "early stride", "tiny"])
def test_one_lit_pixel_shines_around_its_own_cell(name):
    """Of kernels without negative weights, symmetric along both axes."""
    row, column, reach = 48, 64, 2
    image = np.zeros((1, 129, 129, 3), np.float32)
    image[0, row, column] = 1
    backbone = SMALL[name](8)
    variables = draw_variables(backbone.init, image, positive=True)
    variables = mirror_kernels(mirror_kernels(variables, axis=0), axis=1)
    features = jax.jit(backbone.apply)(variables, image)
    for stride in (2, 4):
        light = np.array(features[stride][0]).sum(-1)
        i, j = row // stride, column // stride
        around = light[i - reach : i + reach + 1, j - reach : j + reach + 1]
        assert around.max() > light[0, 0]
        np.testing.assert_allclose(around, around[::-1], rtol=1e-4)
        np.testing.assert_allclose(around, around[:, ::-1], rtol=1e-4)
