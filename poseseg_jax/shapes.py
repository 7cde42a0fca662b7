"""The few input shapes into which pictures of every shape are put.

A program is compiled for one shape. So a picture is not seen at a shape of its own, but
at the smallest of these that holds it: the longer side as in evaluation, the shorter
one all of it, 3/4 or 9/16 of it, lying or standing. COCO's usual 4 : 3 and a video's
16 : 9 then have hardly any padding; what is more elongated has some.
"""

import math
from fractions import Fraction

from poseseg_jax import geometry

ASPECTS = (Fraction(9, 16), Fraction(3, 4), Fraction(1))
_TOLERANCE = 0.5  # px that may be cut off at the shorter side's end


def shape_for(
    size: tuple[int, int], *, side: int, stride: int, square: bool = False
) -> tuple[int, int]:
    """The input shape for a picture.

    Args:
      size: (height, width) of the picture.
      side: of the input, px: the longer one of the result.
      stride: sides are a multiple of it, plus 1.
      square: whether there is to be one shape for all.

    Returns:
      (height, width), px. The picture fits into it as `geometry.letterbox_affine` says.
    """
    if square:
        return side, side
    short = side * min(size) / max(size)
    fitting = (one for one in _short_sides(side, stride) if one + _TOLERANCE >= short)
    other = next(fitting, side)
    return (other, side) if size[0] < size[1] else (side, other)


def _short_sides(side: int, stride: int) -> list[int]:
    """In increasing order; rounded up, as a picture is to fit."""
    cells = geometry.num_cells(side, stride) - 1
    shorts = {
        min(math.ceil((side * aspect - 1 - Fraction(1, 2)) / stride), cells) * stride
        + 1
        for aspect in ASPECTS
    }
    return sorted(max(short, stride + 1) for short in shorts)
