"""Steps 3 and 4: every candidate grows its whole pose; the best of each person stay."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from poseseg_jax.decode.peaks import Candidates
from poseseg_jax.geometry import bilinear
from poseseg_jax.skeleton import CENTER, NUM_ANCHORS, Skeleton
from poseseg_jax.structs import Array


def grow(
    candidates: Candidates,
    *,
    mid: Float[Array, "h w E 2"],
    short: Float[Array, "h w A 2"],
    skeleton: Skeleton,
    stride: int,
    refine_steps: int,
) -> Float[Array, "C A 2"]:
    """Follows the mid offsets from every candidate to all anchors of its person.

    All candidates walk at once, level by level of the skeleton's breadth-first walk;
    no detection is snapped to (PersonLab). Anchors that cannot be reached stay at the
    candidate's own position.

    Args:
      candidates: where to start.
      mid, short: offsets, input px.
      skeleton: the edges to follow.
      stride: input px per cell.
      refine_steps: how often a landing is corrected by the short offset found there.

    Returns:
      Anchor positions, input px.
    """
    edge, depth = (jnp.asarray(table) for table in skeleton.walks())
    edge, depth = edge[candidates.anchor], depth[candidates.anchor]
    parent = jnp.asarray(skeleton.sources)[edge]
    target = jnp.broadcast_to(jnp.arange(NUM_ANCHORS), edge.shape)
    pose = jnp.repeat(candidates.position[:, None], NUM_ANCHORS, axis=1)
    for level in range(1, int(skeleton.walks()[1].max()) + 1):
        start = jnp.take_along_axis(pose, parent[..., None], axis=1)
        landing = start + bilinear(mid, start / stride, edge)
        for _ in range(refine_steps):
            landing += bilinear(short, landing / stride, target)
        pose = jnp.where((depth == level)[..., None], landing, pose)
    return pose


def agreement(
    pose: Float[Array, "D A 2"],
    root: Int[Array, " D"],
    *,
    mid: Float[Array, "h w E 2"],
    skeleton: Skeleton,
    stride: int,
    radius: float,
) -> Float[Array, "D A"]:
    """How surely each anchor of a pose belongs to the person that the pose began with.

    The way to a joint that is not to be seen is often bent, by the short offsets, to a
    neighbour's joint of that type, which is a perfectly good joint. But the mid offset
    found there leads back to the neighbour. So every step of the walk is also taken
    backwards, and costs exp(-|miss|^2 / (2 s^2)), where s is a third of the step's
    length, as long steps miss by more; the factors multiply along the walk.

    Args:
      pose: from `grow`.
      root: anchor from which each pose was grown.
      mid: offsets, input px.
      skeleton: the edges, each of which also exists in the other direction.
      stride: input px per cell.
      radius: steps shorter than this may miss as much as one of this length, input px.

    Returns:
      1 at the root, 0 where no way leads to.
    """
    edge, depth = (jnp.asarray(table)[root] for table in skeleton.walks())
    parent = jnp.asarray(skeleton.sources)[edge]
    start = jnp.take_along_axis(pose, parent[..., None], axis=1)
    back = bilinear(mid, pose / stride, jnp.asarray(_ways_back(skeleton))[edge])
    squared = jnp.sum((pose + back - start) ** 2, axis=-1)
    length = jnp.linalg.norm(pose - start, axis=-1)
    spread = jnp.maximum(length, radius) / 3
    step = jnp.exp(-squared / (2 * spread**2))
    surely = jnp.where(depth == 0, 1.0, 0.0)
    for level in range(1, int(skeleton.walks()[1].max()) + 1):
        so_far = jnp.take_along_axis(surely, parent, axis=1)
        surely = jnp.where(depth == level, so_far * step, surely)
    return surely


@functools.cache
def _ways_back(skeleton: Skeleton) -> Int[np.ndarray, " E"]:
    """The index of each edge's opposite."""
    return np.array([skeleton.edges.index((b, a)) for a, b in skeleton.edges])


def suppress(
    candidates: Candidates,
    pose: Float[Array, "C A 2"],
    *,
    radius: float,
    center_radius: float | None,
) -> Bool[Array, " C"]:
    """Greedy suppression of candidates that an already kept pose explains.

    In the order of scores, a candidate is kept unless a kept pose has its anchor of
    the candidate's type within `radius` px, or its centre near the candidate's.
    Computed as the fixed point of keep_j = not any_i (keep_i and i explains j): as an i
    always ranks above its j, the iteration settles from the top down and equals the
    sequential loop.

    Args:
      candidates: best first.
      pose: of each candidate, input px.
      radius: input px.
      center_radius: input px; None: poses have no centre to compare.
    """
    own = pose[:, candidates.anchor]  # [i j 2]: pose i's anchor of candidate j's type
    distance = jnp.linalg.norm(own - candidates.position, axis=-1)
    explains = distance <= radius
    if center_radius is not None:
        center = pose[:, CENTER]
        apart = jnp.linalg.norm(center[:, None] - center, axis=-1)
        explains |= apart <= center_radius
    rank = jnp.arange(len(candidates.score))
    explains &= rank[:, None] < rank
    valid = candidates.score > 0

    def settle(state):
        keep, _ = state
        again = valid & ~jnp.any(keep[:, None] & explains, axis=0)
        return again, jnp.any(again != keep)

    keep, _ = jax.lax.while_loop(
        lambda state: state[1], settle, (valid, jnp.array(True))
    )
    return keep
