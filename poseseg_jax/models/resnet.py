"""ResNet as a backbone: a picture in, one feature map per stride out.

All padding is symmetric, so on an input with a side of output_stride * n + 1 pixels
cell j of stride s sits exactly on input pixel j * s. Layers are injected: `conv` and
`norm` make flax layers and have everything but shapes and names bound.

Source: He et al., arXiv 1512.03385.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Float

from poseseg_jax.structs import Array

Features = dict[int, Any]  # stride -> [B h w c], the deepest features of that stride

OUTPUT_STRIDES = (8, 16, 32)
BOTTLENECK_STRIDES = ("3x3", "1x1")


def conv_layer(
    channels: int, size: int, *, stride: int = 1, dilation: int = 1, **options: Any
) -> nn.Conv:
    """A convolution under which cell j sits on cell j * stride of its input.

    Args:
      channels: of the output.
      size: of the kernel, odd.
      stride, dilation: along both axes.
      **options: nn.Conv's own.
    """
    return nn.Conv(
        channels,
        (size, size),
        strides=(stride, stride),
        kernel_dilation=(dilation, dilation),
        padding=dilation * (size // 2),
        kernel_init=nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
        conv_general_dilated=pointwise if size == 1 else None,
        **options,
    )


def pointwise(
    x: Float[Array, "*B H W c"],
    kernel: Float[Array, "1 1 c d"],
    strides: Sequence[int],
    *_: Any,
    **__: Any,
) -> Float[Array, "*B h w d"]:
    """A 1x1 convolution as the matrix product that it is.

    With `lax`'s signature. On a CPU, XLA takes several times as long for the gradient
    when it is written as a convolution.
    """
    return x[..., :: strides[0], :: strides[1], :] @ kernel[0, 0]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet-18 and 34).

    Attributes:
      channels: of the output.
      stride: of the first convolution.
      dilation: (on the grid that comes in, on the grid that goes out).
      conv, norm: layers.
    """

    channels: int
    stride: int
    dilation: tuple[int, int]
    conv: Any
    norm: Any

    @nn.compact
    def __call__(self, x: Float[Array, "B h w c"]) -> Float[jax.Array, "B i j d"]:
        before, after = self.dilation
        conv1 = partial(self.conv, stride=self.stride, dilation=before)
        y = conv1(self.channels, 3, name="conv1")(x)
        y = nn.relu(self.norm(name="bn1")(y))
        y = self.conv(self.channels, 3, dilation=after, name="conv2")(y)
        y = self.norm(scale_init=nn.initializers.zeros, name="bn2")(y)
        return nn.relu(_shortcut(self, x, y.shape[-1]) + y)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (ResNet-50, 101 and 152).

    Attributes:
      channels: of the 3x3 convolution; the output has four times as many.
      stride: of the block.
      dilation: (on the grid that comes in, on the grid that goes out).
      conv, norm: layers.
      stride_in: the convolution that strides: "3x3" (called v1.5), or the first "1x1"
        (v1, the paper's).
    """

    channels: int
    stride: int
    dilation: tuple[int, int]
    conv: Any
    norm: Any
    stride_in: str = "3x3"

    @nn.compact
    def __call__(self, x: Float[Array, "B h w c"]) -> Float[jax.Array, "B i j d"]:
        before, after = self.dilation
        first, second, between = (
            (self.stride, 1, after)
            if self.stride_in == "1x1"
            else (1, self.stride, before)
        )
        y = self.conv(self.channels, 1, stride=first, name="conv1")(x)
        y = nn.relu(self.norm(name="bn1")(y))
        conv2 = partial(self.conv, stride=second, dilation=between)
        y = conv2(self.channels, 3, name="conv2")(y)
        y = nn.relu(self.norm(name="bn2")(y))
        y = self.conv(4 * self.channels, 1, name="conv3")(y)
        y = self.norm(scale_init=nn.initializers.zeros, name="bn3")(y)
        return nn.relu(_shortcut(self, x, y.shape[-1]) + y)


def block_type(kind: type[nn.Module], *, remat: bool) -> Any:
    """A kind of block, perhaps one that is computed again for its gradient.

    Then only what goes into a block is kept between the passes (arXiv 1604.06174).
    Names and values are the same.

    Args:
      kind: BasicBlock or Bottleneck.
      remat: whether it is.
    """
    return nn.remat(kind) if remat else kind


def _shortcut(block, x, channels: int):
    """The block's input, projected where the block changes its shape."""
    # Where dilation replaces a stride, the projection, and so its parameters, stays.
    before, after = block.dilation
    if block.stride == 1 and before == after and x.shape[-1] == channels:
        return x
    x = block.conv(channels, 1, stride=block.stride, name="downsample_conv")(x)
    return block.norm(name="downsample_bn")(x)


def stage_grids(strides: tuple[int, ...], limit: int) -> list[tuple[int, int, int]]:
    """What becomes of the strides of successive stages beyond a limit: dilation.

    Every layer then reads the cells that it would have read on its coarser grid, so the
    cells that both grids have keep their value (DeepLab, arXiv 1606.00915).

    Args:
      strides: of each stage.
      limit: what their product may reach.

    Returns:
      (stride that is left, dilation before it, dilation after it) of each stage.
    """
    grids, reached, dilation = [], 1, 1
    for stride in strides:
        before = dilation
        if reached * stride > limit:
            stride, dilation = 1, dilation * stride
        reached *= stride
        grids.append((stride, before, dilation))
    return grids


class ResNet(nn.Module):
    """The residual network of the paper, without its classifier.

    Attributes:
      block: BasicBlock or Bottleneck.
      sizes: blocks in each of the four stages.
      output_stride: input px per cell of the deepest features: 32, 16 or 8.
      conv, norm: layers.
    """

    block: Any
    sizes: tuple[int, ...]
    output_stride: int
    conv: Any
    norm: Any

    @nn.compact
    def __call__(self, images: Float[Array, "B H W 3"]) -> Features:
        x = self.conv(64, 7, stride=2, name="conv1")(images)
        x = nn.relu(self.norm(name="bn1")(x))
        features = {2: x}
        symmetric: Any = ((1, 1), (1, 1))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=symmetric)
        reached = 4
        grids = stage_grids((1, 2, 2, 2), self.output_stride // reached)
        block = partial(self.block, conv=self.conv, norm=self.norm)
        for stage, (size, grid) in enumerate(zip(self.sizes, grids, strict=True)):
            stride, before, after = grid
            channels = 64 * 2**stage
            for index in range(size):
                dilation = (before if index == 0 else after, after)
                name = f"layer{stage + 1}_{index}"
                x = block(channels, stride if index == 0 else 1, dilation, name=name)(x)
            reached *= stride
            features[reached] = x
        return features


RESNETS = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}


def build_resnet(
    name: str,
    *,
    output_stride: int,
    bottleneck_stride: str,
    conv: Any,
    norm: Any,
    remat: bool = False,
) -> ResNet:
    """One of RESNETS, as the module "backbone".

    Args:
      name: which.
      output_stride: one of OUTPUT_STRIDES.
      bottleneck_stride: one of BOTTLENECK_STRIDES, for those that have bottlenecks.
      conv, norm: layers.
      remat: see `block_type`.
    """
    kind, sizes = RESNETS[name]
    block = block_type(kind, remat=remat)
    if kind is Bottleneck:
        block = partial(block, stride_in=bottleneck_stride)
    return ResNet(block, sizes, output_stride, conv, norm, name="backbone")
