"""Drawn people as COCO annotations: masks become polygons or run lengths."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool

from poseseg_jax.data.drawing.scenes import Person

# OpenCV's outlines run through the centres of pixels. Of pixels this fine, that is 1/8
# of a picture pixel within the true outline.
_ZOOM = 4
_HOLES = 0.03  # share of holes from which polygons, which have none, would be wrong
_PIECES = 5  # of more, polygons would be many
_SMALL = 60  # px, below which an outline is too coarse


def annotate(person: Person, *, image_id: int, annotation_id: int) -> dict:
    """One entry of COCO's `annotations`.

    COCO's boxes and polygons are continuous, pixel j covers [j, j + 1]; its keypoints
    are pixel indices, as ours.
    """
    triples = np.concatenate([person.keypoints, person.visibility[:, None]], axis=1)
    keypoints = [
        int(v) if v == int(v) else round(v, 2) for v in triples.ravel().tolist()
    ]
    segmentation = run_lengths(person.mask) if person.is_crowd else segment(person.mask)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": int(person.is_crowd),
        "num_keypoints": int((person.visibility > 0).sum()),
        "keypoints": keypoints,
        "bbox": _box_xywh(person.mask),
        "area": int(person.mask.sum()),
        "segmentation": segmentation,
    }


def segment(mask: Bool[np.ndarray, "h w"]) -> list[list[float]] | dict:
    """COCO's segmentation of a mask with at least one pixel.

    Returns:
      Polygons; or uncompressed run lengths of a mask which polygons would distort: one
      that is tiny, has holes, or falls into many pieces.
    """
    left, top, width, height = _box_xywh(mask)
    window = mask[top : top + height, left : left + width].astype(np.uint8)
    fine = np.repeat(np.repeat(window, _ZOOM, 0), _ZOOM, 1)
    found, hierarchy = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    is_hole = hierarchy[0, :, 3] >= 0
    holes = sum(
        cv2.contourArea(c) for c, hole in zip(found, is_hole, strict=True) if hole
    )
    outlines = [c for c, hole in zip(found, is_hole, strict=True) if not hole]
    area = window.sum()
    if area < _SMALL or holes > _HOLES * area * _ZOOM**2 or len(outlines) > _PIECES:
        return run_lengths(mask)
    tolerance = _ZOOM * (0.4 if area < 1000 else 0.6)
    corners = [cv2.approxPolyDP(c, tolerance, True)[:, 0] for c in outlines]
    polygons = [(c + 0.5) / _ZOOM + np.array((left, top)) for c in corners]
    return [np.round(p, 2).ravel().tolist() for p in polygons if len(p) >= 3]


def run_lengths(mask: Bool[np.ndarray, "h w"]) -> dict:
    """COCO's uncompressed run lengths: column by column, nothing first."""
    pixels = np.concatenate([[False], mask.ravel(order="F"), [False]])
    changes = np.flatnonzero(pixels[1:] != pixels[:-1])
    inner = changes[changes < mask.size]
    runs = np.diff(np.concatenate([[0], inner, [mask.size]]))
    return {"size": list(mask.shape), "counts": runs.tolist()}


def _box_xywh(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]


def annotate_all(people: Sequence[Person], *, image_id: int) -> list[dict]:
    """The annotations of one picture, with ids of their own."""
    return [
        annotate(person, image_id=image_id, annotation_id=100 * image_id + row)
        for row, person in enumerate(people)
    ]
