"""The last layers: features in, Maps out.

Every map but the person map is one 1x1 convolution, predicted at the stride of the
features and, where the map is finer, upsampled bilinearly. It is in float32, because
bfloat16 would round an offset of 300 px to whole pixels. The person map also sees
shallow features of its own stride, because outlines are sharp.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from poseseg_jax import geometry
from poseseg_jax.models.resnet import pointwise
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import NUM_ANCHORS, NUM_KEYPOINTS
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
      body_map: whether the body map is learned; if not, see `strongest_keypoint`.
    """

    representation: Representation
    stride: int
    conv: Any
    norm: Any
    body_map: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "B f g c"], shallow: Float[Array, "B r s d"]
    ) -> Maps:
        """Maps of B pictures.

        Args:
          x: the neck's features.
          shallow: the backbone's features of stride `shallow_stride(representation)`.
        """
        read = Reader(self.representation, self.stride)
        heatmap = read.map(x, "heatmap", NUM_ANCHORS, prior=HEATMAP_PRIOR)
        return Maps(
            heatmap=heatmap,
            short=read.offsets(x, "short", NUM_ANCHORS),
            mid=read.offsets(x, "mid", self.representation.skeleton.num_edges),
            long=read.offsets(x, "long", NUM_ANCHORS),
            person=read.person(
                x, shallow, conv=self.conv, norm=self.norm, prior=PERSON_PRIOR
            ),
            body=(
                read.map(x, "body", 1, prior=BODY_PRIOR)[..., 0]
                if self.body_map
                else strongest_keypoint(heatmap)
            ),
        )


class Reader:
    """Makes the last layers of each map, within the module that calls it.

    Args:
      representation: of the maps.
      stride: of the features, input px per cell.
    """

    def __init__(self, representation: Representation, stride: int):
        self._representation, self._stride = representation, stride

    def map(
        self, x: Float[Array, "B f g c"], name: str, channels: int, *, prior: float
    ) -> Float[jax.Array, "B h w d"]:
        """Values at map_stride; untrained ones say the prior, as logits."""
        values = _predict(name, channels, 1, prior)(x)
        return upsample(values, self._stride, self._representation.map_stride)

    def offsets(
        self, x: Float[Array, "B f g c"], name: str, count: int
    ) -> Float[jax.Array, "B h w d 2"]:
        """Offsets at map_stride, input px; untrained ones are near 0."""
        values = self.map(x, name, 2 * count, prior=0.5)
        values = values * self._representation.radius
        return values.reshape(*values.shape[:-1], count, 2)

    def person(
        self,
        x: Float[Array, "B f g c"],
        shallow: Float[Array, "B r s d"],
        *,
        conv: Any,
        norm: Any,
        prior: float,
    ) -> Float[jax.Array, "B p q"]:
        """The person map's logits, from deep and shallow features."""
        stride = shallow_stride(self._representation)
        # Few: at stride 2 a channel is dear.
        channels = max(8, x.shape[-1] // 16)
        deep = conv(channels, 1, name="person_deep")(x)
        y = conv(channels, 1, name="person_shallow")(shallow)
        y = norm(name="person_bn")(y + upsample(deep, self._stride, stride))
        logits = _predict("person", 1, 3, prior)(nn.relu(y))
        return upsample(logits, stride, self._representation.person_stride)[..., 0]


def shallow_stride(representation: Representation) -> int:
    """The person map's stride, or the finest that a backbone has."""
    return max(representation.person_stride, 2)


def strongest_keypoint(
    heatmap: Float[Array, "B h w A"],
) -> Float[jax.Array, "B h w"]:
    """What a network without a body map says in its place: the keypoint likeliest here.

    Logits, like the heatmaps that it is made of.
    """
    return jnp.max(heatmap[..., :NUM_KEYPOINTS], axis=-1)


def upsample(
    values: Float[Array, "B f g c"], stride: int, wanted: int
) -> Float[jax.Array, "B h w c"]:
    """Features of a stride on the grid of another one that divides it."""
    if stride == wanted:
        return jnp.asarray(values)
    return geometry.upsample(values, stride // wanted)


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
