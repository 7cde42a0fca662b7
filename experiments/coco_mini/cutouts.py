"""People cut out of their pictures, as they are pasted onto others.

Coordinates are px of the cutout: pixel j has its centre at j, as everywhere.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseseg_jax.coco.annotations import Person, Picture
from poseseg_jax.coco.segmentation import to_mask
from poseseg_jax.skeleton import FLIP, NUM_KEYPOINTS

# Who is cut out shows enough of a pose, is large enough to be reduced, and nobody else
# is so near that a part may be hidden: of the box, at most this share is in others'.
_KEYPOINTS = 8
_AREA = 48.0**2  # px^2
_SHARED = 0.1
_MARGIN = 2  # px around the mask
# Nearer to the picture's edge, share of its longer side, the edge cuts somebody. Who
# draws outlines stops a little before it: of COCO's people as many leave 3 to 6 px of
# 480 as leave 1 or 2, and hardly any more than 8.
_AT_EDGE = 1 / 60
_EDGES = ("left", "top", "right", "bottom")
_MIRRORED = {"left": "right", "right": "left"}


@dataclass(frozen=True, eq=False)
class Cutout:
    """Somebody without a picture.

    Attributes:
      image: RGB, with a little of what is around, but for edges that cut them.
      mask: share of each pixel that is theirs, 0 ... 1.
      keypoints: (x, y); (0, 0) where unlabelled.
      visibility: 0 unlabelled, 1 hidden, 2 visible.
      cut_at: edges of their picture, "left", "top", "right", "bottom", that cut them:
        the same edges of this cutout.
    """

    image: UInt8[np.ndarray, "h w 3"]
    mask: Float[np.ndarray, "h w"]
    keypoints: Float[np.ndarray, "17 2"]
    visibility: UInt8[np.ndarray, "17"]
    cut_at: frozenset[str]


@dataclass(frozen=True, eq=False)
class Donor:
    """Somebody who can be cut out, and their picture."""

    picture: Picture
    person: Person


def donors(pictures: Sequence[Picture]) -> list[Donor]:
    """Everybody in the pictures who is worth cutting out.

    Their mask is known, 8 keypoints are labelled and 48 x 48 px theirs; nobody else's
    box takes more than a tenth of theirs; and no two opposite edges of the picture cut
    them, as there would be no place for them elsewhere.
    """
    return [
        Donor(picture, person)
        for picture in pictures
        for person in picture.people
        if person.segmentation is not None
        and np.count_nonzero(person.visibility) >= _KEYPOINTS
        and person.area >= _AREA
        and _is_alone(person, picture)
        and not _opposite(_cut_at(person, picture))
    ]


def cut(donor: Donor, image: UInt8[np.ndarray, "H W 3"]) -> Cutout:
    """Cuts somebody out of their picture."""
    picture, person = donor.picture, donor.person
    assert person.segmentation is not None, "donors have masks"
    size = {"height": picture.height, "width": picture.width}
    mask = to_mask(person.segmentation, **size).astype(bool)
    cut_at = _cut_at(person, picture)
    left, top, right, bottom = _window(mask, cut_at)
    origin = np.array([left, top], np.float64)
    labelled = person.visibility[:, None] > 0
    return Cutout(
        image=image[top:bottom, left:right],
        mask=mask[top:bottom, left:right].astype(np.float32),
        keypoints=np.where(labelled, person.keypoints - origin, 0.0),
        visibility=person.visibility,
        cut_at=cut_at,
    )


def resized(cutout: Cutout, scale: float) -> Cutout:
    """Somebody `scale` times as large, to the nearest whole px of each side."""
    before = cutout.mask.shape
    height, width = (max(round(side * scale), 1) for side in before)
    if (height, width) == before:
        return cutout
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = cv2.resize(cutout.image, (width, height), interpolation=how)
    mask = cv2.resize(cutout.mask, (width, height), interpolation=how)
    # The outer edges of pixels stay the outer edges, half a pixel from the centres.
    factor = np.array([width / before[1], height / before[0]])
    keypoints = (cutout.keypoints + 0.5) * factor - 0.5
    labelled = cutout.visibility[:, None] > 0
    return dataclasses.replace(
        cutout,
        image=np.asarray(image),
        mask=np.asarray(mask),
        keypoints=np.where(labelled, keypoints, 0.0),
    )


def mirrored(cutout: Cutout) -> Cutout:
    """Somebody seen in a mirror: what was the left hand is the right one."""
    swap = FLIP[:NUM_KEYPOINTS]
    visibility = cutout.visibility[swap]
    keypoints = cutout.keypoints[swap].copy()
    keypoints[:, 0] = cutout.mask.shape[1] - 1 - keypoints[:, 0]
    return Cutout(
        image=cutout.image[:, ::-1],
        mask=cutout.mask[:, ::-1],
        keypoints=np.where(visibility[:, None] > 0, keypoints, 0.0),
        visibility=visibility,
        cut_at=frozenset(_MIRRORED.get(edge, edge) for edge in cutout.cut_at),
    )


def _is_alone(person: Person, picture: Picture) -> bool:
    boxes = [other.box for other in picture.people if other is not person]
    boxes += [crowd.box for crowd in picture.crowds]
    shared = [overlap(person.box, box) for box in boxes]
    return all(share <= _SHARED * _box_area(person.box) for share in shared)


def overlap(one: Float[np.ndarray, "4"], other: Float[np.ndarray, "4"]) -> float:
    """Area that two boxes (x0, y0, x1, y1) share."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    width, height = np.maximum(high - low, 0).tolist()
    return width * height


def _box_area(box: Float[np.ndarray, "4"]) -> float:
    return math.prod((box[2:] - box[:2]).tolist())


def _cut_at(person: Person, picture: Picture) -> frozenset[str]:
    x0, y0, x1, y1 = (person.box + 0.5).tolist()
    height, width = picture.height, picture.width
    near = _AT_EDGE * max(height, width)
    gaps = {"left": x0, "top": y0, "right": width - x1, "bottom": height - y1}
    return frozenset(edge for edge, gap in gaps.items() if gap <= near)


def _opposite(edges: frozenset[str]) -> bool:
    return {"left", "right"} <= edges or {"top", "bottom"} <= edges


def _window(
    mask: Bool[np.ndarray, "H W"], cut_at: frozenset[str]
) -> tuple[int, int, int, int]:
    """The mask's box with a margin where it ends: left, top, right, bottom."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    around = {edge: 0 if edge in cut_at else _MARGIN for edge in _EDGES}
    return (
        max(int(columns[0]) - around["left"], 0),
        max(int(rows[0]) - around["top"], 0),
        min(int(columns[-1]) + 1 + around["right"], width),
        min(int(rows[-1]) + 1 + around["bottom"], height),
    )
