"""Step 1: heatmap cells vote, along their short offsets, for where the anchor is."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from poseseg_jax import geometry
from poseseg_jax.structs import Array


def vote(
    heatmap: Float[Array, "h w A"],
    short: Float[Array, "h w A 2"],
    *,
    stride: int,
    radius: float,
    vote_stride: int | None = None,
) -> Float[Array, "f g A"]:
    """Hough maps: each cell's probability, splatted bilinearly where it points.

    PersonLab's h(x) = 1 / (pi R^2) sum_i p(x_i) B(x_i + S(x_i) - x), with the disc's
    area in cells, so that a disc of certain cells that all agree casts a mass of 1.
    Votes that leave the map are lost.

    Args:
      heatmap: probabilities.
      short: offsets, input px.
      stride: input px per cell.
      radius: of the discs, input px.
      vote_stride: input px per cell of the Hough maps, a divisor of `stride`; None:
        `stride`. Votes have no grid, so theirs may be finer.
    """
    votes = splat(heatmap, short, stride=stride, onto=vote_stride or stride)
    return votes / (np.pi * (radius / stride) ** 2)


def splat(
    values: Float[Array, "h w A"],
    offsets: Float[Array, "h w A 2"],
    *,
    stride: int,
    onto: int,
) -> Float[Array, "f g A"]:
    """Adds each cell's value, bilinearly, to a grid where its offset points.

    Args:
      values: what to add.
      offsets: input px.
      stride: input px per cell of `values`.
      onto: input px per cell of the result, a divisor of `stride`.
    """
    height, width, anchors = values.shape
    cells = geometry.cell_centers(height, width, stride)[:, :, None]
    landing = (cells + offsets) / onto
    height, width = ((n - 1) * (stride // onto) + 1 for n in (height, width))
    low = jnp.floor(landing)
    fraction = landing - low
    x0, y0 = jnp.moveaxis(low.astype(jnp.int32), -1, 0)
    channel = jnp.broadcast_to(jnp.arange(anchors), x0.shape)
    total = jnp.zeros((height, width, anchors), values.dtype)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = x0 + dx, y0 + dy
            share = jnp.abs(1 - dx - fraction[..., 0])
            share *= jnp.abs(1 - dy - fraction[..., 1])
            # A negative index would wrap around instead of being dropped.
            y = jnp.where(x < 0, height, jnp.where(y < 0, height, y))
            total = total.at[y, x, channel].add(values * share, mode="drop")
    return total


def gather_neighbours(
    votes: Float[Array, "h w A"], *, reach: int = 2
) -> Float[Array, "h w A"]:
    """The mass around each cell: its own votes, and of others' the less the farther.

    One position between four cells spreads its votes over all of them; this brings
    them together again, so that a peak's height depends less on the grid: with a
    `reach` of 2 it falls from 1 on a cell to 9/16 between four, instead of to 1/4.

    Args:
      votes: Hough maps.
      reach: cells, along each axis, at which the weight has fallen from 1 to 0.
    """
    taps = 1 - np.abs(np.arange(1 - reach, reach)) / reach
    for axis in (0, 1):
        padding = [(reach - 1, reach - 1) if axis == a else (0, 0) for a in range(3)]
        padded, size = jnp.pad(votes, padding), votes.shape[axis]
        votes = jnp.zeros(votes.shape)
        for start, tap in enumerate(taps):
            votes += tap * lax.slice_in_dim(padded, start, start + size, axis=axis)
    return jnp.asarray(votes)
