"""Step 6: which pixels belong to whom."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from poseseg_jax import geometry
from poseseg_jax.structs import Array


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
    cells = geometry.cell_centers(height, width, stride)[:, :, None]
    embedding = cells + long

    def distance_to(anchors, weights, size):
        miss = jnp.linalg.norm(embedding - anchors, axis=-1)
        total = jnp.sum(weights)
        mean = miss @ weights / jnp.where(total > 0, total * size, 1.0)
        return jnp.where(total > 0, mean, jnp.inf)

    return jax.vmap(distance_to)(pose, confidence, scale)


def ownership(
    distance: Float[Array, "D h w"],
    is_person: Float[Array, " D"],
    *,
    threshold: float,
    exclusive: bool,
) -> Float[Array, "D h w"]:
    """1 where a cell belongs to a person, 0 where not, soft in between.

    Falls linearly from 1 to 0 between half and one and a half times `threshold`.

    Args:
      distance: of each cell in the embedding.
      is_person: 1 for people, 0 for empty slots, which own nothing.
      threshold: distance at which a cell is theirs by half.
      exclusive: gives a cell only to the nearest person.
    """
    distance = jnp.where(is_person[:, None, None] > 0, distance, jnp.inf)
    owned = jnp.clip(1.5 - distance / threshold, 0.0, 1.0)
    if exclusive:
        nearest = jnp.argmin(distance, axis=0)
        owned *= nearest == jnp.arange(len(distance))[:, None, None]
    return owned


def assemble(
    person: Float[Array, "p q"], owned: Float[Array, "D h w"]
) -> Float[Array, "D p q"]:
    """Masks on the person map's grid: its outlines, divided by ownership.

    Ownership is known on coarser cells, and only where there is a person; so a fine
    cell takes the mean of the coarse cells around it, weighted by how much person each
    of them holds. Without any person around, it takes the plain mean.

    Args:
      person: probability of any person.
      owned: on a grid whose stride is a multiple of the person map's.
    """
    factor = (person.shape[0] - 1) // max(owned.shape[1] - 1, 1)
    weight = person[::factor, ::factor] + 1e-3
    fine = geometry.upsample((owned * weight)[..., None], factor)[..., 0]
    fine /= geometry.upsample(weight[..., None], factor)[..., 0]
    return fine * person
