"""Learned refinement: a small network that sees the maps and corrects them.

A stage reads what the network has said so far beside the features that it was said
from, over a wider surrounding, and adds a correction. Stages follow one another, and
each is supervised like the first, so that every one has something to start from
(intermediate, or deep, supervision: arXiv 1602.00134). As in PosePlusSeg, keypoint maps
and mask maps have a network each.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from poseseg_jax.models.heads import (
    Reader,
    shallow_stride,
    strongest_keypoint,
    upsample,
)
from poseseg_jax.models.resnet import BasicBlock
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import NUM_ANCHORS
from poseseg_jax.structs import Array, Maps

# Which maps are corrected.
REFINED = ("both", "keypoint", "mask")

# Of the blocks' convolutions: the last sees 14 cells in every direction.
_DILATIONS = (1, 2, 4)


class RefineStage(nn.Module):
    """Maps in, corrected Maps out.

    Attributes:
      representation: of the maps.
      stride: of the neck's features, input px per cell.
      channels: of the networks.
      refined: one of REFINED; maps that it does not name are passed on.
      body_map: whether the body map is learned.
      conv, norm: layers.
      block: BasicBlock, or that of `resnet.block_type`.
    """

    representation: Representation
    stride: int
    channels: int
    refined: str
    body_map: bool
    conv: Any
    norm: Any
    block: Any = BasicBlock

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B f g c"],
        shallow: Float[Array, "B r s d"],
        maps: Maps,
    ) -> Maps:
        """Maps of B pictures, corrected.

        Args:
          x: the neck's features.
          shallow: the backbone's features of stride `shallow_stride(representation)`.
          maps: of the stage before.
        """
        changes = {}
        if self.refined != "mask":
            changes |= self._keypoint_maps(x, maps)
        if self.refined != "keypoint":
            changes |= self._mask_maps(x, shallow, maps)
        return dataclasses.replace(maps, **changes)

    def _keypoint_maps(self, x, maps: Maps) -> dict[str, Array]:
        said = [nn.sigmoid(maps.heatmap), self._flat(maps.short), self._flat(maps.mid)]
        if self.body_map:
            said.append(nn.sigmoid(maps.body)[..., None])
        cells = self._embed(jnp.concatenate(said, -1), "keypoint_maps")
        y = self._surround(x, cells, "keypoint")
        read = Reader(self.representation, self._cell)
        edges = self.representation.skeleton.num_edges
        heatmap = maps.heatmap + read.map(y, "heatmap", NUM_ANCHORS, prior=0.5)
        return {
            "heatmap": heatmap,
            "short": maps.short + read.offsets(y, "short", NUM_ANCHORS),
            "mid": maps.mid + read.offsets(y, "mid", edges),
            "body": (
                maps.body + read.map(y, "body", 1, prior=0.5)[..., 0]
                if self.body_map
                else strongest_keypoint(heatmap)
            ),
        }

    def _mask_maps(self, x, shallow, maps: Maps) -> dict[str, Array]:
        # A kernel that leaves out no cell of the person map, which is finer.
        step = self._cell // self.representation.person_stride
        person = nn.sigmoid(maps.person)[..., None]
        cells = self._embed(self._flat(maps.long), "mask_maps")
        seen = self.conv(self.channels, 2 * step - 1, stride=step, name="mask_person")
        y = self._surround(x, cells + seen(person), "mask")
        read = Reader(self.representation, self._cell)
        correction = read.person(y, shallow, conv=self.conv, norm=self.norm, prior=0.5)
        return {
            "long": maps.long + read.offsets(y, "long", NUM_ANCHORS),
            "person": maps.person + correction,
        }

    @property
    def _cell(self) -> int:
        """Stride of a stage: the maps', but no finer than the features for outlines."""
        return max(self.representation.map_stride, shallow_stride(self.representation))

    def _flat(self, offsets) -> jax.Array:
        """Offsets in units of the radius, as channels."""
        *shape, count, _ = offsets.shape
        return (offsets / self.representation.radius).reshape(*shape, 2 * count)

    def _embed(self, said, name: str) -> jax.Array:
        stride = self._cell // self.representation.map_stride
        return self.conv(self.channels, 1, stride=stride, name=name)(said)

    def _surround(self, x, cells, name: str) -> jax.Array:
        """Features and what was said, seen over a wider and wider surrounding."""
        y = self.conv(self.channels, 1, name=f"{name}_features")(x)
        y = upsample(y, self.stride, self._cell) + cells
        y = nn.relu(self.norm(name=f"{name}_bn")(y))
        layers = {"conv": self.conv, "norm": self.norm}
        for index, dilation in enumerate(_DILATIONS):
            grid = (dilation, dilation)
            block = self.block(
                self.channels, 1, grid, **layers, name=f"{name}_block{index}"
            )
            y = block(y)
        return y
