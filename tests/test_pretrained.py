"""ImageNet weights: every name and every shape, or an error that says which."""

import dataclasses
import pickle

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from configs.base import get_config
from poseseg_jax.models.poseseg import ModelSettings, build
from poseseg_jax.models.pretrained import load_backbone
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import SKELETONS

REPRESENTATION = Representation(SKELETONS["center"], 32.0, 4, 2, 0.1)
SETTINGS = dataclasses.replace(
    ModelSettings(**get_config().model.to_dict()), backbone="resnet18"
)
FIRST_STAGE = ("conv1.", "bn1.", "layer1.")


def _variables(settings):
    """The shapes of a network's variables."""
    network = build(settings, REPRESENTATION)
    images = np.zeros((1, 65, 65, 3), np.uint8)
    return jax.eval_shape(
        lambda key: network.init(key, images, False), jax.random.key(0)
    )


VARIABLES = _variables(SETTINGS)


def _resnet18():
    """torchvision's names and shapes, written down from its definition."""
    tensors = {}

    def add(conv, norm, out, inputs, size):
        tensors[f"{conv}.weight"] = (out, inputs, size, size)
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{norm}.{leaf}"] = (out,)
        tensors[f"{norm}.num_batches_tracked"] = ()

    add("conv1", "bn1", 64, 3, 7)
    channels = (64, 64, 128, 256, 512)
    for stage in (1, 2, 3, 4):
        before, out = channels[stage - 1], channels[stage]
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            add(f"{name}.conv1", f"{name}.bn1", out, out if block else before, 3)
            add(f"{name}.conv2", f"{name}.bn2", out, out, 3)
        if stage > 1:
            name = f"layer{stage}.0.downsample"
            add(f"{name}.0", f"{name}.1", out, before, 1)
    tensors["fc.weight"], tensors["fc.bias"] = (1000, 512), (1000,)
    return {
        name: np.full(shape, index % 50, np.float16)
        for index, (name, shape) in enumerate(tensors.items())
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
    with pytest.raises(ValueError, match=r"lacks 75 of the 100.*layer2, layer3"):
        load_backbone(path, VARIABLES, settings=SETTINGS)
    allowed = dataclasses.replace(SETTINGS, pretrained_partial=True)
    loaded, report = load_backbone(path, VARIABLES, settings=allowed)
    assert str(report) == "25 tensors loaded; layer2, layer3, layer4 start fresh"
    ours = VARIABLES["params"]["backbone"]
    for name, layer in loaded["params"]["backbone"].items():
        replaced = jax.tree.leaves(layer)[0] is not jax.tree.leaves(ours[name])[0]
        assert replaced == name.startswith(("conv1", "bn1", "layer1")), name


@pytest.mark.parametrize(
    ("change", "metadata", "message"),
    [
        ({"conv1.weight": (64, 3, 3, 3)}, {}, r"conv1.weight has the shape \(3, 3, 3"),
        ({"layer5.0.conv1.weight": (1, 1, 1, 1)}, {}, "1 of its .*'layer5.0.conv1"),
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


def test_only_safetensors_are_read(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps({"conv1.weight": [0.0]}))
    with pytest.raises(ValueError, match=r"not a \.safetensors file.*Pickled"):
        load_backbone(path, VARIABLES, settings=SETTINGS)
    with pytest.raises(ValueError, match="there is no file"):
        load_backbone(tmp_path / "none", VARIABLES, settings=SETTINGS)


def test_published_weights_load(repository):
    path = repository.parent / "shared" / "weights"
    path /= "resnet50_v1_imagenet_stem_layer1-3.safetensors"
    if not path.is_file():
        pytest.skip(f"published weights are not there: {path}")
    settings = dataclasses.replace(
        SETTINGS, backbone="resnet50", bottleneck_stride="1x1", pretrained_partial=True
    )
    variables = _variables(settings)
    loaded, report = load_backbone(path, variables, settings=settings)
    tensors = load_file(path)
    assert set(report.loaded) == set(tensors)
    assert {name.partition(".")[0] for name in report.fresh} == {"layer4"}
    np.testing.assert_array_equal(
        loaded["params"]["backbone"]["layer2_0"]["conv2"]["kernel"],
        tensors["layer2.0.conv2.weight"].transpose(2, 3, 1, 0).astype(np.float32),
    )
