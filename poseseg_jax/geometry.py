"""The pixel convention, and everything that follows from it.

A coordinate is (x, y), float; pixel (row i, column j) has its *centre* at (x=j, y=i).
So a picture of width W spans [-0.5, W - 0.5], mirroring is x -> W - 1 - x, and resizing
by s is x -> (x + 0.5) s - 0.5. Affines are 2 x 3 matrices that take (x, y, 1). Cell
(i, j) of a map with stride s sits exactly on input pixel (s i, s j), which is why an
input side is a multiple of the network's largest stride, plus one.

The functions on affines accept NumPy and JAX arrays alike: the loader uses them on the
host, the decoder on the device.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int

from poseseg_jax.structs import Array


def check_side(side: int, stride: int) -> None:
    """Refuses an input side on which the cells of `stride` miss the last pixel."""
    if side <= stride or (side - 1) % stride:
        below = max((side - 1) // stride, 1) * stride + 1
        raise ValueError(
            f"An input side must be a multiple of the largest stride {stride}, plus 1; "
            f"got {side}. "
            f"Nearest: {below} or {below + stride}."
        )


def num_cells(side: int, stride: int) -> int:
    """Cells of a map along an input side of `side` pixels."""
    return (side - 1) // stride + 1


def cell_centers(height: int, width: int, stride: int) -> Float[np.ndarray, "h w 2"]:
    """The (x, y) input position of each cell of a map with `height` x `width` cells."""
    y, x = np.mgrid[:height, :width].astype(np.float32) * stride
    return np.stack([x, y], -1)


def apply_affine(
    affine: Float[Array, "2 3"], points: Float[Array, "*n 2"]
) -> Float[Array, "*n 2"]:
    """Takes points through an affine."""
    return points @ affine[:, :2].T + affine[:, 2]


def compose_affine(
    outer: Float[np.ndarray, "2 3"], inner: Float[np.ndarray, "2 3"]
) -> Float[np.ndarray, "2 3"]:
    """The affine that applies `inner` first and `outer` to its result."""
    linear = outer[:, :2] @ inner[:, :2]
    return np.concatenate([linear, outer[:, :2] @ inner[:, 2:] + outer[:, 2:]], axis=1)


def invert_affine(affine: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """The affine that undoes `affine`."""
    linear = np.linalg.inv(affine[:, :2])
    return np.concatenate([linear, -linear @ affine[:, 2:]], axis=1)


def resize_affine(scale: float) -> Float[np.ndarray, "2 3"]:
    """Resizing by `scale`: the picture's outer edge at -0.5 stays where it is."""
    shift = 0.5 * scale - 0.5
    return np.array([[scale, 0, shift], [0, scale, shift]])


def letterbox_affine(height: int, width: int, side: int) -> Float[np.ndarray, "2 3"]:
    """original px -> input px.

    The longer side fills `side`, the rest is padding at the right or below.
    """
    return resize_affine(side / max(height, width))


def flip_affine(width: int) -> Float[np.ndarray, "2 3"]:
    """Mirrors a picture of `width` pixels."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def box_of_mask(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "4"]:
    """(x0, y0, x1, y1): the outer edges of a mask that has a pixel."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    edges = columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5
    return np.array(edges, np.float64)


def box_of_person(
    mask: Bool[np.ndarray, "h w"],
    keypoints: Float[np.ndarray, "K 2"],
    confidence: Float[np.ndarray, " K"],
) -> Float[np.ndarray, "4"]:
    """(x0, y0, x1, y1): outer edges of pixels, of the mask, else of found keypoints.

    Who has neither has the box of where the keypoints are thought to be; all within the
    picture.
    """
    if mask.any():
        return box_of_mask(mask)
    chosen = confidence > 0 if (confidence > 0).any() else slice(None)
    low, high = keypoints[chosen].min(0), keypoints[chosen].max(0)
    outer = np.concatenate([np.floor(low + 0.5), np.floor(high + 0.5) + 1])
    return outer.clip(0, [mask.shape[1], mask.shape[0]] * 2).astype(np.float64) - 0.5


def bilinear(
    values: Float[Array, "h w *c"],
    cells: Float[Array, "*n 2"],
    channel: Int[Array, "*n"] | None = None,
) -> Float[jax.Array, "*m"]:
    """Samples a map at fractional positions (x, y), in cells.

    Outside of the map, the nearest border cell counts.

    Args:
      values: the map.
      cells: where to sample.
      channel: which entry of the first axis after `h w` to take at each position;
        without it, all of them.

    Returns:
      [*n *c], without the first axis of c where `channel` chose from it.
    """
    height, width = values.shape[:2]
    x = jnp.clip(cells[..., 0], 0, width - 1)
    y = jnp.clip(cells[..., 1], 0, height - 1)
    x0 = jnp.clip(jnp.floor(x).astype(jnp.int32), 0, max(width - 2, 0))
    y0 = jnp.clip(jnp.floor(y).astype(jnp.int32), 0, max(height - 2, 0))
    x1, y1 = jnp.minimum(x0 + 1, width - 1), jnp.minimum(y0 + 1, height - 1)
    chosen = () if channel is None else (channel,)
    extra = (...,) + (None,) * (values.ndim - 2 - len(chosen))
    fx, fy = (x - x0)[extra], (y - y0)[extra]
    top = values[y0, x0, *chosen] * (1 - fx) + values[y0, x1, *chosen] * fx
    bottom = values[y1, x0, *chosen] * (1 - fx) + values[y1, x1, *chosen] * fx
    return top * (1 - fy) + bottom * fy


def upsample(
    values: Float[Array, "*B h w c"], factor: int
) -> Float[jax.Array, "*B H W c"]:
    """Bilinear upsampling from n to factor (n - 1) + 1 cells.

    Old cells keep their value and place.
    """
    for axis in (values.ndim - 3, values.ndim - 2):
        values = _upsample_axis(jnp.asarray(values), factor, axis)
    return jnp.asarray(values)


def _upsample_axis(values: jax.Array, factor: int, axis: int) -> jax.Array:
    """Old and interpolated cells, spread out by zeros, add up to the finer map.

    Padding has a cheap gradient on every platform; that of interleaving by a reshape
    takes many times as long on a CPU.
    """

    def spread(cells: jax.Array, first: int, last: int) -> jax.Array:
        padding = [(0, 0, 0)] * cells.ndim
        padding[axis] = (first, last, factor - 1)
        return lax.pad(cells, jnp.zeros((), cells.dtype), padding)

    cells = values.shape[axis]
    if cells == 1:
        return values
    low = lax.slice_in_dim(values, 0, cells - 1, axis=axis)
    high = lax.slice_in_dim(values, 1, cells, axis=axis)
    finer = spread(values, 0, 0)
    for step in range(1, factor):
        weight = step / factor
        finer += spread(low * (1 - weight) + high * weight, step, factor - step)
    return finer
