"""A detector that never was: ground truth, spoiled as detectors spoil it.

It is for measuring what a change of the ground truth does to scores where no trained
network is at hand. Who is found depends on size alone; nothing of it is learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from poseseg_jax.coco.annotations import Person, Picture
from poseseg_jax.coco.picture import PERSON_CATEGORY
from poseseg_jax.coco.results import Results, encode_mask
from poseseg_jax.coco.segmentation import to_mask
from poseseg_jax.skeleton import NUM_KEYPOINTS, OKS_SIGMAS

# Where the keypoints of a standing person lie, as fractions of the box.
_FACE = [(0.5, 0.1), (0.55, 0.08), (0.45, 0.08), (0.6, 0.1), (0.4, 0.1)]
_ARMS = [(0.7, 0.22), (0.3, 0.22), (0.8, 0.37), (0.2, 0.37), (0.8, 0.5), (0.2, 0.5)]
_LEGS = [(0.62, 0.52), (0.38, 0.52), (0.6, 0.74), (0.4, 0.74), (0.6, 0.95), (0.4, 0.95)]
_STANDING = np.array([*_FACE, *_ARMS, *_LEGS])


@dataclass(frozen=True)
class Habits:
    """How the detector errs.

    Attributes:
      half_side: root of the area, px, at which half of the people are found.
      steepness: of that share, by the logarithm of the side.
      keypoint_error: standard deviation in units of COCO's 2 sigma times the side.
      gross: share of keypoints that are four times as wrong.
      mask_error: by how much of the side masks grow or shrink, standard deviation.
      phantoms: people seen where nobody is, per picture.
      crowd_finds: people seen in each region that is annotated as a crowd.
    """

    half_side: float
    steepness: float = 3.0
    keypoint_error: float = 0.38
    gross: float = 0.12
    mask_error: float = 0.04
    phantoms: float = 1.0
    crowd_finds: int = 3


def detect(pictures: Sequence[Picture], habits: Habits, *, seed: int) -> Results:
    """Results for the pictures; the same seed gives the same."""
    rng = np.random.default_rng(seed)
    results = Results([], [])
    sizes = [person for picture in pictures for person in picture.people]
    for picture in pictures:
        for person in picture.people:
            chance = _chance(person.area, habits)
            if rng.random() < chance:
                score = _squash(np.log(chance / (1 - chance)) + rng.normal())
                _add(results, picture, person, score, habits, rng)
        for crowd in picture.crowds:
            for _ in range(habits.crowd_finds):
                like = sizes[rng.integers(len(sizes))]
                box = _placed(like, crowd.box, rng)
                _add_phantom(results, picture, box, rng)
        for _ in range(rng.poisson(habits.phantoms)):
            like = sizes[rng.integers(len(sizes))]
            frame = np.array([0, 0, picture.width, picture.height]) - 0.5
            _add_phantom(results, picture, _placed(like, frame, rng), rng)
    return results


def _chance(area: float, habits: Habits) -> float:
    side = np.sqrt(area)
    return float(
        np.clip(_squash(habits.steepness * np.log(side / habits.half_side)), 0.01, 0.97)
    )


def _squash(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def _add(
    results: Results,
    picture: Picture,
    person: Person,
    score: float,
    habits: Habits,
    rng: np.random.Generator,
) -> None:
    side = np.sqrt(person.area)
    corner, extent = person.box[:2], person.box[2:] - person.box[:2]
    standing = corner + _STANDING * extent
    labelled = person.visibility[:, None] > 0
    points = np.where(labelled, person.keypoints, standing)
    error = 2 * np.asarray(OKS_SIGMAS)[:, None] * side * habits.keypoint_error
    error = error * np.where(rng.random((NUM_KEYPOINTS, 1)) < habits.gross, 4, 1)
    points = points + rng.normal(size=points.shape) * error
    if person.segmentation is None:
        mask = _ellipse(picture, person.box)
    else:
        size = {"height": picture.height, "width": picture.width}
        mask = to_mask(person.segmentation, **size)
    change = rng.normal() * habits.mask_error * side
    reach = round(abs(change)) * 2 + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    mask = (cv2.dilate if change > 0 else cv2.erode)(mask, kernel)
    _write(results, picture, points, mask, score)


def _placed(like: Person, region: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A box as large as somebody's, with its centre in the region."""
    half = (like.box[2:] - like.box[:2]) / 2
    center = rng.uniform(region[:2], region[2:])
    return np.concatenate([center - half, center + half])


def _add_phantom(
    results: Results, picture: Picture, box: np.ndarray, rng: np.random.Generator
) -> None:
    points = box[:2] + _STANDING * (box[2:] - box[:2])
    score = _squash(rng.normal() - 1.5)
    _write(results, picture, points, _ellipse(picture, box), score)


def _ellipse(picture: Picture, box: np.ndarray) -> np.ndarray:
    mask = np.zeros((picture.height, picture.width), np.uint8)
    center, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    axes = tuple(np.maximum(half.round(), 1).astype(int).tolist())
    cv2.ellipse(
        mask, tuple(center.round().astype(int).tolist()), axes, 0, 0, 360, 1, -1
    )
    return mask


def _write(
    results: Results,
    picture: Picture,
    points: np.ndarray,
    mask: np.ndarray,
    score: float,
) -> None:
    common = {
        "image_id": picture.image_id,
        "category_id": PERSON_CATEGORY,
        "score": round(score, 6),
    }
    ones = np.ones((NUM_KEYPOINTS, 1))
    keypoints = np.concatenate([points.round(2), ones], axis=1).ravel().tolist()
    results.keypoints.append({**common, "keypoints": keypoints})
    results.segm.append({**common, "segmentation": encode_mask(mask.astype(bool))})
