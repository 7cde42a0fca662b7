"""Masks as COCO writes them: polygons or run lengths, checked and made into pixels.

Polygons are in COCO's continuous coordinates (pixel j covers [j, j + 1]) and stay so:
pycocotools rasterises them, on entry and when it scores, and a mask is a set of pixels
in either convention. pycocotools trusts what it is given (run lengths that are too
short make it read beyond its memory), so nothing reaches it unchecked.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import UInt8
from pycocotools import mask as coco_mask

Segmentation = list | dict  # polygons, or {"size": [h, w], "counts": ...}


def check_segmentation(segmentation: object, *, height: int, width: int) -> None:
    """Refuses a segmentation that pycocotools could not read, or would read wrongly.

    Args:
      segmentation: list of polygons [x0, y0, x1, y1, ...], or run lengths as a dict
        whose counts are a list of numbers or COCO's compressed text. `[]` is allowed:
        the mask is unknown.
      height, width: of the picture, px.

    Raises:
      ValueError: saying what is wrong and what was expected.
    """
    if isinstance(segmentation, list):
        for index, polygon in enumerate(segmentation):
            _check_polygon(polygon, index, max(height, width))
    elif isinstance(segmentation, dict):
        _check_run_lengths(segmentation, height, width)
    else:
        raise ValueError(
            f"segmentation is {segmentation!r:.60}; expected a list of polygons, "
            "run lengths {'size': [height, width], 'counts': ...}, or [] for unknown"
        )


def to_mask(
    segmentation: Segmentation, *, height: int, width: int
) -> UInt8[np.ndarray, "{height} {width}"]:
    """The pixels, 0 or 1, of a checked segmentation that is not empty."""
    counts = _to_rle(segmentation, height=height, width=width)["counts"]
    runs = counts if isinstance(counts, list) else _decompress(counts)
    pixels = np.repeat(np.arange(len(runs), dtype=np.uint8) & 1, runs)
    return pixels.reshape(width, height).T  # runs go down the columns


def _to_rle(segmentation: Any, *, height: int, width: int) -> Any:
    """A checked segmentation that is not empty, as run lengths: lists or text."""
    if isinstance(segmentation, dict):
        return segmentation
    return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))


def _check_polygon(polygon: object, index: int, longer_side: int) -> None:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        found = f"{len(polygon)} numbers" if isinstance(polygon, list) else polygon
        raise ValueError(
            f"polygon {index} has {found!s:.60}; expected x, y of 3 or more corners"
        )
    numeric = all(type(value) in (int, float) for value in polygon)
    if not numeric or not all(map(math.isfinite, polygon)):
        raise ValueError(f"polygon {index} holds something that is no finite number")
    low, high = min(polygon), max(polygon)
    # Slips over the edge are common; a corner this far out is in another unit.
    if low < -longer_side or high > 2 * longer_side:
        raise ValueError(
            f"polygon {index} reaches from {low:g} to {high:g}, far outside of a "
            f"picture whose longer side is {longer_side} px"
        )


def _check_run_lengths(rle: dict, height: int, width: int) -> None:
    if rle.get("size") != [height, width]:
        raise ValueError(
            f"run lengths are for size {rle.get('size')}; expected [height, width] = "
            f"[{height}, {width}]"
        )
    counts = rle.get("counts")
    if isinstance(counts, str | bytes):
        counts = _decompress(counts)
    if not isinstance(counts, list) or any(type(run) is not int for run in counts):
        raise ValueError("run lengths have no counts: a list of integers, or text")
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(
            f"run lengths sum to {sum(counts)} (shortest {min(counts, default=0)}); "
            f"expected {height} x {width} = {height * width}, none negative"
        )


def _decompress(counts: str | bytes) -> list[int]:
    """Run lengths from COCO's text: base-32 digits, lowest first, in printable bytes.

    A byte is 48 + digit + 32 where more digits follow; the last digit carries the
    sign; from the fourth run on, the difference to the run two before is written.
    """
    data = counts.encode("ascii", "replace") if isinstance(counts, str) else counts
    runs: list[int] = []
    value, shift = 0, 0
    for byte in data:
        code = byte - 48
        if not 0 <= code < 64:
            raise ValueError(f"run lengths hold the byte {byte}; expected 48 ... 111")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError("run lengths end in the middle of a number")
    return runs
