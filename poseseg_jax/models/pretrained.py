"""ImageNet weights for the backbone, from a .safetensors file with torchvision's names.

timm's plain ResNets have the same names.
"""

import logging
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from poseseg_jax import tensors
from poseseg_jax.models import relatives
from poseseg_jax.models.poseseg import MEAN, NORM_EPSILON, STD, ModelSettings

_log = logging.getLogger(__name__)

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
_CLASSIFIER = "fc."
_COUNTER = "num_batches_tracked"


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
        said = [f"{len(self.loaded)} tensors loaded"]
        if self.fresh:
            said.append(f"{len(self.fresh)} start fresh ({self.fresh_parts})")
        if any(name.startswith(_CLASSIFIER) for name in self.unused):
            said.append("the classifier (fc) is not used")
        return "; ".join(said)

    @property
    def fresh_parts(self) -> str:
        """What starts fresh: stages and layers, or single tensors of them."""
        begun = {_part(name) for name in self.loaded}
        shown = {name if _part(name) in begun else _part(name) for name in self.fresh}
        return _some(sorted(shown), most=8)


def _part(name: str) -> str:
    return name.partition(".")[0]


def _some(names: Collection[str], *, most: int) -> str:
    rest = len(names) - most
    more = f" and {rest} more" if rest > 0 else ""
    return ", ".join(list(names)[:most]) + more


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
        with values that are not finite, or was made for another kind of network; or if
        norms that shall be frozen are not in it.
    """
    given, metadata = _read(path)
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
    report = _compare(path, given.keys(), places.keys(), settings)
    for name in report.loaded:
        collection, key = places[name]
        expected = ours[collection][key].shape
        ours[collection][key] = _convert(path, name, given[name], expected, settings)
    replaced = {
        collection: {
            **variables[collection],
            "backbone": traverse_util.unflatten_dict(leaves),
        }
        for collection, leaves in ours.items()
    }
    return {**variables, **replaced}, report


def check(path: str | Path) -> None:
    """Refuses a file that is not there.

    Raises:
      ValueError: naming it.
    """
    if not Path(path).is_file():
        raise ValueError(f"model.pretrained: there is no file {path}.")


def _read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    check(path)
    try:
        return tensors.read(path)
    except ValueError as error:
        raise ValueError(f"model.pretrained: {error}") from error


def _check_origin(
    path: str | Path, metadata: dict[str, str], settings: ModelSettings
) -> None:
    """Compares what a file says of itself, in words, with the network."""
    if settings.backbone == "tiny":
        raise ValueError(
            f'model.pretrained is {path}, but the backbone "tiny" has no such weights; '
            "set model.backbone to the ResNet that they are of."
        )
    if settings.bottleneck_stride == "1x1" and "stride" not in metadata:
        _log.warning(
            "%s does not say where its bottlenecks stride, and model.bottleneck_stride "
            "is \"1x1\": right for Keras' weights, wrong for torchvision's and timm's.",
            path,
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


def _compare(
    path: str | Path,
    given: Iterable[str],
    wanted: Collection[str],
    settings: ModelSettings,
) -> Report:
    """Sorts the names of a file and a backbone, and refuses what must not be."""
    given = sorted(given)
    unused = tuple(name for name in given if _is_not_ours(name))
    surplus = [name for name in given if name not in wanted and name not in unused]
    fresh = tuple(sorted(set(wanted) - set(given)))
    loaded = tuple(name for name in given if name in wanted)
    report = Report(loaded, fresh, unused)
    if surplus:
        raise ValueError(
            f"{path} is not of a {settings.backbone}, which has no {surplus[0]} (the "
            f"first of {len(surplus)} such tensors): {relatives.explain(given)}."
        )
    if not loaded:
        raise ValueError(
            f"{path} holds none of the tensors of a {settings.backbone}, such as "
            f"{min(wanted)}."
        )
    half = [n for n in fresh if n.endswith("running_mean") and _scale(n) in loaded]
    if half:
        raise ValueError(
            f"{path} has {_scale(half[0])}, but no {half[0]}: norms without statistics "
            "are no batch norms, as in timm's resnet50_gn."
        )
    if fresh and not settings.pretrained_partial:
        raise ValueError(
            f"{path} lacks {len(fresh)} of the {len(wanted)} tensors of "
            f"{settings.backbone}: {report.fresh_parts}. If it is of one, set "
            "model.pretrained_partial to let them start fresh."
        )
    norms = [name for name in fresh if re.search(r"bn\d\.|downsample\.1\.", name)]
    if norms and settings.norm == "frozen":
        raise ValueError(
            f"{path} lacks {len(norms)} tensors of norms, such as {norms[0]}, which "
            'model.norm "frozen" would keep as they are, untrained. Set it to "live".'
        )
    return report


def _scale(name: str) -> str:
    return name.replace("running_mean", "weight")


def _is_not_ours(name: str) -> bool:
    return name.startswith(_CLASSIFIER) or name.endswith(_COUNTER)


def _convert(
    path: str | Path,
    name: str,
    tensor: np.ndarray,
    expected: tuple[int, ...],
    settings: ModelSettings,
) -> jax.Array:
    if tensor.ndim == 4:
        tensor = tensor.transpose(2, 3, 1, 0)
    if tensor.shape != expected:
        raise ValueError(
            f"{path}: {name} has the shape {tensor.shape}; {settings.backbone} has "
            f"{expected} (kernels as HWIO). Wide ResNets and ResNeXts, for one, share "
            "the names and not the shapes."
        )
    if not jnp.issubdtype(tensor.dtype, jnp.floating):
        raise ValueError(f"{path}: {name} is {tensor.dtype}, not floating point.")
    if not np.isfinite(tensor.astype(np.float32)).all():
        raise ValueError(f"{path}: {name} has values that are not finite.")
    return jnp.asarray(tensor, jnp.float32)
