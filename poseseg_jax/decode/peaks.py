"""Step 2: local maxima of the Hough maps, as a fixed number of candidates."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from poseseg_jax.structs import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Candidates:
    """Anchors from which a pose may be grown, best first. C of them."""

    anchor: Int[Array, " C"]
    position: Float[Array, "C 2"]  # input px
    score: Float[Array, " C"]  # Hough mass, descending; 0 = none


def find(
    votes: Float[Array, "h w A"],
    mass: Float[Array, "h w A"],
    *,
    roots: tuple[int, ...],
    stride: int,
    threshold: float,
    per_anchor: int,
) -> Candidates:
    """The best local maxima of each root anchor, all in one order.

    Args:
      votes: Hough maps.
      mass: the same, gathered over neighbours: what is compared.
      roots: anchors to search for.
      stride: input px per cell.
      threshold: mass from which a maximum counts.
      per_anchor: maxima kept of each anchor; C = per_anchor * len(roots).
    """
    height, width, _ = votes.shape
    per_anchor = min(per_anchor, height * width)
    votes, mass = votes[..., list(roots)], mass[..., list(roots)]
    highest = lax.reduce_window(
        mass, -jnp.inf, lax.max, (3, 3, 1), (1, 1, 1), padding="SAME"
    )
    is_peak = (mass >= highest) & (mass >= threshold)
    peaks = jnp.where(is_peak, mass, 0.0).reshape(height * width, len(roots))
    score, index = lax.top_k(peaks.T, per_anchor)
    position = jax.vmap(_centroid, in_axes=(2, 0))(votes, index) * stride

    order = jnp.argsort(-score.reshape(-1), stable=True)
    anchor = jnp.asarray(np.repeat(roots, per_anchor))
    return Candidates(
        anchor=anchor[order],
        position=position.reshape(-1, 2)[order],
        score=score.reshape(-1)[order],
    )


def _centroid(
    votes: Float[Array, "h w"], index: Int[Array, " k"]
) -> Float[Array, "k 2"]:
    """Centre of mass of the 3 x 3 cells around each index, (x, y) in cells.

    Bilinear splatting keeps the centre of mass: agreeing votes are located exactly.
    """
    width = votes.shape[1]
    y, x = index // width, index % width
    padded = jnp.pad(votes, 1)
    total, moved = 0.0, 0.0
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            here = padded[y + 1 + dy, x + 1 + dx][:, None]
            total += here
            moved += here * jnp.array([dx, dy])
    return jnp.stack([x, y], -1) + moved / jnp.maximum(total, 1e-12)
