"""Steps 3 and 4: every candidate grows its whole pose; the best of each person stay."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from poseseg_jax.decode import peaks
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
    snap_radius: float = 0.0,
    peaks_per_anchor: int = 1,
) -> Float[Array, "C A 2"]:
    """Follows the mid offsets from every candidate to all anchors of its person.

    All candidates walk at once, level by level of the skeleton's breadth-first walk.
    Anchors that cannot be reached stay at the candidate's own position. PersonLab snaps
    to no detection; with `snap_radius` a landing moves to the nearest candidate of its
    type, if there is one within reach, before the walk goes on (PosePlusSeg).

    Args:
      candidates: where to start.
      mid, short: offsets, input px.
      skeleton: the edges to follow.
      stride: input px per cell.
      refine_steps: how often a landing is corrected by the short offset found there.
      snap_radius: input px; 0: no snapping.
      peaks_per_anchor: candidates of each anchor among those to snap to.

    Returns:
      Anchor positions, input px.
    """
    places = peaks.of_each_anchor(candidates, count=peaks_per_anchor)
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
        if snap_radius > 0:
            landing = _snap(landing, *places, radius=snap_radius)
        pose = jnp.where((depth == level)[..., None], landing, pose)
    return pose


def _snap(
    landing: Float[Array, "C A 2"],
    places: Float[Array, "A n 2"],
    exists: Bool[Array, "A n"],
    *,
    radius: float,
) -> Float[Array, "C A 2"]:
    """Each landing, or the nearest place of its anchor within `radius`."""
    distance = jnp.linalg.norm(landing[:, :, None] - places, axis=-1)  # [C A n]
    distance = jnp.where(exists, distance, jnp.inf)
    nearest = jnp.argmin(distance, axis=-1)
    place = places[jnp.arange(places.shape[0]), nearest]
    is_near = jnp.min(distance, axis=-1) <= radius
    return jnp.where(is_near[..., None], place, landing)


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


def settle_claims(
    pose: Float[Array, "D A 2"],
    weight: Float[Array, "D A"],
    *,
    radius: float,
) -> Float[Array, "D A"]:
    """Weights of joints, 0 for those that belong more surely to another pose.

    A joint within `radius` px of another pose's joint of that type is one joint, found
    twice: the way to a joint that is not to be seen ends at a neighbour's. The centre
    is everybody's own.

    Args:
      pose: input px.
      weight: how sure each pose is of each joint; 0 for empty slots.
      radius: input px.
    """
    distance = jnp.linalg.norm(pose[:, None] - pose[None], axis=-1)  # [i j A]
    taken = (distance <= radius) & (weight[:, None] > weight[None])
    is_joint = jnp.arange(NUM_ANCHORS) != CENTER
    return jnp.where(jnp.any(taken, axis=0) & is_joint, 0.0, weight)


def suppress(
    candidates: Candidates,
    pose: Float[Array, "C A 2"],
    *,
    radius: float,
    center_radius: Float[Array, " C"] | None,
) -> Bool[Array, " C"]:
    """Greedy suppression of candidates that an already kept pose explains.

    In the order of scores, a candidate is kept unless a kept pose explains it. Computed
    as the fixed point of keep_j = not any_i (keep_i and i explains j): as an i always
    ranks above its j, the iteration settles from the top down and equals the sequential
    loop.

    Args:
      candidates, pose, radius, center_radius: as in `explains`.
    """
    explained = explains(candidates, pose, radius=radius, center_radius=center_radius)
    valid = candidates.score > 0

    def settle(state):
        keep, _ = state
        again = valid & ~jnp.any(keep[:, None] & explained, axis=0)
        return again, jnp.any(again != keep)

    keep, _ = jax.lax.while_loop(
        lambda state: state[1], settle, (valid, jnp.array(True))
    )
    return keep


def explains(
    candidates: Candidates,
    pose: Float[Array, "C A 2"],
    *,
    radius: float,
    center_radius: Float[Array, " C"] | None,
) -> Bool[Array, "C C"]:
    """[i, j]: i ranks above j, and j may be a part of the person that i has found.

    It may if pose i has its joint of candidate j's type within `radius` px of it, or
    its centre near the centre of pose j.

    Args:
      candidates: best first.
      pose: of each candidate, input px.
      radius: input px.
      center_radius: of each pose, within which another's centre is its own, input px;
        None: poses have no centre to compare.
    """
    own = pose[:, candidates.anchor]  # [i j 2]: pose i's anchor of candidate j's type
    distance = jnp.linalg.norm(own - candidates.position, axis=-1)
    near = distance <= radius
    if center_radius is not None:
        center = pose[:, CENTER]
        apart = jnp.linalg.norm(center[:, None] - center, axis=-1)
        near &= candidates.anchor != CENTER
        near |= apart <= center_radius[:, None]
    rank = jnp.arange(len(candidates.score))
    return near & (rank[:, None] < rank)
