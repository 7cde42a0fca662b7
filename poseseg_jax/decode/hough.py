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
) -> Float[Array, "h w A"]:
    """Hough maps: each cell's probability, splatted bilinearly where it points.

    PersonLab's h(x) = 1 / (pi R^2) sum_i p(x_i) B(x_i + S(x_i) - x), with the disc's
    area in cells, so that a disc of certain cells that all agree casts a mass of 1.
    Votes that leave the map are lost.

    Args:
      heatmap: probabilities.
      short: offsets, input px.
      stride: input px per cell.
      radius: of the discs, input px.
    """
    height, width, anchors = heatmap.shape
    cells = geometry.cell_centers(height, width, stride)[:, :, None]
    landing = (cells + short) / stride
    low = jnp.floor(landing)
    fraction = landing - low
    x0, y0 = jnp.moveaxis(low.astype(jnp.int32), -1, 0)
    channel = jnp.broadcast_to(jnp.arange(anchors), x0.shape)
    votes = jnp.zeros((height, width, anchors), heatmap.dtype)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = x0 + dx, y0 + dy
            share = jnp.abs(1 - dx - fraction[..., 0])
            share *= jnp.abs(1 - dy - fraction[..., 1])
            # A negative index would wrap around instead of being dropped.
            y = jnp.where(x < 0, height, jnp.where(y < 0, height, y))
            votes = votes.at[y, x, channel].add(heatmap * share, mode="drop")
    return votes / (np.pi * (radius / stride) ** 2)


def gather_neighbours(votes: Float[Array, "h w A"]) -> Float[Array, "h w A"]:
    """The mass around each cell: its own votes, and half of a direct neighbour's.

    One position between four cells spreads its votes over all of them; this brings
    them together again, so that a peak's height depends less on the grid: it falls
    from 1 on a cell to 9/16 between four, instead of to 1/4.
    """
    for axis in (0, 1):
        padding = [(1, 1) if axis == other else (0, 0) for other in range(3)]
        padded = jnp.pad(votes, padding)
        size = votes.shape[axis]
        before = lax.slice_in_dim(padded, 0, size, axis=axis)
        after = lax.slice_in_dim(padded, 2, size + 2, axis=axis)
        votes = votes + (before + after) / 2
    return jnp.asarray(votes)
