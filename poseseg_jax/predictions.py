"""What a prediction leaves: drawings, predictions.json and images.json."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseseg_jax import visualize
from poseseg_jax.coco.picture import PERSON_CATEGORY
from poseseg_jax.coco.results import write_json
from poseseg_jax.disk import write_whole
from poseseg_jax.geometry import apply_affine, resize_affine
from poseseg_jax.people import Person
from poseseg_jax.skeleton import KEYPOINT_NAMES, LIMBS, NUM_KEYPOINTS

DRAWINGS = ("pose", "seg", "joint")
RESULTS_FILE, IMAGES_FILE = "predictions.json", "images.json"

# The longer side of a drawing has so many px at least: small people are legible then.
_ENLARGED_SIDE = 600
_CATEGORY = {
    "id": PERSON_CATEGORY,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(KEYPOINT_NAMES),
    "skeleton": (LIMBS + 1).tolist(),  # COCO counts them from 1
}


def draw(
    kind: str,
    image: UInt8[np.ndarray, "h w 3"],
    people: Sequence[Person],
    *,
    colors: Sequence[int] | None = None,
) -> UInt8[np.ndarray, "_ _ 3"]:
    """People over their picture.

    Args:
      kind: one of DRAWINGS.
      image: RGB, the picture itself or a smaller one of the same shape.
      people: of the picture, in its own pixels.
      colors: of the people; None: neighbours get different ones.
    """
    shape = image.shape[:2]
    if colors is None:
        colors = visualize.choose_colors(centers_of(people))
    zoom = -(-_ENLARGED_SIDE // max(shape))
    look = {"colors": colors, "zoom": zoom}
    score = np.array([person.score for person in people], np.float32)
    confidence = np.array([person.confidence for person in people], np.float32)
    points = np.array([_keypoints_on(person, shape) for person in people], np.float32)
    pose = (
        points.reshape(-1, NUM_KEYPOINTS, 2),
        confidence.reshape(-1, NUM_KEYPOINTS),
        score,
    )
    if kind == "pose":
        return visualize.draw_pose(image, *pose, **look)
    masks = [_mask_on(person, shape) for person in people]
    whose = np.array(masks, bool).reshape(-1, *shape)
    if kind == "seg":
        return visualize.draw_masks(image, whose, score, **look)
    return visualize.draw_joint(image, *pose, whose, **look)


def centers_of(people: Sequence[Person]) -> Float[np.ndarray, "D 2"]:
    """Middles of their boxes, (x, y)."""
    boxes = np.array([person.box for person in people], np.float64).reshape(-1, 2, 2)
    return boxes.mean(axis=1)


@dataclass
class Predictions:
    """All that was found, in the order of the inputs, whenever it comes in.

    Attributes:
      skipped: input -> why nothing, or not all, is known of it.
    """

    skipped: dict[str, str] = field(default_factory=dict)
    _found: dict[tuple[int, int], tuple[dict[str, Any], list[dict[str, Any]]]] = field(
        default_factory=dict
    )

    def add(
        self,
        place: tuple[int, int],
        image: dict[str, Any],
        entries: list[dict[str, Any]],
    ) -> None:
        """Takes in a picture.

        Args:
          place: of the input, and of the frame within it.
          image: entry of COCO's `images`.
          entries: of a result file, one per person.
        """
        self._found[place] = image, entries

    @property
    def num_pictures(self) -> int:
        """Pictures and frames."""
        return len(self._found)

    @property
    def num_frames(self) -> int:
        """Of videos and cameras."""
        return sum("frame" in image for image, _ in self._found.values())

    @property
    def num_people(self) -> int:
        """In all of them."""
        return sum(len(entries) for _, entries in self._found.values())

    def write(self, output: Path) -> None:
        """Writes predictions.json, and images.json, which says what its ids are.

        Raises:
          OSError: naming the file, if it cannot be written.
        """
        found = [self._found[place] for place in sorted(self._found)]
        write_json(
            output / RESULTS_FILE, [entry for _, entries in found for entry in entries]
        )
        about = {
            "images": [image for image, _ in found],
            "annotations": [],
            "categories": [_CATEGORY],
            "skipped": [
                {"file_name": name, "why": why} for name, why in self.skipped.items()
            ],
        }
        write_whole(output / IMAGES_FILE, json.dumps(about, indent=1) + "\n")


def ids_of(names: Sequence[str]) -> list[int]:
    """Ids of pictures: the numbers that COCO gives its files for names, or 1, 2, 3 ...

    Args:
      names: of the pictures, without suffix.

    Returns:
      The numbers that the last parts of the names are, if all are and no two are equal.
    """
    stems = [name.rpartition("/")[2] for name in names]
    if all(stem.isascii() and stem.isdecimal() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(names) + 1))


def _keypoints_on(person: Person, shape: tuple[int, ...]) -> np.ndarray:
    scale = max(shape) / max(person.mask.shape)
    return np.asarray(apply_affine(resize_affine(scale), person.keypoints))


def _mask_on(person: Person, shape: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    """Of each pixel, what lies in its middle."""
    if person.mask.shape == tuple(shape):
        return person.mask
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, person.mask.shape, strict=True)
    )
    return person.mask[rows[:, None], columns]
