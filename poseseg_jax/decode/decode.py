"""The composition: Maps -> Instances for one picture, in fixed shapes."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from poseseg_jax.decode import grouping, hough, masks, peaks, scoring
from poseseg_jax.geometry import bilinear
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import CENTER, NUM_KEYPOINTS
from poseseg_jax.structs import Instances, Maps, Poses


@dataclass(frozen=True)
class DecodeSettings:
    """Thresholds of the decoder.

    Attributes:
      peak_threshold: Hough mass from which a local maximum is a candidate.
      peaks_per_anchor: candidates kept of each anchor type.
      max_people: slots of the answer, D.
      suppression_radius: input px; nearer to the same anchor is the same person.
      center_radius: input px; poses whose centres are nearer are the same person.
      refine_steps: corrections by short offsets after each step of a walk.
      found_threshold: probability from which an anchor counts as found.
      body_weight: exponent with which the body map lowers confidences; 0: not at all.
      mask_threshold: embedding distance in units of the person's scale.
      exclusive_masks: whether a cell belongs to the nearest person only.
    """

    peak_threshold: float
    peaks_per_anchor: int
    max_people: int
    suppression_radius: float
    center_radius: float
    refine_steps: int
    found_threshold: float
    body_weight: float
    mask_threshold: float
    exclusive_masks: bool


def activate(maps: Maps) -> Maps:
    """Turns the logits of a network into probabilities."""
    return dataclasses.replace(
        maps,
        heatmap=jax.nn.sigmoid(maps.heatmap),
        person=jax.nn.sigmoid(maps.person),
        body=jax.nn.sigmoid(maps.body),
    )


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
    votes = hough.vote(maps.heatmap, maps.short, stride=stride, radius=radius)
    mass = hough.gather_neighbours(votes)
    candidates = peaks.find(
        votes,
        mass,
        roots=representation.skeleton.roots,
        stride=stride,
        threshold=settings.peak_threshold,
        per_anchor=settings.peaks_per_anchor,
    )
    pose = grouping.grow(
        candidates,
        mid=maps.mid,
        short=maps.short,
        skeleton=representation.skeleton,
        stride=stride,
        refine_steps=settings.refine_steps,
    )
    # In a tree, no way leads to the centre.
    has_center = CENTER in representation.skeleton.roots
    keep = grouping.suppress(
        candidates,
        pose,
        radius=settings.suppression_radius,
        center_radius=settings.center_radius if has_center else None,
    )
    root_score = jnp.where(keep, candidates.score, 0.0)
    pose, root, root_score = scoring.take_best(
        (pose, candidates.anchor, root_score), root_score, settings.max_people
    )
    belongs = grouping.agreement(
        pose,
        root,
        mid=maps.mid,
        skeleton=representation.skeleton,
        stride=stride,
        radius=settings.suppression_radius,
    )
    return _describe(maps, votes, pose, belongs, root_score, representation, settings)


def _describe(
    maps, votes, pose, belongs, root_score, representation, settings
) -> Instances:
    """Scores and masks of the D poses that were kept."""
    stride, radius = representation.map_stride, representation.radius
    around = scoring.look_around(votes, pose, stride=stride, radius=radius)
    presence = scoring.presence(
        maps.heatmap,
        maps.short,
        pose,
        stride=stride,
        radius=settings.suppression_radius,
    )
    # A joint may be there and be a neighbour's: then it must not shape the mask.
    weight = presence * belongs
    found = weight >= settings.found_threshold
    scale = scoring.person_scale(pose, found, smallest=radius / 2)
    confidence = scoring.expected_oks(around, presence, scale)
    confidence = jnp.where(found[:, :NUM_KEYPOINTS], confidence, 0.0)
    keypoints = pose[:, :NUM_KEYPOINTS]
    confidence *= bilinear(maps.body, keypoints / stride) ** settings.body_weight
    confidence *= (root_score > 0)[:, None]
    score = scoring.soft_nms(keypoints, confidence, radius=settings.suppression_radius)
    # Who has no keypoint to be seen has a centre all the same. (On a tree nobody has.)
    score = jnp.where(root_score > 0, (score + weight[:, CENTER]) / 2, 0.0)
    distance = masks.embedding_distance(
        maps.long, pose, jnp.where(found, weight, 0.0), scale, stride=stride
    )
    owned = masks.ownership(
        distance,
        root_score,
        threshold=settings.mask_threshold,
        exclusive=settings.exclusive_masks,
    )
    instances = Instances(
        poses=Poses(keypoints=keypoints, confidence=confidence, score=score),
        masks=masks.assemble(maps.person, owned),
    )
    return scoring.take_best(instances, score, settings.max_people)
