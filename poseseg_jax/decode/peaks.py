"""Step 2: local maxima of the Hough maps, as a fixed number of candidates."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int

from poseseg_jax.skeleton import NUM_ANCHORS
from poseseg_jax.structs import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Candidates:
    """Anchors from which a pose may be grown, best first. C of them."""

    anchor: Int[Array, " C"]
    position: Float[Array, "C 2"]  # input px
    score: Float[Array, " C"]  # Hough mass, descending; 0 = none


def find(
    votes: Float[Array, "h w r"],
    mass: Float[Array, "h w r"],
    *,
    roots: tuple[int, ...],
    stride: int,
    threshold: float,
    per_anchor: int,
    rank: Float[Array, "h w r"] | None = None,
) -> Candidates:
    """The best local maxima of each root anchor, all in one order.

    Args:
      votes: Hough maps of the roots.
      mass: the same, gathered over neighbours: what is compared.
      roots: the anchor of each map.
      stride: input px per cell.
      threshold: mass from which a maximum counts.
      per_anchor: maxima kept of each anchor; C = per_anchor * len(roots).
      rank: what candidates are scored by; None: `mass`.
    """
    height, width, _ = votes.shape
    per_anchor = min(per_anchor, height * width)
    highest = lax.reduce_window(
        mass, -jnp.inf, lax.max, (3, 3, 1), (1, 1, 1), padding="SAME"
    )
    rank = mass if rank is None else rank
    is_peak = (mass >= highest) & (mass >= threshold)
    peaks = jnp.where(is_peak, rank, 0.0).reshape(height * width, len(roots))
    score, index = lax.top_k(peaks.T, per_anchor)
    position = jax.vmap(_centroid, in_axes=(2, 0))(votes, index) * stride
    anchor = jnp.asarray(np.repeat(roots, per_anchor))
    found = Candidates(anchor, position.reshape(-1, 2), score.reshape(-1))
    return _in_order(found)


def merge(one: Candidates, other: Candidates) -> Candidates:
    """The candidates of both, in one order; of equal scores, those of `one` first."""
    return _in_order(jax.tree.map(lambda *leaves: jnp.concatenate(leaves), one, other))


def of_each_anchor(
    candidates: Candidates, *, count: int
) -> tuple[Float[Array, "A n 2"], Bool[Array, "A n"]]:
    """The positions of the best `count` candidates of each anchor; which there are."""
    anchors = jnp.arange(NUM_ANCHORS)[:, None]
    score = jnp.where(candidates.anchor == anchors, candidates.score, 0.0)
    best, index = lax.top_k(score, min(count, score.shape[1]))
    return candidates.position[index], best > 0


def _in_order(candidates: Candidates) -> Candidates:
    order = jnp.argsort(-candidates.score, stable=True)
    return jax.tree.map(lambda leaf: leaf[order], candidates)


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
