"""The composition: Maps -> Instances for one picture, in fixed shapes."""

import dataclasses
import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from poseseg_jax.decode import grouping, hough, masks, peaks, scoring
from poseseg_jax.decode.settings import DecodeSettings
from poseseg_jax.geometry import bilinear
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import CENTER, NUM_KEYPOINTS
from poseseg_jax.structs import Array, Instances, Maps, Poses


def activate(maps: Maps) -> Maps:
    """Turns the logits of a network into probabilities."""
    return dataclasses.replace(
        maps,
        heatmap=jax.nn.sigmoid(maps.heatmap),
        person=jax.nn.sigmoid(maps.person),
        body=jax.nn.sigmoid(maps.body),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class People:
    """The poses that were kept, in fixed slots, best root first. D of them."""

    pose: Float[Array, "D A 2"]  # input px
    root: Int[Array, " D"]  # the anchor from which each was grown
    score: Float[Array, " D"]  # Hough mass of the root; 0 = empty slot
    area: Float[Array, " D"]  # visible, input px^2


def decode(
    maps: Maps, *, representation: Representation, settings: DecodeSettings
) -> Instances:
    """Finds the people in the maps of one picture.

    Args:
      maps: of one picture, with probabilities (see `activate`).
      representation: how the maps are to be read.
      settings: thresholds.

    Returns:
      `settings.max_people` people, best first, then empty slots with score 0.
    """
    stride, radius = representation.map_stride, representation.radius
    steps = {"representation": representation, "settings": settings}
    votes = hough.vote(maps.heatmap, maps.short, stride=stride, radius=radius)
    candidates = find_candidates(maps, votes, **steps)
    people = find_people(maps, candidates, **steps)
    return describe(maps, votes, people, **steps)


def find_candidates(
    maps: Maps,
    votes: Float[Array, "h w A"],
    *,
    representation: Representation,
    settings: DecodeSettings,
) -> peaks.Candidates:
    """Step 2: peaks of every root.

    The centre, which small people have alone, is looked for on a finer grid: in a
    crowd, their centres are nearer to each other than cells are.
    """
    stride, roots = representation.map_stride, representation.skeleton.roots
    find = functools.partial(
        peaks.find,
        threshold=settings.peak_threshold,
        per_anchor=settings.peaks_per_anchor,
    )
    keypoints = tuple(root for root in roots if root != CENTER)
    of_keypoints = votes[..., list(keypoints)]
    mass = hough.gather_neighbours(of_keypoints)
    found = find(of_keypoints, mass, roots=keypoints, stride=stride)
    if CENTER not in roots:
        return found
    fine = hough.vote(
        maps.heatmap[..., CENTER:],
        maps.short[..., CENTER:, :],
        stride=stride,
        radius=representation.radius,
        vote_stride=settings.center_stride,
    )
    # Scored as on the coarse grid, where votes that do not quite agree still meet.
    reach = 2 * stride // settings.center_stride
    centers = find(
        fine,
        hough.gather_neighbours(fine),
        roots=(CENTER,),
        stride=settings.center_stride,
        rank=hough.gather_neighbours(fine, reach=reach),
    )
    return peaks.merge(centers, found)


def find_people(
    maps: Maps,
    candidates: peaks.Candidates,
    *,
    representation: Representation,
    settings: DecodeSettings,
) -> People:
    """Steps 3 and 4: every candidate's pose, of which the best of each person stay."""
    grown = grow(maps, candidates, representation=representation, settings=settings)
    keep = grouping.suppress(
        candidates,
        grown.pose,
        radius=settings.suppression_radius,
        center_radius=grown.center_radius,
    )
    score = jnp.where(keep, candidates.score, 0.0)
    people = People(grown.pose, candidates.anchor, score, grown.area)
    return scoring.take_best(people, score, settings.max_people)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Grown:
    """What step 3 makes of every candidate. C of them."""

    pose: Float[Array, "C A 2"]  # input px
    area: Float[Array, " C"]  # visible, input px^2; 0 in a tree
    center_radius: Float[Array, " C"] | None  # input px; None in a tree


def grow(
    maps: Maps,
    candidates: peaks.Candidates,
    *,
    representation: Representation,
    settings: DecodeSettings,
) -> Grown:
    """Step 3: every candidate's pose, and within what its centre is nobody else's."""
    skeleton = representation.skeleton
    pose = grouping.grow(
        candidates,
        mid=maps.mid,
        short=maps.short,
        skeleton=skeleton,
        stride=representation.map_stride,
        refine_steps=settings.refine_steps,
        snap_radius=settings.snap_radius,
        peaks_per_anchor=settings.peaks_per_anchor,
    )
    area = _visible_area(maps, pose, representation)
    # In a tree, no way leads to the centre.
    has_center = CENTER in skeleton.roots
    return Grown(pose, area, _center_radius(area, settings) if has_center else None)


def _visible_area(
    maps: Maps, pose: Float[Array, "C A 2"], representation: Representation
) -> Float[Array, " C"]:
    """Of each pose, input px^2; 0 in a tree, where no way leads to the centre."""
    if CENTER not in representation.skeleton.roots:
        return jnp.zeros(len(pose))
    stride = representation.map_stride
    return masks.visible_area(
        masks.coarsen(maps.person, stride // representation.person_stride),
        maps.long[..., CENTER, :],
        pose[:, CENTER],
        stride=stride,
    )


def _center_radius(
    area: Float[Array, " C"], settings: DecodeSettings
) -> Float[Array, " C"]:
    """Within which distance another's centre is a pose's own; less for small people."""
    radius = jnp.clip(
        settings.center_scale * jnp.sqrt(area),
        settings.center_radius_min,
        settings.center_radius,
    )
    # Of whom nothing is to be seen, the size is not known.
    return jnp.where(area < 1, settings.center_radius, radius)


def describe(
    maps: Maps,
    votes: Float[Array, "h w A"],
    people: People,
    *,
    representation: Representation,
    settings: DecodeSettings,
) -> Instances:
    """Steps 5 and 6: confidences, scores and masks of the poses that were kept."""
    stride, radius = representation.map_stride, representation.radius
    pose, near = people.pose, settings.suppression_radius
    around = scoring.look_around(votes, pose, stride=stride, radius=radius)
    presence = scoring.presence(
        maps.heatmap, maps.short, pose, stride=stride, radius=near
    )
    weight = _weights(
        maps, people, presence, representation=representation, settings=settings
    )
    found = weight >= settings.found_threshold
    scale = scoring.person_scale(pose, found, smallest=radius / 2)
    confidence = scoring.expected_oks(around, presence, scale)
    confidence = jnp.where(found[:, :NUM_KEYPOINTS], confidence, 0.0)
    keypoints = pose[:, :NUM_KEYPOINTS]
    confidence *= bilinear(maps.body, keypoints / stride) ** settings.body_weight
    if settings.soft_nms:
        score = scoring.soft_nms(keypoints, confidence, radius=near)
    else:
        score = jnp.mean(confidence, axis=1)
    # Who has no keypoint to be seen has a centre all the same. (On a tree nobody has.)
    score = jnp.where(people.score > 0, (score + weight[:, CENTER]) / 2, 0.0)
    # Few anchors say little of a person's size; the cells that are theirs say more.
    scale = jnp.maximum(scale, jnp.sqrt(people.area))
    weight = jnp.where(found, weight, 0.0)
    instances = Instances(
        poses=Poses(keypoints=keypoints, confidence=confidence, score=score),
        masks=_masks(
            maps,
            people,
            weight,
            scale,
            representation=representation,
            settings=settings,
        ),
    )
    return scoring.take_best(instances, score, settings.max_people)


def _weights(
    maps: Maps,
    people: People,
    presence: Float[Array, "D A"],
    *,
    representation: Representation,
    settings: DecodeSettings,
) -> Float[Array, "D A"]:
    """How surely each anchor is there, and is this person's.

    A joint may be there and be a neighbour's: then it must not shape the mask.
    """
    belongs = grouping.agreement(
        people.pose,
        people.root,
        mid=maps.mid,
        skeleton=representation.skeleton,
        stride=representation.map_stride,
        radius=settings.suppression_radius,
    )
    weight = presence * belongs * (people.score > 0)[:, None]
    return grouping.settle_claims(
        people.pose, weight, radius=settings.suppression_radius
    )


def _masks(
    maps: Maps,
    people: People,
    weight: Float[Array, "D A"],
    scale: Float[Array, " D"],
    *,
    representation: Representation,
    settings: DecodeSettings,
) -> Float[Array, "D p q"]:
    """From the embedding and the person map."""
    stride = representation.map_stride
    distance = masks.embedding_distance(
        maps.long, people.pose, weight, scale, stride=stride
    )
    if settings.exclusive_masks:
        owned = masks.exclusive_ownership(
            distance,
            people.score,
            long=maps.long,
            pose=people.pose,
            confidence=weight,
            scale=scale,
            stride=stride,
            threshold=settings.mask_threshold,
        )
    else:
        owned = masks.ownership(
            distance, people.score, threshold=settings.mask_threshold
        )
    factor = stride // representation.person_stride
    return masks.assemble(maps.person, owned, factor=factor)
