"""ImageNet weights for the backbone, from a .safetensors file with torchvision's names.

Only arrays are read; nothing in such a file can run code.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open

from poseseg_jax.models.poseseg import MEAN, NORM_EPSILON, STD, ModelSettings

# (collection, name in flax) -> name in torch, of the last part.
_LEAVES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
_LAYERS = {"downsample_conv": "downsample.0", "downsample_bn": "downsample.1"}
# What a classifier's file holds beside its backbone.
_NOT_OURS = ("fc.", "num_batches_tracked")


@dataclass(frozen=True)
class Report:
    """What a file gave, in torchvision's names.

    Attributes:
      loaded: tensors that are now the backbone's.
      fresh: tensors of the backbone that the file lacks: they keep the values they had.
      unused: tensors of the file that no backbone has: the classifier's.
    """

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        fresh = f"; {_parts(self.fresh)} start fresh" if self.fresh else ""
        return f"{len(self.loaded)} tensors loaded{fresh}"


def _parts(names: tuple[str, ...]) -> str:
    """The layers or stages that tensors belong to."""
    return ", ".join(sorted({name.partition(".")[0] for name in names}))


def load_backbone(
    path: str | Path, variables: dict[str, Any], *, settings: ModelSettings
) -> tuple[dict[str, Any], Report]:
    """Puts a file's weights into a network's backbone.

    Kernels OIHW become HWIO, running statistics go to batch_stats, all in float32.

    Args:
      path: a .safetensors file. Where its metadata say which stride, input or epsilon
        the weights were trained with, that is compared with the network's.
      variables: {"params", "batch_stats"} of a PoseSeg.
      settings: the network's. `pretrained_partial` allows for tensors that the file
        lacks.

    Returns:
      (variables with the backbone replaced, report).

    Raises:
      ValueError: if the file cannot be read, lacks a tensor (without
        `pretrained_partial`) or all of them, has one too many or of another shape or
        with values that are not finite, or was made for another kind of network.
    """
    tensors, metadata = _read(path)
    _check_origin(path, metadata, settings)
    # Only shapes and names are read from what is replaced: it may be abstract.
    ours: dict[str, dict[tuple[str, ...], Any]] = {
        collection: traverse_util.flatten_dict(variables[collection]["backbone"])
        for collection in ("params", "batch_stats")
    }
    places = {
        _torch_name(collection, key): (collection, key)
        for collection, leaves in ours.items()
        for key in leaves
    }
    report = _compare(path, tensors.keys(), places.keys(), settings)
    for name in report.loaded:
        collection, key = places[name]
        expected = ours[collection][key].shape
        ours[collection][key] = _convert(path, name, tensors[name], expected)
    replaced = {
        collection: {
            **variables[collection],
            "backbone": traverse_util.unflatten_dict(leaves),
        }
        for collection, leaves in ours.items()
    }
    return {**variables, **replaced}, report


def _read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    if not Path(path).is_file():
        raise ValueError(f"model.pretrained: there is no file {path}.")
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a .safetensors file ({error}). Pickled checkpoints are not "
            "read, because they can run code: convert them first."
        ) from error


def _check_origin(
    path: str | Path, metadata: dict[str, str], settings: ModelSettings
) -> None:
    """Compares what a file says of itself, in words, with the network."""
    if settings.backbone == "tiny":
        raise ValueError(
            f'model.pretrained is {path}, but the backbone "tiny" has no such weights; '
            "set model.backbone to the ResNet that they are of."
        )
    early = "first 1x1" in metadata.get("stride", "").lower()
    if early and settings.bottleneck_stride != "1x1":
        raise ValueError(
            f"{path} was trained with strides in the first 1x1 convolutions; set "
            f'model.bottleneck_stride, now "{settings.bottleneck_stride}", to "1x1".'
        )
    epsilon = float(metadata.get("bn_eps", NORM_EPSILON))
    if not np.isclose(epsilon, NORM_EPSILON, rtol=0.1):
        raise ValueError(
            f"{path} was trained with the epsilon {epsilon} in its norms; this network "
            f"has {NORM_EPSILON}."
        )
    order = metadata.get("input", "rgb").lower()
    if not order.startswith("rgb"):
        raise ValueError(
            f"{path} was trained on inputs {order!r}; this network normalises RGB in "
            f"0 ... 1 by mean {MEAN.tolist()} and deviation {STD.tolist()}."
        )


def _torch_name(collection: str, key: tuple[str, ...]) -> str:
    """("layer1_0", "conv1", "kernel") -> "layer1.0.conv1.weight"."""
    *layers, leaf = key
    names = [_LAYERS.get(layer, layer.replace("_", ".")) for layer in layers]
    return ".".join([*names, _LEAVES[collection, leaf]])


def _compare(path: str | Path, given, wanted, settings: ModelSettings) -> Report:
    """Sorts the names of a file and a backbone, and refuses what must not be."""
    unused = tuple(sorted(name for name in given if _is_not_ours(name)))
    surplus = sorted(set(given) - set(wanted) - set(unused))
    fresh = tuple(sorted(set(wanted) - set(given)))
    loaded = tuple(sorted(set(wanted) & set(given)))
    if surplus or not loaded:
        raise ValueError(
            f"{path} is not of a {settings.backbone}: {len(surplus)} of its "
            f"{len(given)} tensors, such as {surplus[:3]}, have no place there; names "
            f"there are such as {sorted(wanted)[:3]}. Set model.backbone to what the "
            "file is of."
        )
    if fresh and not settings.pretrained_partial:
        raise ValueError(
            f"{path} lacks {len(fresh)} of the {len(wanted)} tensors of "
            f"{settings.backbone}: {_parts(fresh)}. To let them start fresh, set "
            "model.pretrained_partial."
        )
    return Report(loaded, fresh, unused)


def _is_not_ours(name: str) -> bool:
    return name.startswith(_NOT_OURS[0]) or name.endswith(_NOT_OURS[1])


def _convert(
    path: str | Path, name: str, tensor: np.ndarray, expected: tuple[int, ...]
) -> jax.Array:
    if tensor.ndim == 4:
        tensor = tensor.transpose(2, 3, 1, 0)
    if tensor.shape != expected:
        raise ValueError(
            f"{path}: {name} has the shape {tensor.shape} (HWIO); expected {expected}."
        )
    if not np.isfinite(tensor).all():
        raise ValueError(f"{path}: {name} has values that are not finite.")
    return jnp.asarray(tensor, jnp.float32)
