"""Batch -> Targets, on the device: the maps that a perfect network would give.

Written for one picture and vmapped by `make`. The method is PersonLab's
(arXiv 1803.08225, section 3), with the person's centre as an 18th anchor that everybody
has, a person map of fractions at its own stride, and a weight for every value, so that
what is unknown costs nothing.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, UInt8

from poseseg_jax import geometry, occupancy
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import CENTER, NUM_KEYPOINTS
from poseseg_jax.structs import (
    IGNORE,
    MAX_PEOPLE,
    SEVERAL,
    UNKNOWN_MASK,
    Array,
    Batch,
    Maps,
    Targets,
)


def make(
    batch: Batch, *, representation: Representation, hard_keypoint_weight: float = 1.0
) -> Targets:
    """The targets of every picture of a batch.

    Args:
      batch: with a leading batch axis.
      representation: how people are written into maps.
      hard_keypoint_weight: weight of hidden keypoints (visibility 1) in the offset
        losses; visible ones and centres weigh 1.

    Returns:
      Targets with the same leading axis.
    """
    make_one = functools.partial(
        _make_one,
        representation=representation,
        hard_keypoint_weight=hard_keypoint_weight,
    )
    return jax.vmap(make_one)(batch)


def _make_one(
    picture: Batch, *, representation: Representation, hard_keypoint_weight: float
) -> Targets:
    stride = representation.map_stride
    skeleton = representation.skeleton
    people = picture.people[::stride, ::stride]
    cells = jnp.asarray(geometry.cell_centers(len(people), people.shape[1], stride))
    anchors, labelled, weight = _anchors(picture, hard_keypoint_weight)

    nearest, inside = _discs(cells, anchors, labelled, representation.radius)
    # [h w A 2]: the anchor that owns the cell, for each type of anchor.
    owner = jnp.take_along_axis(
        anchors[None, None], nearest[:, :, None, :, None], axis=2
    )[:, :, 0]
    short = owner - cells[:, :, None]
    near = inside * _gather_people(weight, nearest)

    # The owner of the source's disc decides which person an edge belongs to.
    source, target = skeleton.sources, skeleton.targets
    walker = nearest[..., source]
    mid = anchors[walker, target] - cells[:, :, None]
    edge = inside[..., source] * weight[walker, source] * weight[walker, target]

    rows, shares = occupancy.owners(picture.people, stride=stride)
    # Far from every owner, the person whose centre is nearest: within a crowd, somebody
    # who is there, whatever the order of people.
    rows = jnp.where(rows >= 0, rows, nearest[..., CENTER, None])
    long = _mean_anchors(anchors, labelled, rows, shares) - cells[:, :, None]
    asked, asked_body = _asked(picture, people, cells, inside)
    person, asked_person = occupancy.fraction(
        picture.people, stride=representation.person_stride
    )
    if representation.masks == "hard":
        person = (person >= 0.5).astype(person.dtype)
    maps = Maps(
        heatmap=inside.astype(jnp.float32),
        short=short * inside[..., None],
        mid=mid * (edge > 0)[..., None],
        long=long,
        person=person,
        body=_body(picture, cells, representation.body_sigma),
    )
    return Targets(
        maps=maps,
        near=near,
        edge=edge,
        owned=jnp.einsum("hwo,hwoa->hwa", shares, weight[rows]),
        asked=asked,
        asked_person=asked_person,
        asked_body=asked_body,
    )


def _anchors(
    picture: Batch, hard_keypoint_weight: float
) -> tuple[Float[Array, "N A 2"], Bool[Array, "N A"], Float[Array, "N A"]]:
    """Where every anchor is, whether it is labelled, and what its offsets weigh."""
    center = (picture.box[:, :2] + picture.box[:, 2:]) / 2
    anchors = jnp.concatenate([picture.keypoints, center[:, None]], axis=1)
    exists = _exists(picture)[:, None]
    labelled = jnp.concatenate([picture.visibility > 0, exists > 0], axis=1)
    by_visibility = jnp.array([0.0, hard_keypoint_weight, 1.0])
    weight = jnp.concatenate([by_visibility[picture.visibility], exists], axis=1)
    return anchors, labelled, weight


def _exists(picture: Batch) -> Float[Array, " N"]:
    """1 for people, 0 for padded rows."""
    return jnp.any(picture.box != 0, axis=-1).astype(jnp.float32)


def _discs(
    cells: Float[Array, "h w 2"],
    anchors: Float[Array, "N A 2"],
    labelled: Bool[Array, "N A"],
    radius: float,
) -> tuple[Int[Array, "h w A"], Bool[Array, "h w A"]]:
    """Whose anchor of each type is nearest to a cell, and is it within `radius`."""
    squared = jnp.where(labelled, _squared_distance(cells, anchors), jnp.inf)
    nearest = jnp.argmin(squared, axis=2)
    return nearest, jnp.min(squared, axis=2) <= radius**2


def _squared_distance(
    cells: Float[Array, "h w 2"], points: Float[Array, "N a 2"]
) -> Float[Array, "h w N a"]:
    """Summed from its two axes, of which each depends on rows or on columns alone."""
    x, y = jnp.moveaxis(points, -1, 0)
    across = (cells[0, :, 0, None, None] - x) ** 2
    down = (cells[:, 0, 1, None, None] - y) ** 2
    return down[:, None] + across


def _gather_people(
    weight: Float[Array, "N A"], person: Int[Array, "h w A"]
) -> Float[Array, "h w A"]:
    return weight[person, jnp.arange(weight.shape[1])]


def _owner_of_middle(
    people: UInt8[Array, "h w"],
) -> tuple[Int[Array, "h w"], Bool[Array, "h w"]]:
    """The row of who alone owns a cell's middle pixel, and whether there is one."""
    owned = (people > 0) & (people <= MAX_PEOPLE)
    return jnp.where(owned, people.astype(jnp.int32) - 1, 0), owned


def _mean_anchors(
    anchors: Float[Array, "N A 2"],
    labelled: Bool[Array, "N A"],
    rows: Int[Array, "h w 2"],
    shares: Float[Array, "h w 2"],
) -> Float[Array, "h w A 2"]:
    """Each anchor's mean over the owners of a cell's pixels who have it labelled."""
    counts = shares[..., None] * labelled[rows]
    total = jnp.sum(counts, axis=2)
    part = counts[..., 1, :] / jnp.where(total > 0, total, 1.0)
    first, second = anchors[rows[..., 0]], anchors[rows[..., 1]]
    return first + part[..., None] * (second - first)


def _asked(
    picture: Batch,
    people: UInt8[Array, "h w"],
    cells: Float[Array, "h w 2"],
    inside: Bool[Array, "h w A"],
) -> tuple[Float[Array, "h w A"], Float[Array, "h w"]]:
    """Where heatmap and body are asked.

    Nowhere in ignored regions; keypoints also not on people without a labelled one,
    whose joints may be in plain sight. A labelled anchor's disc always counts. Where
    only the mask of somebody is unknown, the heatmap is asked: the joints are known.
    """
    known = people != IGNORE
    silent = (_exists(picture) > 0) & ~jnp.any(picture.visibility > 0, axis=-1)
    row, owned = _owner_of_middle(people)
    x, y = cells[..., None, 0], cells[..., None, 1]
    x0, y0, x1, y1 = jnp.moveaxis(picture.box, -1, 0)
    in_silent_box = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1) & silent
    # Whose these pixels are is not known: perhaps theirs.
    unclear = (people == UNKNOWN_MASK) | (people == SEVERAL)
    is_silent = jnp.where(owned, silent[row], unclear & jnp.any(in_silent_box, axis=-1))
    for_keypoints = known & ~is_silent
    is_center = jnp.arange(inside.shape[-1]) == CENTER
    asked = jnp.where(is_center, known[..., None], for_keypoints[..., None]) | inside
    asked_body = for_keypoints | jnp.any(inside[..., :NUM_KEYPOINTS], axis=-1)
    return asked.astype(jnp.float32), asked_body.astype(jnp.float32)


def _body(
    picture: Batch, cells: Float[Array, "h w 2"], body_sigma: float
) -> Float[Array, "h w"]:
    """Closeness to the nearest labelled keypoint, in units of its person's size."""
    sigma = body_sigma * jnp.sqrt(jnp.maximum(picture.area, 1.0))
    squared = _squared_distance(cells, picture.keypoints)
    exponent = squared / (2 * sigma[:, None] ** 2)
    # The largest of the Gaussians is the Gaussian of the smallest exponent.
    exponent = jnp.where(picture.visibility > 0, exponent, jnp.inf)
    return jnp.exp(-jnp.min(exponent, axis=(2, 3)))
