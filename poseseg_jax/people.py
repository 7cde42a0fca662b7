"""People for those who use them: in pixels of their picture, on the host."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from poseseg_jax.coco.picture import PERSON_CATEGORY
from poseseg_jax.coco.results import (
    SCORE_DECIMALS,
    encode_mask,
    in_original_pixels,
    keypoint_triples,
)
from poseseg_jax.geometry import box_of_person
from poseseg_jax.structs import Instances


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """Somebody in a picture, in its pixels: (x, y), (0, 0) the middle of the first one.

    Attributes:
      keypoints: in COCO's order (`skeleton.KEYPOINT_NAMES`), also of those that were
        not found: where they are thought to be.
      confidence: of each keypoint, 0 to 1; 0 is not found.
      score: of the person, 0 to 1.
      mask: whose pixels; people do not share any if the run's masks are exclusive.
      box: (x0, y0, x1, y1) around the mask, or around the keypoints of who has none:
        the crop is image[y0:y1, x0:x1].
    """

    keypoints: Float[np.ndarray, "17 2"]
    confidence: Float[np.ndarray, "17"]
    score: float
    mask: Bool[np.ndarray, "H W"]
    box: Float[np.ndarray, "4"]

    def to_coco(self, image_id: int) -> dict[str, Any]:
        """An entry of a COCO result file, for keypoints and for segmentation at once.

        Args:
          image_id: of the picture.

        Returns:
          Keypoints as 17 times (x, y, confidence), the mask as run lengths, `bbox` as
          (x, y, width, height).
        """
        x0, y0, x1, y1 = self.box.tolist()
        return {
            "image_id": int(image_id),
            "category_id": PERSON_CATEGORY,
            "score": round(self.score, SCORE_DECIMALS),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "keypoints": keypoint_triples(self.keypoints, self.confidence),
            "segmentation": encode_mask(self.mask),
        }


def people_of(
    instances: Instances,
    *,
    to_input: Float[np.ndarray, "2 3"],
    size: tuple[int, int],
    person_stride: int,
    name: str,
    min_score: float = 0.0,
) -> Iterator[Person]:
    """The people of one picture, best first; see `results.in_original_pixels`."""
    for found in in_original_pixels(
        instances,
        to_input=to_input,
        size=size,
        person_stride=person_stride,
        name=name,
        min_score=min_score,
    ):
        box = box_of(found.mask, found.keypoints, found.confidence)
        yield Person(found.keypoints, found.confidence, found.score, found.mask, box)


def box_of(
    mask: Bool[np.ndarray, "H W"],
    keypoints: Float[np.ndarray, "K 2"],
    confidence: Float[np.ndarray, " K"],
) -> Float[np.ndarray, "4"]:
    """(x0, y0, x1, y1) around whole pixels, as slices have it.

    Of the mask, else of the keypoints; see `geometry.box_of_person`.
    """
    return box_of_person(mask, keypoints, confidence) + 0.5
