"""The whole network: uint8 pictures in, Maps out, stage by stage."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from poseseg_jax import geometry
from poseseg_jax.models import neck, resnet, tiny
from poseseg_jax.models.heads import Heads, shallow_stride
from poseseg_jax.models.refine import refine
from poseseg_jax.models.refine_stages import REFINED, RefineStage
from poseseg_jax.representation import Representation
from poseseg_jax.structs import Array, Maps

BACKBONES = (*resnet.RESNETS, "tiny")
NORMS = ("live", "frozen")
DTYPES = ("float32", "bfloat16")

# ImageNet's, of RGB in 0 ... 1: what weights trained on it expect.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class ModelSettings:
    """See `model` in configs/base.py."""

    backbone: str
    width: float
    output_stride: int
    bottleneck_stride: str
    neck: str
    neck_channels: int
    refine_stages: int
    refine_channels: int
    refine_maps: str
    refine_steps: int
    body_map: bool
    norm: str
    dtype: str
    remat: bool
    pretrained: str
    pretrained_partial: bool


class PoseSeg(nn.Module):
    """Backbone, neck, heads, learned refinement, recurrent refinement.

    Attributes:
      settings: which of each.
      representation: what the maps mean.
    """

    settings: ModelSettings
    representation: Representation

    @nn.compact
    def __call__(
        self, images: UInt8[Array, "B H W 3"], train: bool
    ) -> tuple[Maps, ...]:
        """Maps of B pictures, stage by stage; the last stage is the answer.

        Args:
          images: RGB; sides a multiple of `largest_stride(settings)`, plus 1.
          train: whether norms take this batch's statistics and update the running
            ones. Those of a backbone with norm "frozen" never do.

        Returns:
          What the heads say, then what each of refine_stages makes of it, and then,
          with refine_steps, the last of these with mid and long refined. A map of
          stride s has (side - 1) / s + 1 cells along a side.

        Raises:
          ValueError: if a side does not fit.
        """
        for side in images.shape[1:3]:
            geometry.check_side(side, largest_stride(self.settings))
        frozen = self.settings.norm == "frozen"
        backbone = self._backbone(self._layers(train and not frozen))
        features = backbone((images / np.float32(255) - MEAN) / STD)
        # Neck and heads start fresh: they have no statistics worth keeping.
        layers = self._layers(train)
        stride = self.settings.output_stride
        x = features[stride]
        if self.settings.neck == "fpn":
            stride = self.representation.map_stride
            channels = self.settings.neck_channels
            x = neck.Fpn(channels, stride, **layers, name="neck")(features)
        shallow = features[shallow_stride(self.representation)]
        heads = Heads(
            self.representation,
            stride,
            **layers,
            body_map=self.settings.body_map,
            name="heads",
        )
        stages = [heads(x, shallow)]
        for number in range(1, self.settings.refine_stages + 1):
            stage = self._refine_stage(stride, layers, number)
            stages.append(stage(x, shallow, stages[-1]))
        steps = self.settings.refine_steps
        if steps:
            one = partial(refine, representation=self.representation, steps=steps)
            stages.append(jax.vmap(one)(stages[-1]))
        return tuple(stages)

    def _layers(self, train: bool) -> dict[str, Any]:
        dtype = jnp.dtype(self.settings.dtype)
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=0.9,
            epsilon=NORM_EPSILON,
            dtype=dtype,
        )
        conv = partial(resnet.conv_layer, use_bias=False, dtype=dtype)
        return {"conv": conv, "norm": norm}

    def _backbone(self, layers: dict[str, Any]) -> nn.Module:
        settings = self.settings
        stride = settings.output_stride
        if settings.backbone == "tiny":
            block = resnet.block_type(resnet.BasicBlock, remat=settings.remat)
            return tiny.Tiny(
                settings.width, stride, **layers, block=block, name="backbone"
            )
        return resnet.build_resnet(
            settings.backbone,
            output_stride=stride,
            bottleneck_stride=settings.bottleneck_stride,
            **layers,
            remat=settings.remat,
        )

    def _refine_stage(
        self, stride: int, layers: dict[str, Any], number: int
    ) -> RefineStage:
        settings = self.settings
        return RefineStage(
            self.representation,
            stride,
            settings.refine_channels,
            settings.refine_maps,
            settings.body_map,
            **layers,
            block=resnet.block_type(resnet.BasicBlock, remat=settings.remat),
            name=f"refine{number}",
        )


def supervised(settings: ModelSettings) -> tuple[str, ...]:
    """Names of the maps that are learned: those that a loss may ask of."""
    names = [field.name for field in dataclasses.fields(Maps)]
    return tuple(name for name in names if name != "body" or settings.body_map)


def frozen_parameters(settings: ModelSettings) -> Callable[[str], bool] | None:
    """Tells by its name (`backbone/bn1/scale`) whether a parameter is not trained.

    With norm "frozen", scales and biases of the backbone's norms stay as the statistics
    do: as pretrained. With "live" all is trained: None.
    """
    if settings.norm == "live":
        return None
    return lambda name: (
        name.startswith("backbone/") and name.endswith(("/scale", "/bias"))
    )


def num_stages(settings: ModelSettings) -> int:
    """Stages of the backbone, its stem among them; see models/stages.py."""
    if settings.backbone == "tiny":
        return tiny.num_stages(settings.output_stride)
    return 1 + len(resnet.RESNETS[settings.backbone][1])


def has_bottlenecks(settings: ModelSettings) -> bool:
    """Whether the backbone's blocks are bottlenecks, which can stride in two places."""
    block, _ = resnet.RESNETS.get(settings.backbone, (None, ()))
    return block is resnet.Bottleneck


def largest_stride(settings: ModelSettings) -> int:
    """Input sides are a multiple of this, plus 1."""
    return settings.output_stride


def build(settings: ModelSettings, representation: Representation) -> PoseSeg:
    """The network that the settings describe.

    Raises:
      ValueError: on an unknown name, a number out of range, or strides that do not fit
        each other.
    """
    allowed = {
        "backbone": BACKBONES,
        "output_stride": resnet.OUTPUT_STRIDES,
        "bottleneck_stride": resnet.BOTTLENECK_STRIDES,
        "neck": neck.NECKS,
        "refine_maps": REFINED,
        "norm": NORMS,
        "dtype": DTYPES,
    }
    for field, values in allowed.items():
        value = getattr(settings, field)
        if value not in values:
            raise ValueError(f"model.{field} is {value!r}; there are {values}.")
    if not 0 < settings.width < float("inf"):
        raise ValueError(f"model.width is {settings.width}; it must be positive.")
    at_least = {
        "neck_channels": 1,
        "refine_stages": 0,
        "refine_channels": 1,
        "refine_steps": 0,
    }
    for field, least in at_least.items():
        value = getattr(settings, field)
        if value < least:
            raise ValueError(f"model.{field} is {value}; it must be at least {least}.")
    _check_strides(settings, representation)
    return PoseSeg(settings, representation)


def _check_strides(settings: ModelSettings, representation: Representation) -> None:
    strides = [2**n for n in range(6) if 2**n <= settings.output_stride]
    fitting = {
        # The pyramid ends at the backbone's finest features.
        "map_stride": strides[1:] if settings.neck == "fpn" else strides,
        "person_stride": [s for s in strides if s <= representation.map_stride],
    }
    for field, values in fitting.items():
        value = getattr(representation, field)
        if value not in values:
            raise ValueError(
                f"representation.{field} is {value}; with model.output_stride "
                f"{settings.output_stride}, model.neck {settings.neck!r} and "
                f"map_stride {representation.map_stride} it must be one of {values}."
            )
