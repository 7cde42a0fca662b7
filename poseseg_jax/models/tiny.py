"""A backbone that trains in minutes on two CPU cores."""

from functools import partial
from typing import Any

import flax.linen as nn
from jaxtyping import Float

from poseseg_jax.models.resnet import BasicBlock, Features, stage_grids
from poseseg_jax.structs import Array

# (channels, blocks) of strides 2, 4, 8, 16 and 32. Plain 3x3 convolutions, because
# XLA's grouped ones are slow on a CPU, and most of them where cells are few.
_STAGES = ((16, 0), (48, 0), (96, 2), (128, 2), (128, 1))


def num_stages(output_stride: int) -> int:
    """How many stages there are, each with a stride of its own."""
    # Stride 32 is for those who ask for it; dilated, it would cost too much.
    return len(_STAGES) if output_stride == 32 else len(_STAGES) - 1


class Tiny(nn.Module):
    """A narrow residual network; on its strides and cells, see ResNet.

    Attributes:
      width: factor on the channels.
      output_stride: input px per cell of the deepest features: 32, 16 or 8.
      conv, norm: layers.
      block: BasicBlock, or that of `resnet.block_type`.
    """

    width: float
    output_stride: int
    conv: Any
    norm: Any
    block: Any = BasicBlock

    @nn.compact
    def __call__(self, images: Float[Array, "B H W 3"]) -> Features:
        x, reached, features = images, 1, {}
        stages = _STAGES[: num_stages(self.output_stride)]
        grids = stage_grids((2,) * len(stages), self.output_stride)
        block = partial(self.block, conv=self.conv, norm=self.norm)
        for stage, (sizes, grid) in enumerate(zip(stages, grids, strict=True)):
            (channels, blocks), (stride, before, after) = sizes, grid
            channels = max(8, 8 * round(channels * self.width / 8))
            down = partial(self.conv, stride=stride, dilation=before)
            x = down(channels, 3, name=f"down{stage}")(x)
            x = nn.relu(self.norm(name=f"down{stage}_bn")(x))
            for index in range(blocks):
                name = f"layer{stage}_{index}"
                x = block(channels, 1, (after, after), name=name)(x)
            reached *= stride
            features[reached] = x
        return features
