"""People that the network found -> COCO's result files.

Poses and masks come on the input's grid and leave in original pixels. COCO's result
keypoints are pixel indices, as ours, and masks are sets of pixels, so no half pixel is
added here. Segmentation results carry no box: pycocotools would take their area from it
instead of from the mask, and sort them into other size classes.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float
from pycocotools import mask as coco_mask

from poseseg_jax.coco.picture import PERSON_CATEGORY
from poseseg_jax.disk import write_whole
from poseseg_jax.geometry import apply_affine, invert_affine
from poseseg_jax.structs import Array, Instances

MASK_LEVEL = 0.5  # probability from which a pixel belongs to somebody
SCORE_DECIMALS = 6  # enough to keep their order
# Bicubic sampling looks 2 cells around, and between cells it overshoots them: by the
# square of 2 * 19/32, with OpenCV's coefficient of -3/4.
_MARGIN = 2
_OVERSHOOT = (19 / 16) ** 2


@dataclass(frozen=True)
class Results:
    """The result entries of one picture or of many, best person of a picture first."""

    keypoints: list[dict[str, Any]]
    segm: list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Found:
    """Somebody whom the network found, in original pixels.

    Attributes:
      keypoints: (x, y), also of those that count as not found.
      confidence: of each keypoint, 0 to 1; 0 is not found.
      score: more than 0.
      mask: whose pixels.
    """

    keypoints: Float[np.ndarray, "K 2"]
    confidence: Float[np.ndarray, " K"]
    score: float
    mask: Bool[np.ndarray, "h w"]


def in_original_pixels(
    instances: Instances,
    *,
    to_input: Float[np.ndarray, "2 3"],
    size: tuple[int, int],
    person_stride: int,
    name: str,
    min_score: float = 0.0,
) -> Iterator[Found]:
    """The people of one picture, best first, without the empty slots.

    Args:
      instances: of one picture, on the host, without batch axis.
      to_input: affine, original px -> input px.
      size: (height, width) of the original picture.
      person_stride: input px per cell of the masks.
      name: what to call the picture in an error.
      min_score: people with less are left out.

    Raises:
      ValueError: naming the picture, for a score that is no finite number.
    """
    poses = instances.poses
    wrong = [float(s) for s in np.asarray(poses.score) if not math.isfinite(s)]
    if wrong:
        raise ValueError(
            f"{name}: somebody has the score {wrong[0]}; expected a finite "
            "number. The network's answers are none: its parameters may have diverged."
        )
    to_input = np.asarray(to_input, np.float64)
    to_original = invert_affine(to_input)
    for slot in np.flatnonzero(np.asarray(poses.score) > 0):
        score = float(poses.score[slot])
        if score < min_score:
            continue
        mask = resample_mask(
            np.asarray(instances.masks[slot]),
            to_cell=to_input / person_stride,
            size=size,
        )
        points = np.asarray(poses.keypoints[slot], np.float64)
        confidence = np.asarray(poses.confidence[slot], np.float64)
        original = np.asarray(apply_affine(to_original, points))
        yield Found(original, confidence, score, mask)


def from_instances(
    instances: Instances,
    *,
    to_input: Float[Array, "2 3"],
    size: tuple[int, int],
    image_id: int,
    person_stride: int,
) -> Results:
    """The people of one picture in COCO's result format.

    Empty slots (score 0) are left out. Every keypoint is written where it is thought to
    be, also one that counts as not found: COCO scores all labelled ones, and (0, 0) is
    as wrong as can be.

    Args:
      instances, to_input, size, person_stride: as `in_original_pixels`.
      image_id: of the picture.

    Returns:
      Keypoints as 17 times (x, y, confidence) in original px, and masks of the original
      size as compressed run lengths. Both lists have one entry per person.

    Raises:
      ValueError: naming the picture, for a score that is no finite number.
    """
    everybody = in_original_pixels(
        instances,
        to_input=np.asarray(to_input),
        size=size,
        person_stride=person_stride,
        name=f"picture {image_id}",
    )
    common = {"image_id": int(image_id), "category_id": PERSON_CATEGORY}
    results = Results([], [])
    for found in everybody:
        score = round(found.score, SCORE_DECIMALS)
        keypoints = keypoint_triples(found.keypoints, found.confidence)
        results.keypoints.append({**common, "keypoints": keypoints, "score": score})
        segmentation = encode_mask(found.mask)
        results.segm.append({**common, "segmentation": segmentation, "score": score})
    return results


def keypoint_triples(
    keypoints: Float[np.ndarray, "K 2"], confidence: Float[np.ndarray, " K"]
) -> list[float]:
    """K times (x, y, confidence)."""
    rows = np.concatenate([keypoints.round(3), confidence.round(3)[:, None]], axis=1)
    return rows.reshape(-1).tolist()


def resample_mask(
    mask: Float[np.ndarray, "p q"],
    *,
    to_cell: Float[np.ndarray, "2 3"],
    size: tuple[int, int],
    level: float = MASK_LEVEL,
) -> Bool[np.ndarray, "h w"]:
    """A soft mask sampled bicubically at every original pixel, and cut at `level`.

    A fraction of a cell is a mean over pixels. Between such means, a cubic finds the
    outline of small people better than a line does.

    Memory: 5 bytes for each pixel of the part of the picture where the mask can reach
    the level, and 1 for each pixel of the picture, whatever the number of people.
    `encode_mask` takes 1 more.

    Args:
      mask: probability per cell. Beyond the outer cells, the nearest one counts.
      to_cell: affine, original px -> cell.
      size: (height, width) of the original picture.
      level: from which a pixel belongs to the mask.
    """
    height, width = size
    pixels = np.zeros((height, width), bool)
    rows, columns = np.nonzero(mask >= level / _OVERSHOOT)
    if not len(rows):
        return pixels
    y0, y1 = _reach(rows, mask.shape[0])
    x0, x1 = _reach(columns, mask.shape[1])
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], np.float64)
    corners = apply_affine(invert_affine(to_cell), np.clip(corners, -1e6, 1e6))
    left, top = np.clip(np.floor(corners.min(0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(0)) + 1, 0, (width, height)).astype(int)
    if left >= right or top >= bottom:
        return pixels
    from_corner = to_cell.copy()
    from_corner[:, 2] += to_cell[:, :2] @ (left, top)
    soft = cv2.warpAffine(
        mask.astype(np.float32),
        from_corner,
        (int(right - left), int(bottom - top)),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    pixels[top:bottom, left:right] = soft >= level
    return pixels


def encode_mask(mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """COCO's compressed run lengths, with text that JSON can hold."""
    rle: Any = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def write_json(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Writes a result file, whole or not at all.

    Raises:
      OSError: naming the file, if it cannot be written.
      ValueError: naming the file and the picture, for a score that is no finite number.
    """
    for entry in entries:
        if not math.isfinite(entry["score"]):
            raise ValueError(
                f"{path}: the result for picture {entry['image_id']} has the score "
                f"{entry['score']}; expected a finite number"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(list(entries), allow_nan=False))


def read_json(path: Path) -> list[dict[str, Any]]:
    """Reads a result file.

    Raises:
      ValueError: if it cannot be read or does not hold a list of entries.
    """
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: no readable result file ({error})") from None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise ValueError(
            f"{path}: expected a list of results, as COCO's servers take it"
        )
    return entries


def _reach(cells: np.ndarray, count: int) -> tuple[float, float]:
    """First and last cell position that can reach the level; borders have no end."""
    first, last = int(cells.min()) - _MARGIN, int(cells.max()) + _MARGIN
    return (-math.inf if first < 0 else first), (math.inf if last >= count else last)
