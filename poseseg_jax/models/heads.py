"""The last layers: features in, Maps out.

Every map but the person map is one 1x1 convolution, predicted at the stride of the
features and, where the map is finer, upsampled bilinearly. It is in float32, because
bfloat16 would round an offset of 300 px to whole pixels. The person map also sees
shallow features of its own stride, because outlines are sharp.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from poseseg_jax import geometry
from poseseg_jax.models.resnet import pointwise
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import NUM_ANCHORS
from poseseg_jax.structs import Array, Maps

# What an untrained network says everywhere: about how often it is true, so that
# training starts calm (arXiv 1708.02002, section 3.3).
HEATMAP_PRIOR, PERSON_PRIOR, BODY_PRIOR = 0.01, 0.15, 0.05


class Heads(nn.Module):
    """All maps from the neck's features.

    Attributes:
      representation: strides, and the radius in units of which offsets are predicted.
      stride: of the neck's features, input px per cell.
      conv, norm: layers, of the person map.
    """

    representation: Representation
    stride: int
    conv: Any
    norm: Any

    @nn.compact
    def __call__(
        self, x: Float[Array, "B f g c"], shallow: Float[Array, "B r s d"]
    ) -> Maps:
        """Maps of B pictures.

        Args:
          x: the neck's features.
          shallow: the backbone's features of stride `shallow_stride(representation)`.
        """
        edges = self.representation.skeleton.num_edges
        return Maps(
            heatmap=self._map(x, "heatmap", NUM_ANCHORS, HEATMAP_PRIOR),
            short=self._offsets(x, "short", NUM_ANCHORS),
            mid=self._offsets(x, "mid", edges),
            long=self._offsets(x, "long", NUM_ANCHORS),
            person=self._person(x, shallow),
            body=self._map(x, "body", 1, BODY_PRIOR)[..., 0],
        )

    def _map(self, x, name: str, channels: int, prior: float = 0.5):
        values = _predict(name, channels, 1, prior)(x)
        return _upsample(values, self.stride, self.representation.map_stride)

    def _offsets(self, x, name: str, count: int):
        values = self._map(x, name, 2 * count) * self.representation.radius
        return values.reshape(*values.shape[:-1], count, 2)

    def _person(self, x, shallow):
        stride = shallow_stride(self.representation)
        # Few: at stride 2 a channel is dear.
        channels = max(8, x.shape[-1] // 16)
        deep = self.conv(channels, 1, name="person_deep")(x)
        y = self.conv(channels, 1, name="person_shallow")(shallow)
        y = self.norm(name="person_bn")(y + _upsample(deep, self.stride, stride))
        logits = _predict("person", 1, 3, PERSON_PRIOR)(nn.relu(y))
        return _upsample(logits, stride, self.representation.person_stride)[..., 0]


def shallow_stride(representation: Representation) -> int:
    """The person map's stride, or the finest that a backbone has."""
    return max(representation.person_stride, 2)


def _predict(name: str, channels: int, size: int, prior: float) -> nn.Conv:
    return nn.Conv(
        channels,
        (size, size),
        padding=size // 2,
        conv_general_dilated=pointwise if size == 1 else None,
        dtype=jnp.float32,
        kernel_init=nn.initializers.normal(0.01),
        bias_init=nn.initializers.constant(np.log(prior / (1 - prior))),
        name=name,
    )


def _upsample(values, stride: int, wanted: int):
    if stride == wanted:
        return values
    return geometry.upsample(values, stride // wanted)
