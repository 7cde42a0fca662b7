"""Step 5: how sure we are of each keypoint and of each person."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from poseseg_jax.geometry import bilinear
from poseseg_jax.skeleton import NUM_KEYPOINTS, OKS_SIGMAS
from poseseg_jax.structs import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Neighbourhood:
    """The Hough cells within the disc around each anchor of each person. n of them."""

    votes: Float[Array, "D A n"]
    squared: Float[Array, "D A n"]  # squared distance to the anchor, input px^2


def look_around(
    votes: Float[Array, "h w A"],
    pose: Float[Array, "D A 2"],
    *,
    stride: int,
    radius: float,
) -> Neighbourhood:
    """Collects, for each anchor, the cells of its own Hough map within `radius` px."""
    height, width, anchors = votes.shape
    reach = math.ceil(radius / stride)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    window = np.stack([x, y], -1)[np.hypot(x, y) <= radius / stride]  # [n 2] cells
    center = pose / stride
    cells = jnp.round(center)[:, :, None] + window  # [D A n 2]
    column, row = jnp.moveaxis(cells.astype(jnp.int32), -1, 0)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = jnp.clip(column, 0, width - 1), jnp.clip(row, 0, height - 1)
    found = votes[row, column, jnp.arange(anchors)[:, None]]
    squared = jnp.sum((cells - center[:, :, None]) ** 2, axis=-1) * stride**2
    return Neighbourhood(jnp.where(inside, found, 0.0), squared)


def presence(
    heatmap: Float[Array, "h w A"],
    short: Float[Array, "h w A 2"],
    pose: Float[Array, "D A 2"],
    *,
    stride: int,
    radius: float,
) -> Float[Array, "D A"]:
    """Probability that each anchor is where the pose has it.

    The heatmap says whether some anchor is within the disc's radius, and the discs of
    neighbours reach over each other; the short offset found there says how far off the
    nearest one is: p(y) exp(-|S(y)|^2 / (2 r^2)).

    Args:
      heatmap: probabilities.
      short: offsets, input px.
      pose: anchor positions, input px.
      stride: input px per cell.
      radius: r, within which it is the same anchor, input px.
    """
    channel = jnp.broadcast_to(jnp.arange(pose.shape[1]), pose.shape[:2])
    probability = bilinear(heatmap, pose / stride, channel)
    miss = bilinear(short, pose / stride, channel)
    return probability * jnp.exp(-jnp.sum(miss**2, axis=-1) / (2 * radius**2))


def person_scale(
    pose: Float[Array, "D A 2"], found: Bool[Array, "D A"], *, smallest: float
) -> Float[Array, " D"]:
    """Square root of the area of the box around the found anchors, input px.

    Args:
      pose: anchor positions, input px.
      found: which of them count. Positions of others may be anywhere.
      smallest: what to return where fewer than two anchors, or a line, were found.
    """
    kept = found[..., None]
    low = jnp.min(jnp.where(kept, pose, jnp.inf), axis=1)
    high = jnp.max(jnp.where(kept, pose, -jnp.inf), axis=1)
    sides = jnp.maximum(high - low, 0.0)
    return jnp.maximum(jnp.sqrt(sides[:, 0] * sides[:, 1]), smallest)


def expected_oks(
    around: Neighbourhood,
    probability: Float[Array, "D A"],
    scale: Float[Array, " D"],
) -> Float[Array, "D K"]:
    """The object keypoint similarity that we expect each keypoint to have.

    p(y) sum_x h(x) exp(-|x - y|^2 / (2 s^2 k^2)) over the disc around y, with the Hough
    map h normalised to sum to 1 there (PersonLab, section 3.2).

    Args:
      around: Hough cells around each anchor.
      probability: p, that the anchor is there.
      scale: of each person, input px.
    """
    votes = around.votes[:, :NUM_KEYPOINTS]
    deviation = 2 * scale[:, None] * OKS_SIGMAS
    exponent = around.squared[:, :NUM_KEYPOINTS] / (2 * deviation[..., None] ** 2)
    total = jnp.maximum(jnp.sum(votes, axis=-1), 1e-6)
    mean = jnp.sum(votes * jnp.exp(-exponent), axis=-1) / total
    return mean * probability[:, :NUM_KEYPOINTS]


def soft_nms(
    pose: Float[Array, "D K 2"], confidence: Float[Array, "D K"], *, radius: float
) -> Float[Array, " D"]:
    """Each person's mean confidence over keypoints that no better person has claimed.

    A keypoint is claimed by a person with a higher mean confidence whose own keypoint
    of that type lies within `radius` px (PersonLab).
    """
    mean = jnp.mean(confidence, axis=1)
    better = (mean[:, None] > mean) | (
        (mean[:, None] == mean)
        & (jnp.arange(len(mean))[:, None] < jnp.arange(len(mean)))
    )
    distance = jnp.linalg.norm(pose[:, None] - pose[None], axis=-1)  # [i j K]
    claimed = jnp.any(better[..., None] & (distance <= radius), axis=0)
    return jnp.mean(jnp.where(claimed, 0.0, confidence), axis=1)


def take_best(tree, score: Float[Array, " C"], count: int):
    """The `count` entries with the highest scores, best first, of every leaf."""
    _, index = jax.lax.top_k(score, count)
    return jax.tree.map(lambda leaf: leaf[index], tree)
