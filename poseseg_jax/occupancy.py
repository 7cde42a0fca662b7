"""People map -> cells of a coarser grid: how much people cover of each, and who.

A cell covers `stride` x `stride` pixels around its own, so that its outermost rows and
columns are shared with the next cell and count half.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from poseseg_jax import geometry
from poseseg_jax.structs import IGNORE, MAX_PEOPLE, UNKNOWN_MASK, Array

# Cells beyond an outline that still get the nearest owner's long offsets. An outline
# crosses cells whose own pixels are nobody's, or of several people.
_CELLS_NEARBY = 2


def fraction(
    people: UInt8[Array, "H W"], *, stride: int
) -> tuple[Float[Array, "p q"], Float[Array, "p q"]]:
    """The fraction of each cell that people cover, over what is known of the cell.

    Args:
      people: codes of the people map at input resolution.
      stride: input pixels per cell, even or 1.

    Returns:
      The fraction, and a weight: 1 where at least half of the cell is known, else 0.
      Where less is known, the fraction is of the whole cell: an outline within a crowd
      ends with what is known.
    """
    known = (people != IGNORE) & (people != UNKNOWN_MASK)
    covered = known & (people > 0)
    pooled_known = _pool(known.astype(jnp.float32), stride)
    pooled = _pool(covered.astype(jnp.float32), stride)
    possible = _pool(jnp.ones(people.shape), stride)
    is_known = pooled_known >= possible / 2
    covered_part = pooled / jnp.where(is_known, pooled_known, possible)
    return covered_part, is_known.astype(jnp.float32)


def owners(
    people: UInt8[Array, "H W"], *, stride: int
) -> tuple[Int[Array, "h w 2"], Float[Array, "h w 2"]]:
    """Who owns the pixels of a cell, and which fraction of it.

    Asking a cell's middle pixel alone would lose people who are smaller than a cell,
    and where two of them meet. Of more than two owners, those whose pixels are nearest
    to the middle count.

    Args:
      people: codes of the people map at input resolution.
      stride: input pixels per cell, even or 1.

    Returns:
      Rows of the first and the second owner, -1 for none, and the fraction of the cell
      that each of them alone covers. Where nobody does, both fractions are 0, and the
      first row is the owner of a cell at most 2 cells away, if there is one: perfect
      long offsets do not end at an outline.
    """
    pixels = _pixels(people, stride=stride, kernel=_kernel(stride))
    owned = [jnp.where(codes <= MAX_PEOPLE, codes, 0) for codes, _ in pixels]
    first = second = jnp.zeros_like(owned[0])
    for codes in owned:
        first = jnp.where(first == 0, codes, first)
    for codes in owned:
        second = jnp.where((second == 0) & (codes != first), codes, second)
    both = jnp.stack([first, second], axis=-1)
    shares = jnp.zeros(both.shape)
    for codes, (_, part) in zip(owned, pixels, strict=True):
        shares += jnp.where(codes[..., None] == both, part, 0.0)
    possible = _pool(jnp.ones(people.shape), stride)[..., None]
    shares = jnp.where(both > 0, shares / possible, 0.0)
    for _ in range(_CELLS_NEARBY):
        for codes, _ in _pixels(first, stride=1, kernel=np.ones(3)):
            first = jnp.where((first == 0) & (codes <= MAX_PEOPLE), codes, first)
    return jnp.stack([first, second], axis=-1).astype(jnp.int32) - 1, shares


def _pixels(
    people: UInt8[Array, "H W"], *, stride: int, kernel: Float[np.ndarray, " k"]
) -> list[tuple[UInt8[Array, "h w"], float]]:
    """What lies around every cell's pixel, nearest first: codes, and their weight."""
    reach = len(kernel) // 2
    cells = [geometry.num_cells(side, stride) for side in people.shape]
    padded = jnp.pad(people, reach, constant_values=IGNORE)
    places = list(np.ndindex(len(kernel), len(kernel)))
    places.sort(key=lambda place: sum((step - reach) ** 2 for step in place))
    pixels = []
    for y, x in places:
        codes = jax.lax.slice(
            padded,
            (y, x),
            (y + (cells[0] - 1) * stride + 1, x + (cells[1] - 1) * stride + 1),
            (stride, stride),
        )
        pixels.append((codes, float(kernel[y] * kernel[x])))
    return pixels


def _pool(values: Float[Array, "H W"], stride: int) -> Float[Array, "p q"]:
    """Sums over each cell; its outermost rows and columns count half."""
    kernel = _kernel(stride)
    for axis in (0, 1):
        moved = jnp.moveaxis(values, axis, 0)
        padded = jnp.pad(moved, ((stride // 2, stride // 2), (0, 0)))
        count = geometry.num_cells(moved.shape[0], stride)
        taps = [
            weight * padded[tap : tap + (count - 1) * stride + 1 : stride]
            for tap, weight in enumerate(kernel)
        ]
        values = jnp.moveaxis(sum(taps[1:], taps[0]), 0, axis)
    return values


def _kernel(stride: int) -> Float[np.ndarray, " k"]:
    """Weights of a row of pixels in the cell that they surround."""
    if stride == 1:
        return np.ones(1)
    return np.array([0.5, *[1.0] * (stride - 1), 0.5])
