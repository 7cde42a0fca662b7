"""Between backbone and heads: a feature pyramid."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Float

from poseseg_jax import geometry
from poseseg_jax.models.resnet import Features

# "upsample" is no neck: the heads read the deepest features, and maps are upsampled.
NECKS = ("fpn", "upsample")


class Fpn(nn.Module):
    """A feature pyramid (arXiv 1612.03144), of which only the finest level is kept.

    Attributes:
      channels: of the result.
      map_stride: of the result, input px per cell; one of the backbone's strides.
      conv, norm: layers.
    """

    channels: int
    map_stride: int
    conv: Any
    norm: Any

    @nn.compact
    def __call__(self, features: Features) -> Float[jax.Array, "B h w c"]:
        lateral = partial(self.conv, self.channels, 1, use_bias=True)
        reached = max(features)
        x = lateral(name=f"lateral{reached}")(features[reached])
        finer = [s for s in features if self.map_stride <= s < reached]
        for stride in sorted(finer, reverse=True):
            x = geometry.upsample(x, reached // stride)
            x = x + lateral(name=f"lateral{stride}")(features[stride])
            reached = stride
        x = self.conv(self.channels, 3, name="smooth")(x)
        return nn.relu(self.norm(name="smooth_bn")(x))
