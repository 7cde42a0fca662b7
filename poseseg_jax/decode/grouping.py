"""Steps 3 and 4: every candidate grows its whole pose; the best of each person stay."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from poseseg_jax.decode.peaks import Candidates
from poseseg_jax.geometry import bilinear
from poseseg_jax.skeleton import NUM_ANCHORS, Skeleton
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


def suppress(
    candidates: Candidates, pose: Float[Array, "C A 2"], *, radius: float
) -> Bool[Array, " C"]:
    """Greedy suppression of candidates that an already kept pose explains.

    In the order of scores, a candidate is kept unless a kept pose has its anchor of
    the candidate's type within `radius` px. Computed as the fixed point of
    keep_j = not any_i (keep_i and i explains j): as an i always ranks above its j, the
    iteration settles from the top down and equals the sequential loop.
    """
    own = pose[:, candidates.anchor]  # [i j 2]: pose i's anchor of candidate j's type
    distance = jnp.linalg.norm(own - candidates.position, axis=-1)
    rank = jnp.arange(len(candidates.score))
    explains = (distance <= radius) & (rank[:, None] < rank)
    valid = candidates.score > 0

    def settle(state):
        keep, _ = state
        again = valid & ~jnp.any(keep[:, None] & explains, axis=0)
        return again, jnp.any(again != keep)

    keep, _ = jax.lax.while_loop(
        lambda state: state[1], settle, (valid, jnp.array(True))
    )
    return keep
