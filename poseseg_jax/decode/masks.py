"""Step 6: which pixels belong to whom.

Memory: a few maps of D people at the embedding's stride, and at the end the D masks at
the person map's; about 4 D (5 h w + p q) bytes, whatever the number of people found.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from poseseg_jax import geometry
from poseseg_jax.decode import hough
from poseseg_jax.structs import Array

_SAME_PLACE = 0.1  # input px; poses that are nearer, on average, are one


def visible_area(
    person: Float[Array, "h w"],
    to_center: Float[Array, "h w 2"],
    center: Float[Array, "C 2"],
    *,
    stride: int,
) -> Float[Array, " C"]:
    """How many px of people say that their centre is near a given one.

    Every cell adds the area of its person where its long offset points; counted are
    3 x 3 cells, so people closer than that are counted partly for each other.

    Args:
      person: probability of any person.
      to_center: long offsets of the centre, input px.
      center: where to count, input px.
      stride: input px per cell.
    """
    area = person[..., None] * float(stride**2)
    landed = hough.splat(area, to_center[:, :, None], stride=stride, onto=stride)
    around = jax.lax.reduce_window(
        landed, 0.0, jax.lax.add, (3, 3, 1), (1, 1, 1), "SAME"
    )
    return geometry.bilinear(around, center / stride)[:, 0]


def embedding_distance(
    long: Float[Array, "h w A 2"],
    pose: Float[Array, "D A 2"],
    confidence: Float[Array, "D A"],
    scale: Float[Array, " D"],
    *,
    stride: int,
) -> Float[Array, "D h w"]:
    """How far a cell's long offsets miss each pose, in units of the person's scale.

    PersonLab's D = sum_a p_a |x + L_a(x) - y_a| / (s sum_a p_a), infinite for a pose
    without any anchor.

    Args:
      long: offsets, input px.
      pose: anchor positions, input px.
      confidence: weights of the anchors, 0 where not found.
      scale: of each person, input px.
      stride: input px per cell.
    """
    height, width = long.shape[:2]
    embedding = geometry.cell_centers(height, width, stride)[:, :, None] + long
    total = jnp.sum(confidence, axis=1)
    weight = confidence / jnp.where(total > 0, total * scale, 1.0)[:, None]

    # One anchor after the other: all at once would take A times the memory.
    def add(distance, anchor):
        cells, places, weights = anchor
        x, y = jnp.moveaxis(places, 1, 0)[..., None, None]
        miss = jnp.sqrt((cells[..., 0] - x) ** 2 + (cells[..., 1] - y) ** 2)
        return distance + weights[:, None, None] * miss, None

    distance, _ = jax.lax.scan(
        add,
        jnp.zeros((len(pose), height, width)),
        (jnp.moveaxis(embedding, 2, 0), jnp.moveaxis(pose, 1, 0), weight.T),
    )
    return jnp.where(total[:, None, None] > 0, distance, jnp.inf)


def ownership(
    distance: Float[Array, "D h w"],
    is_person: Float[Array, " D"],
    *,
    threshold: float,
) -> Float[Array, "D h w"]:
    """PersonLab's: a cell belongs to everybody whose pose its embedding is near to.

    Falls linearly from 1 to 0 between half and one and a half times `threshold`.

    Args:
      distance: of each cell in the embedding.
      is_person: 1 for people, 0 for empty slots, which own nothing.
      threshold: distance at which a cell is theirs by half.
    """
    distance = jnp.where(is_person[:, None, None] > 0, distance, jnp.inf)
    return jnp.clip(1.5 - distance / threshold, 0.0, 1.0)


def exclusive_ownership(
    distance: Float[Array, "D h w"],
    is_person: Float[Array, " D"],
    *,
    long: Float[Array, "h w A 2"],
    pose: Float[Array, "D A 2"],
    confidence: Float[Array, "D A"],
    scale: Float[Array, " D"],
    stride: int,
    threshold: float,
) -> Float[Array, "D h w"]:
    """Each cell's shares of the two people nearest to it; they add up to 1 at most.

    A cell on the line where two people meet says something between the two, and where
    in between says how much of it is whose: each has the other's part of their joint
    distance, over the anchors that both have. So a border is found to a fraction of a
    cell. People whose poses coincide do not share: half of it each would be nobody's.
    A cell far from the nearest person falls to nobody, as in `ownership`.

    Who is nearest is judged by the mean miss in px over the square root of the scale.
    Large people's offsets miss by more; but a border between a small and a large
    person, judged by the miss over the scale, would move into the small one.

    Args:
      distance: from `embedding_distance`, as are the other arguments.
      is_person: 1 for people, 0 for empty slots, which own nothing.
      threshold: distance of the nearest person at which a cell is theirs by half.
    """
    is_one = (is_person > 0)[:, None, None]
    distance = jnp.where(is_one, distance, jnp.inf)
    ranked = distance * jnp.sqrt(scale)[:, None, None]
    slot = jnp.arange(len(pose))[:, None, None]
    first = jnp.argmin(ranked, axis=0)
    others = jnp.where(slot == first, jnp.inf, ranked)
    second = jnp.argmin(others, axis=0)
    both = jnp.minimum(confidence[:, None], confidence)  # [D D A]
    gap = jnp.linalg.norm(pose[:, None] - pose, axis=-1)
    # Nothing to tell the two apart by.
    is_same = jnp.sum(both * gap, axis=-1) <= _SAME_PLACE * jnp.sum(both, axis=-1)
    common = both[first, second]
    height, width = first.shape
    embedding = geometry.cell_centers(height, width, stride)[:, :, None] + long

    def miss(who):
        apart = jnp.linalg.norm(embedding - pose[who], axis=-1)
        return jnp.sum(common * apart, axis=-1) / jnp.sqrt(scale[who])

    to_first, to_second = miss(first), miss(second)
    total = to_first + to_second
    share = to_second / jnp.where(total > 0, total, 1.0)
    alone = jnp.isinf(jnp.min(others, axis=0))
    share = jnp.where(alone | is_same[first, second], 1.0, share)
    near = ownership(distance, is_person, threshold=threshold)
    near = jnp.take_along_axis(near, first[None], axis=0)[0]
    shares = jnp.where(slot == first, share, 0.0)
    shares += jnp.where((slot == second) & (slot != first), 1 - share, 0.0)
    return jnp.where(is_one, near * shares, 0.0)


def assemble(
    person: Float[Array, "p q"], owned: Float[Array, "D h w"], *, factor: int
) -> Float[Array, "D p q"]:
    """Masks on the person map's grid: its outlines, divided by ownership.

    Ownership is known on coarser cells, and only where there is a person; so a fine
    cell takes the mean of the coarse cells around it, weighted by how much person each
    of them holds. Without any person around, it takes the plain mean. A pixel is
    somebody's if it is a person's and theirs: the lesser of the two.

    Args:
      person: probability of any person.
      owned: on a coarser grid.
      factor: fine cells per coarse cell.
    """
    weight = person[::factor, ::factor] + 1e-3
    fine = geometry.upsample((owned * weight)[..., None], factor)[..., 0]
    fine /= geometry.upsample(weight[..., None], factor)[..., 0]
    return jnp.minimum(fine, person)


def coarsen(values: Float[Array, "p q"], factor: int) -> Float[Array, "h w"]:
    """Every `factor`-th cell, as the weighted mean of the finer cells up to the next.

    Weights fall linearly with the distance; beyond the border, nothing counts.
    """
    taps = 1 - np.abs(np.arange(1 - factor, factor)) / factor
    for axis in (0, 1):
        count = (values.shape[axis] - 1) // factor + 1
        total, weights = 0.0, np.zeros(count)
        padding = [(factor - 1, factor - 1) if axis == a else (0, 0) for a in (0, 1)]
        padded = jnp.pad(values, padding)
        inside = np.pad(np.ones(values.shape[axis]), factor - 1)
        for start, tap in enumerate(taps):
            end = start + (count - 1) * factor + 1
            total += tap * jax.lax.slice_in_dim(padded, start, end, factor, axis)
            weights += tap * inside[start:end:factor]
        values = total / np.expand_dims(weights, 1 - axis)
    return jnp.asarray(values)
