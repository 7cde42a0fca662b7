"""Batch -> Targets, on the device: the maps that a perfect network would give.

Written for one picture and vmapped by `make`. The method is PersonLab's
(arXiv 1803.08225, section 3), with the person's centre as an 18th anchor that everybody
has, a person map of fractions at its own stride, and a weight for every value, so that
what is unknown costs nothing.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from poseseg_jax import geometry
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

# How far beyond outlines, in cells, long offsets go on. An outline crosses cells whose
# own pixels are nobody's, or of several people.
_CELLS_NEARBY = 2


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

    rows, shares = _owners_of_cells(picture.people, stride)
    long = _mean_anchors(anchors, labelled, rows, shares) - cells[:, :, None]
    asked, asked_body = _asked(picture, people, cells, inside)
    person, asked_person = person_fraction(
        picture.people, stride=representation.person_stride
    )
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


def _owners(
    people: UInt8[Array, "h w"],
) -> tuple[Int[Array, "h w"], Bool[Array, "h w"]]:
    """The row of the person who alone owns a cell, and whether there is one."""
    owned = (people > 0) & (people <= MAX_PEOPLE)
    return jnp.where(owned, people.astype(jnp.int32) - 1, 0), owned


def _owners_of_cells(
    people: UInt8[Array, "H W"], stride: int
) -> tuple[Int[Array, "h w 2"], Float[Array, "h w 2"]]:
    """Who owns the pixels of a cell, and which fraction of it.

    A cell covers pixels as in `person_fraction`. Asking its middle pixel alone would
    lose people who are smaller than a cell, and where two of them meet. Of more than
    two owners, those whose pixels are nearest to the middle count.

    Returns:
      Rows of the first and the second owner, and the fraction of the cell that each of
      them alone covers. Where nobody does, both fractions are 0, and the first row is
      one of a cell nearby: perfect long offsets do not end at an outline.
    """
    pixels = _pixels(people, stride=stride, kernel=_kernel(stride))
    owned = [jnp.where(codes <= MAX_PEOPLE, codes, 0) for codes, _ in pixels]
    first = second = jnp.zeros_like(owned[0])
    for codes in owned:
        first = jnp.where(first == 0, codes, first)
    for codes in owned:
        second = jnp.where((second == 0) & (codes != first), codes, second)
    owners = jnp.stack([first, second], axis=-1)
    shares = jnp.zeros(owners.shape)
    for codes, (_, part) in zip(owned, pixels, strict=True):
        shares += jnp.where(codes[..., None] == owners, part, 0.0)
    possible = _pool(jnp.ones(people.shape), stride)[..., None]
    shares = jnp.where(owners > 0, shares / possible, 0.0)
    for _ in range(_CELLS_NEARBY):
        for codes, _ in _pixels(first, stride=1, kernel=np.ones(3)):
            first = jnp.where((first == 0) & (codes <= MAX_PEOPLE), codes, first)
    rows = jnp.stack([first, second], axis=-1).astype(jnp.int32) - 1
    return jnp.maximum(rows, 0), shares


def _pixels(
    people: UInt8[Array, "H W"], *, stride: int, kernel: Float[np.ndarray, " k"]
) -> list[tuple[UInt8[Array, "h w"], float]]:
    """What lies around every cell's pixel, nearest first: codes, and their weight."""
    reach = len(kernel) // 2
    cells = [geometry.num_cells(side, stride) for side in people.shape]
    padded = jnp.pad(people, reach, constant_values=IGNORE)
    places = list(np.ndindex(len(kernel), len(kernel)))
    places.sort(key=lambda place: sum((step - reach) ** 2 for step in place))
    pixels = []
    for y, x in places:
        codes = jax.lax.slice(
            padded,
            (y, x),
            (y + (cells[0] - 1) * stride + 1, x + (cells[1] - 1) * stride + 1),
            (stride, stride),
        )
        pixels.append((codes, float(kernel[y] * kernel[x])))
    return pixels


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
    row, owned = _owners(people)
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


def person_fraction(
    people: UInt8[Array, "H W"], *, stride: int
) -> tuple[Float[Array, "p q"], Float[Array, "p q"]]:
    """The fraction of each cell that people cover, over what is known of the cell.

    A cell covers `stride` x `stride` pixels around its own, so that its outermost rows
    and columns are shared with the next cell and count half.

    Args:
      people: codes of the people map at input resolution.
      stride: input pixels per cell, even or 1.

    Returns:
      The fraction, and a weight: 1 where at least half of the cell is known, else 0.
      Where less is known, the fraction is of the whole cell: an outline within a crowd
      ends with what is known.
    """
    known = (people != IGNORE) & (people != UNKNOWN_MASK)
    covered = known & (people > 0)
    pooled_known = _pool(known.astype(jnp.float32), stride)
    pooled = _pool(covered.astype(jnp.float32), stride)
    possible = _pool(jnp.ones(people.shape), stride)
    is_known = pooled_known >= possible / 2
    fraction = pooled / jnp.where(is_known, pooled_known, possible)
    return fraction, is_known.astype(jnp.float32)


def _pool(values: Float[Array, "H W"], stride: int) -> Float[Array, "p q"]:
    """Sums over each cell; its outermost rows and columns count half."""
    kernel = _kernel(stride)
    for axis in (0, 1):
        moved = jnp.moveaxis(values, axis, 0)
        padded = jnp.pad(moved, ((stride // 2, stride // 2), (0, 0)))
        count = geometry.num_cells(moved.shape[0], stride)
        taps = [
            weight * padded[tap : tap + (count - 1) * stride + 1 : stride]
            for tap, weight in enumerate(kernel)
        ]
        values = jnp.moveaxis(sum(taps[1:], taps[0]), 0, axis)
    return values


def _kernel(stride: int) -> Float[np.ndarray, " k"]:
    """Weights of a row of pixels in the cell that they surround."""
    if stride == 1:
        return np.ones(1)
    return np.array([0.5, *[1.0] * (stride - 1), 0.5])


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
