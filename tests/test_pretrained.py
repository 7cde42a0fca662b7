"""ImageNet weights: every name and every shape, or an error that says which."""

import dataclasses
import functools
import json
import logging
import pickle
from functools import partial
from typing import Any

import cv2
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from configs.base import get_config
from poseseg_jax.models import resnet
from poseseg_jax.models.poseseg import MEAN, NORM_EPSILON, STD, ModelSettings, build
from poseseg_jax.models.pretrained import load_backbone
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import SKELETONS
from tests import torch_resnets

REPRESENTATION = Representation(SKELETONS["center"], 32.0, 4, 2, 0.1)
SETTINGS = dataclasses.replace(
    ModelSettings(**get_config().model.to_dict()), backbone="resnet18"
)
FIRST_STAGE = ("conv1.", "bn1.", "layer1.")


@functools.cache
def _variables(settings):
    """The shapes of a network's variables."""
    network = build(settings, REPRESENTATION)
    images = np.zeros((1, 65, 65, 3), np.uint8)
    return jax.eval_shape(
        lambda key: network.init(key, images, False), jax.random.key(0)
    )


VARIABLES = _variables(SETTINGS)


def _resnet18():
    """A file's tensors, each of them of one number that no other has nearby."""
    return {
        name: np.full(shape, index % 50, np.float16)
        for index, (name, shape) in enumerate(torch_resnets.shapes("resnet18").items())
    }


def _save(path, tensors, **metadata):
    save_file(tensors, path, metadata)
    return path


def test_every_tensor_finds_its_place(tmp_path):
    tensors = _resnet18()
    kernel = np.arange(64 * 3 * 49, dtype=np.float16).reshape(64, 3, 7, 7) / 128
    tensors["conv1.weight"] = kernel
    path = _save(tmp_path / "r18.safetensors", tensors)
    loaded, report = load_backbone(path, VARIABLES, settings=SETTINGS)
    params = loaded["params"]["backbone"]
    stats = loaded["batch_stats"]["backbone"]
    last = params["layer4_0"]
    got = params["conv1"]["kernel"]
    assert got.dtype == np.float32
    assert got[2, 5, 1, 40] == np.float32(kernel[40, 1, 2, 5])  # HWIO, OIHW
    for leaf, name in [
        (params["layer1_1"]["conv2"]["kernel"], "layer1.1.conv2.weight"),
        (params["layer3_0"]["bn2"]["scale"], "layer3.0.bn2.weight"),
        (params["layer3_0"]["bn2"]["bias"], "layer3.0.bn2.bias"),
        (stats["layer3_0"]["bn2"]["mean"], "layer3.0.bn2.running_mean"),
        (stats["layer3_0"]["bn2"]["var"], "layer3.0.bn2.running_var"),
        (last["downsample_conv"]["kernel"], "layer4.0.downsample.0.weight"),
        (last["downsample_bn"]["bias"], "layer4.0.downsample.1.bias"),
    ]:
        assert np.unique(leaf) == tensors[name].flat[0], name
    assert jax.tree.map(np.shape, loaded) == jax.tree.map(np.shape, VARIABLES)
    assert (len(report.loaded), report.fresh, len(report.unused)) == (100, (), 22)
    for part in ("neck", "heads"):
        assert loaded["params"][part] is VARIABLES["params"][part]


def test_missing_layers_start_fresh_only_when_allowed(tmp_path):
    tensors = {
        name: tensor
        for name, tensor in _resnet18().items()
        if name.startswith(FIRST_STAGE)
    }
    path = _save(tmp_path / "part.safetensors", tensors)
    with pytest.raises(
        ValueError, match=r"lacks 75 of the 100.*layer2, layer3, layer4"
    ):
        load_backbone(path, VARIABLES, settings=SETTINGS)
    allowed = dataclasses.replace(SETTINGS, pretrained_partial=True)
    loaded, report = load_backbone(path, VARIABLES, settings=allowed)
    said = "25 tensors loaded; 75 start fresh (layer2, layer3, layer4)"
    assert str(report) == said
    ours = VARIABLES["params"]["backbone"]
    for name, layer in loaded["params"]["backbone"].items():
        replaced = jax.tree.leaves(layer)[0] is not jax.tree.leaves(ours[name])[0]
        assert replaced == name.startswith(("conv1", "bn1", "layer1")), name


def test_single_tensors_that_start_fresh_are_named(tmp_path):
    tensors = _resnet18()
    del tensors["layer3.1.bn2.bias"]
    path = _save(tmp_path / "nearly.safetensors", tensors)
    allowed = dataclasses.replace(SETTINGS, pretrained_partial=True)
    _, report = load_backbone(path, VARIABLES, settings=allowed)
    said = "99 tensors loaded; 1 start fresh (layer3.1.bn2.bias)"
    assert str(report) == f"{said}; the classifier (fc) is not used"


def test_norms_that_nobody_trained_are_not_frozen(tmp_path):
    """Their last scale would be 0, and their blocks silent for ever."""
    tensors = {k: v for k, v in _resnet18().items() if not k.startswith("layer4.1")}
    path = _save(tmp_path / "part.safetensors", tensors)
    frozen = dataclasses.replace(SETTINGS, pretrained_partial=True, norm="frozen")
    with pytest.raises(ValueError, match=r"8 tensors of norms, such as layer4.1.bn1.b"):
        load_backbone(path, VARIABLES, settings=frozen)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
def test_weights_of_any_precision_become_float32(tmp_path, dtype):
    tensors = {k: v.astype(dtype) for k, v in _resnet18().items()}
    path = _save(tmp_path / "r18.safetensors", tensors)
    loaded, _ = load_backbone(path, VARIABLES, settings=SETTINGS)
    leaf = loaded["params"]["backbone"]["layer2_0"]["bn1"]["scale"]
    assert leaf.dtype == np.float32
    np.testing.assert_array_equal(leaf, tensors["layer2.0.bn1.weight"].astype("f4"))


@pytest.mark.parametrize(
    ("change", "metadata", "message"),
    [
        ({"conv1.weight": (64, 3, 3, 3)}, {}, r"conv1.weight has the shape \(3, 3, 3"),
        (
            {"layer5.0.conv1.weight": (1, 1, 1, 1)},
            {},
            "no layer5.0.conv1.w.*first of 1",
        ),
        ({"bn1.bias": None}, {}, "bn1.bias has values that are not finite"),
        ({}, {"stride": "in the FIRST 1x1 convolution"}, 'to "1x1"'),
        ({}, {"bn_eps": "1e-3"}, "epsilon 0.001"),
        ({}, {"input": "BGR, 0 to 255"}, "normalises RGB"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, change, metadata, message):
    tensors = _resnet18()
    for name, shape in change.items():
        value = np.nan if shape is None else 0
        tensors[name] = np.full(shape or tensors[name].shape, value, np.float32)
    path = _save(tmp_path / "odd.safetensors", tensors, **metadata)
    with pytest.raises(ValueError, match=message):
        load_backbone(path, VARIABLES, settings=SETTINGS)


@pytest.mark.parametrize("backbone", ["resnet34", "resnet50", "tiny"])
def test_weights_of_another_backbone_are_refused(tmp_path, backbone):
    path = _save(tmp_path / "r18.safetensors", _resnet18())
    settings = dataclasses.replace(SETTINGS, backbone=backbone)
    with pytest.raises(ValueError, match=f"r18.safetensors.*{backbone}"):
        load_backbone(path, _variables(settings), settings=settings)


@pytest.mark.parametrize("name", ["resnet34", "resnet50", "resnet101", "resnet152"])
def test_a_file_of_another_depth_is_recognised(tmp_path, name):
    # Shapes of one number each: what is asked of here is names.
    tensors = {key: np.zeros(1, "f4") for key in torch_resnets.shapes(name)}
    path = _save(tmp_path / "deep.safetensors", tensors)
    with pytest.raises(ValueError, match=f"those of a {name}; set model.backbone"):
        load_backbone(path, VARIABLES, settings=SETTINGS)


# A tensor of each kind of network that is not read, and what is said of it.
RELATIVES = {
    "conv1.0.weight": 'three convolutions, as in timm\'s "d"',
    "layer1.0.downsample.2.weight": "pooling in the shortcut",
    "layer1.0.se.fc1.weight": "attention",
    "layer2.0.aa.filt": "blurred pooling",
    "layer1.0.convs.0.weight": "abreast",
    "conv1.bias": "biases",
    "resnet.embedder.embedder.convolution.weight": "transformers library",
    "stages.0.blocks.0.conv1.weight": "another family",
    "module.conv1.weight": "prefix",
    "something.else": "no network is known",
}


@pytest.mark.parametrize("name", RELATIVES)
def test_what_is_not_supported_is_named_by_its_first_surprising_tensor(tmp_path, name):
    path = _save(tmp_path / "odd.safetensors", {name: np.zeros(1, "f4")})
    with pytest.raises(ValueError, match=f"no {name}.*{RELATIVES[name]}"):
        load_backbone(path, VARIABLES, settings=SETTINGS)


def test_group_norms_are_refused_even_in_part(tmp_path):
    tensors = {name: v for name, v in _resnet18().items() if "running" not in name}
    path = _save(tmp_path / "gn.safetensors", tensors)
    allowed = dataclasses.replace(SETTINGS, pretrained_partial=True)
    with pytest.raises(ValueError, match=r"bn1.weight, but no bn1.running_mean.*_gn"):
        load_backbone(path, VARIABLES, settings=allowed)


def test_wide_ones_are_refused_by_their_shapes(tmp_path):
    tensors = _resnet18()
    tensors["layer1.0.conv2.weight"] = np.zeros((128, 128, 3, 3), "f4")
    path = _save(tmp_path / "wide.safetensors", tensors)
    with pytest.raises(ValueError, match=r"layer1.0.conv2.weight has .*Wide ResNets"):
        load_backbone(path, VARIABLES, settings=SETTINGS)


def test_integers_are_no_weights(tmp_path):
    tensors = _resnet18()
    tensors["layer1.0.conv1.weight"] = tensors["layer1.0.conv1.weight"].astype("i1")
    path = _save(tmp_path / "quantised.safetensors", tensors)
    with pytest.raises(ValueError, match=r"layer1.0.conv1.weight is int8"):
        load_backbone(path, VARIABLES, settings=SETTINGS)


def test_strides_that_nobody_vouches_for_are_warned_of(tmp_path, caplog):
    path = _save(tmp_path / "r18.safetensors", _resnet18())
    early = dataclasses.replace(SETTINGS, bottleneck_stride="1x1")
    with caplog.at_level(logging.WARNING):
        load_backbone(path, VARIABLES, settings=SETTINGS)
        assert not caplog.records
        load_backbone(path, VARIABLES, settings=early)
    assert "wrong for torchvision's" in caplog.text


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_pickles_are_not_read_whatever_they_are_called(tmp_path, suffix):
    class Spring:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / f"resnet50{suffix}"
    path.write_bytes(pickle.dumps(Spring(), protocol=2))
    with pytest.raises(ValueError, match=r"not a \.safetensors file") as caught:
        load_backbone(path, VARIABLES, settings=SETTINGS)
    for words in (
        "run code",
        "torch.load",
        "weights_only=True",
        "resnet50.safetensors",
    ):
        assert words in str(caught.value)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2"])
def test_numbers_that_numpy_lacks_are_named(tmp_path, dtype):
    header = {"dtype": dtype, "shape": [4], "data_offsets": [0, 4]}
    text = json.dumps({"conv1.weight": header}).encode()
    path = tmp_path / "small.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(ValueError, match=f"conv1.weight is {dtype}, .* as float32"):
        load_backbone(path, VARIABLES, settings=SETTINGS)


def test_what_is_no_file_or_broken_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        load_backbone(tmp_path / "none", VARIABLES, settings=SETTINGS)
    path = _save(tmp_path / "cut.safetensors", _resnet18())
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(ValueError, match=r"not a \.safetensors file") as caught:
        load_backbone(path, VARIABLES, settings=SETTINGS)
    assert "pickle" not in str(caught.value)
    path = _save(tmp_path / "head.safetensors", {"fc.bias": np.zeros(1000, "f4")})
    with pytest.raises(ValueError, match="none of the tensors of a resnet18"):
        load_backbone(path, VARIABLES, settings=SETTINGS)


PUBLISHED = dataclasses.replace(
    SETTINGS,
    backbone="resnet50",
    bottleneck_stride="1x1",
    pretrained_partial=True,
    dtype="float32",
)


@pytest.fixture(scope="module")
def published(repository):
    """(file, variables with its weights, report)."""
    path = repository.parent / "shared" / "weights"
    path /= "resnet50_v1_imagenet_stem_layer1-3.safetensors"
    if not path.is_file():
        pytest.skip(f"published weights are not there: {path}")
    return path, *load_backbone(path, _variables(PUBLISHED), settings=PUBLISHED)


def test_published_weights_load(published):
    path, loaded, report = published
    tensors = load_file(path)
    assert set(report.loaded) == set(tensors)
    assert str(report) == "215 tensors loaded; 50 start fresh (layer4)"
    np.testing.assert_array_equal(
        loaded["params"]["backbone"]["layer2_0"]["conv2"]["kernel"],
        tensors["layer2.0.conv2.weight"].transpose(2, 3, 1, 0).astype(np.float32),
    )


def _features(loaded, image, *, dtype):
    """Stride -> what the backbone says of one picture, [h w c]."""
    layers = {
        "conv": partial(resnet.conv_layer, use_bias=False, dtype=jnp.dtype(dtype)),
        "norm": partial(
            nn.BatchNorm,
            use_running_average=True,
            epsilon=NORM_EPSILON,
            dtype=jnp.dtype(dtype),
        ),
    }
    backbone = resnet.build_resnet(
        "resnet50", output_stride=32, bottleneck_stride="1x1", **layers
    )
    # What the file lacks is an abstract array still.
    variables = {
        name: jax.tree.map(
            lambda leaf: leaf if isinstance(leaf, jax.Array) else np.zeros(leaf.shape),
            loaded[name]["backbone"],
        )
        for name in ("params", "batch_stats")
    }
    found: Any = backbone.apply(variables, image[None])
    return {stride: np.asarray(x[0], np.float32) for stride, x in found.items()}


def _correlation(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


def test_published_features_are_those_of_plain_numpy(published, shared_data):
    path, loaded, _ = published
    photograph = min((shared_data / "coco_original_sample").rglob("*.jpg"))
    pixels = cv2.imread(str(photograph))[100:165, 200:265, ::-1]
    image = (pixels / np.float32(255) - MEAN) / STD
    expected = torch_resnets.forward(load_file(path), image, stride_in="1x1")
    ends = {2: "bn1", 4: "layer1.2", 8: "layer2.3", 16: "layer3.5"}
    for dtype, close in (("float32", 0.999999), ("bfloat16", 0.999)):
        features = _features(loaded, image, dtype=dtype)
        for stride, layer in ends.items():
            alike = _correlation(features[stride], np.maximum(expected[layer], 0))
            assert alike > close, (dtype, layer)
