"""Recurrent offset refinement: offsets corrected by what is said where they land.

Source: PersonLab (arXiv 1803.08225), sections 3.1 and 3.2.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Float

from poseseg_jax import geometry
from poseseg_jax.representation import Representation
from poseseg_jax.structs import Array, Maps


def refine(maps: Maps, *, representation: Representation, steps: int) -> Maps:
    """One picture's Maps with `mid` and `long` refined; the other maps are passed on.

    A mid offset is corrected by the short offset, to the edge's target anchor, at its
    landing place, `steps` times. A long offset is corrected by the long offsets as
    predicted, `steps` times, and then by the short ones, `steps` times. Gradients flow
    into the landing place and into the offsets found there.

    Args:
      maps: of one picture (no batch axis; vmap).
      representation: skeleton and map_stride.
      steps: corrections; 0 changes nothing.
    """
    stride = representation.map_stride
    to_targets = maps.short[:, :, representation.skeleton.targets]
    mid, long = maps.mid, maps.long
    for _ in range(steps):
        mid = _correct(mid, to_targets, stride)
    for _ in range(steps):
        long = _correct(long, maps.long, stride)
    for _ in range(steps):
        long = _correct(long, maps.short, stride)
    return dataclasses.replace(maps, mid=mid, long=long)


def _correct(
    offsets: Float[Array, "h w n 2"], field: Float[Array, "h w n 2"], stride: int
) -> Float[jax.Array, "h w n 2"]:
    """offsets + field at the landing place of the offsets, channel by channel."""
    height, width = offsets.shape[:2]
    cells = geometry.cell_centers(height, width, 1)[:, :, None] + offsets / stride
    return offsets + sample(field, cells)


# The gradient of n vmapped geometry.bilinear takes three times as long (gathers done
# over and over, a scatter with batch axes) and keeps six times the offsets for it.
@jax.custom_vjp
def sample(
    field: Float[Array, "h w n 2"], cells: Float[Array, "h w n 2"]
) -> Float[jax.Array, "h w n 2"]:
    """geometry.bilinear of each channel of `field` at the same channel of `cells`."""
    corners, (fx, fy), _ = _around(cells)
    flat = jnp.reshape(field, (-1, 2))
    at = [flat.at[index].get(mode="promise_in_bounds") for index in corners]
    fx, fy = fx[..., None], fy[..., None]
    top, bottom = at[0] * (1 - fx) + at[1] * fx, at[2] * (1 - fx) + at[3] * fx
    return top * (1 - fy) + bottom * fy


def _sample_forward(field, cells):
    return sample(field, cells), (field, cells)


def _sample_backward(kept, gradient):
    field, cells = kept
    corners, (fx, fy), inside = _around(cells)
    flat = field.reshape(-1, 2)
    at = [
        (flat.at[index].get(mode="promise_in_bounds") * gradient).sum(-1)
        for index in corners
    ]
    dx = (at[1] - at[0]) * (1 - fy) + (at[3] - at[2]) * fy
    dy = (at[2] - at[0]) * (1 - fx) + (at[3] - at[1]) * fx
    weights = ((1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy)
    into = jnp.zeros_like(flat)
    for index, weight in zip(corners, weights, strict=True):
        share = weight[..., None] * gradient
        into = into.at[index].add(share, mode="promise_in_bounds")
    return into.reshape(field.shape), jnp.stack([dx, dy], -1) * inside


sample.defvjp(_sample_forward, _sample_backward)


def _around(cells: Float[Array, "h w n 2"]):
    """The four cells around each position, as indices into a flat h w n; the position
    between them; and where it is inside of the map, along x and y."""
    height, width, n, _ = cells.shape
    last = jnp.array([width - 1, height - 1])
    inside = (cells > 0) & (cells < last)
    cells = jnp.clip(cells, 0, last)
    first = jnp.clip(cells.astype(jnp.int32), 0, jnp.maximum(last - 1, 0))
    index = (first[..., 1] * width + first[..., 0]) * n + jnp.arange(n)
    right, below = n * min(width - 1, 1), width * n * min(height - 1, 1)
    corners = (index, index + right, index + below, index + below + right)
    between = cells - first
    return corners, (between[..., 0], between[..., 1]), inside
