"""A picture, who is seen in it, and people who are put in front of them.

Copy-paste is Ghiasi et al.'s (arXiv 2012.07177). What keypoints ask for besides:

* whose pixels somebody in front takes, loses them from mask, box and area;
* a visible keypoint under somebody in front becomes a hidden one (v = 1), as long as
  enough of the person is seen to tell where it is;
* of whom less than 0.3 is left to be seen, all those in front taken together, covered
  keypoints become unlabelled ones (v = 0), as COCO's annotators leave them: the pixels
  there are somebody else's, and the heatmap says of them what is seen. Keypoints that
  are seen stay, and so do mask and centre: they are a person;
* of whom less than a tenth is left to be seen, is no person any more: nobody would
  label them so, and a network should not have to guess. But the rest is no background
  either. It becomes a region of a crowd (iscrowd = 1), where nothing is asked. If
  nothing is left, there is no annotation.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from experiments.coco_mini.cutouts import Cutout
from poseseg_jax.coco.annotations import Picture
from poseseg_jax.coco.picture import PERSON_CATEGORY
from poseseg_jax.coco.results import encode_mask
from poseseg_jax.coco.segmentation import to_mask
from poseseg_jax.skeleton import NUM_KEYPOINTS

# Shares of somebody's pixels from which covered keypoints can be told, and from which
# they still are a person.
TOLD, KEPT = 0.3, 0.1
# px; standard deviation of the edge's softness.
_SOFT = 1.0
_DECIMALS = 2
_HIDDEN = 1


@dataclass(frozen=True, eq=False)
class Somebody:
    """Who is in a scene.

    Attributes:
      mask: pixels in which they are seen.
      keypoints, visibility: in the picture's px, as of Cutout.
      whole: pixels that they would have with nobody in front, beyond the edge too.
      entry: their annotation, which holds as long as `is_covered` is False; None: they
        were pasted.
      is_covered: whether somebody was put in front of them.
      hidden: keypoints that somebody was put in front of, all together.
    """

    mask: Bool[np.ndarray, "H W"]
    keypoints: Float[np.ndarray, "17 2"]
    visibility: UInt8[np.ndarray, "17"]
    whole: int
    entry: Mapping[str, Any] | None = None
    is_covered: bool = False
    hidden: Bool[np.ndarray, "17"] = dataclasses.field(
        default_factory=lambda: np.zeros(NUM_KEYPOINTS, bool)
    )


def people_of(picture: Picture, entries: Sequence[Mapping[str, Any]]) -> list[Somebody]:
    """Everybody in a picture whose masks are all known.

    Args:
      picture: parsed.
      entries: its annotations, with those of the people.
    """
    by_id = {entry["id"]: entry for entry in entries}
    found = []
    for person in picture.people:
        assert person.segmentation is not None, "backgrounds have all masks"
        size = {"height": picture.height, "width": picture.width}
        mask = to_mask(person.segmentation, **size).astype(bool)
        found.append(
            Somebody(
                mask,
                person.keypoints,
                person.visibility,
                int(mask.sum()),
                by_id[person.annotation_id],
            )
        )
    return found


def paste(
    image: UInt8[np.ndarray, "H W 3"],
    people: Sequence[Somebody],
    cutout: Cutout,
    corner: tuple[int, int],
) -> tuple[UInt8[np.ndarray, "H W 3"], list[Somebody]]:
    """Puts somebody in front of all others.

    Pixels of which half or more is theirs are their mask. Their edge is blended with
    what is behind within it, so that nothing of the old background comes along: from
    nothing at the outline to all of them two pixels inside.

    Args:
      image: the picture.
      people: in it.
      cutout: of who is put there.
      corner: (x, y) of the cutout's first pixel; a part may lie outside.

    Returns:
      The new picture, and everybody in it; the last one was put there.
    """
    height, width = image.shape[:2]
    here, there = _windows(cutout.mask.shape, corner, (height, width))
    opacity = _opacity(cutout.mask)[there][..., None]
    pasted = image.copy()
    mixed = opacity * cutout.image[there] + (1 - opacity) * image[here]
    pasted[here] = np.rint(mixed).astype(np.uint8)
    theirs = cutout.mask >= 0.5
    mask = np.zeros((height, width), bool)
    mask[here] = theirs[there]
    keypoints = cutout.keypoints + np.array(corner)
    inside = (np.rint(keypoints) >= 0) & (np.rint(keypoints) < (width, height))
    is_there = inside.all(1) & (cutout.visibility > 0)
    front = Somebody(
        mask,
        np.where(is_there[:, None], keypoints, 0.0),
        np.where(is_there, cutout.visibility, 0).astype(np.uint8),
        int(theirs.sum()),
    )
    return pasted, [*(_behind(person, mask) for person in people), front]


def annotation(
    person: Somebody, *, annotation_id: int, image_id: int
) -> dict[str, Any] | None:
    """COCO's entry for somebody; see the top of this file. None: they are not seen."""
    ids = {"id": annotation_id, "image_id": image_id}
    if person.entry is not None and not person.is_covered:
        return {**person.entry, **ids}
    seen = int(person.mask.sum())
    if not seen:
        return None
    is_person = seen >= KEPT * person.whole
    visibility = person.visibility
    if not is_person:
        visibility = np.zeros_like(visibility)
    elif seen < TOLD * person.whole:
        visibility = np.where(person.hidden, 0, visibility)
    keypoints: list[float] = []
    for point, seen_as in zip(person.keypoints.tolist(), visibility, strict=True):
        place = [round(v, _DECIMALS) for v in point] if seen_as else [0.0, 0.0]
        keypoints += [*place, int(seen_as)]
    assert len(keypoints) == 3 * NUM_KEYPOINTS
    return {
        **ids,
        "category_id": PERSON_CATEGORY,
        "iscrowd": int(not is_person),
        "num_keypoints": int(np.count_nonzero(visibility)),
        "keypoints": keypoints,
        "bbox": _box_xywh(person.mask),
        "area": seen,
        "segmentation": encode_mask(person.mask),
    }


def _behind(person: Somebody, front: Bool[np.ndarray, "H W"]) -> Somebody:
    """Somebody with another one in front."""
    height, width = front.shape
    x, y = np.clip(np.rint(person.keypoints), 0, (width - 1, height - 1)).T.astype(int)
    hides = front[y, x] & (person.visibility > 0)
    changes = (person.mask & front).any() or (person.visibility[hides] > _HIDDEN).any()
    return dataclasses.replace(
        person,
        mask=person.mask & ~front,
        visibility=np.where(hides, _HIDDEN, person.visibility).astype(np.uint8),
        is_covered=person.is_covered or bool(changes),
        hidden=person.hidden | hides,
    )


def _opacity(mask: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    # Where an edge of the picture cut somebody, the mask goes on beyond it.
    blurred = cv2.GaussianBlur(
        np.ascontiguousarray(mask), (0, 0), _SOFT, borderType=cv2.BORDER_REPLICATE
    )
    return np.clip(2 * np.asarray(blurred) - 1, 0, 1)


def _windows(
    size: tuple[int, ...], corner: tuple[int, int], frame: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the two meet: in the picture and in the cutout, as (rows, columns)."""
    here, there = [], []
    for start, length, end in zip(corner[::-1], size, frame, strict=True):
        first, last = max(start, 0), max(min(start + length, end), 0)
        here.append(slice(first, max(last, first)))
        there.append(slice(first - start, max(last, first) - start))
    return (here[0], here[1]), (there[0], there[1])


def _box_xywh(mask: Bool[np.ndarray, "H W"]) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]
