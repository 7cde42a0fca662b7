"""Masks as COCO writes them: polygons or run lengths, checked and made into pixels.

Polygons are in COCO's continuous coordinates (pixel j covers [j, j + 1]) and stay so:
pycocotools rasterises them, on entry and when it scores, and a mask is a set of pixels
in either convention. pycocotools trusts what it is given (run lengths that are too
short make it read beyond its memory), so nothing reaches it unchecked.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import UInt8
from pycocotools import mask as coco_mask

from poseseg_jax.coco.quoting import quote

Segmentation = list | dict  # polygons, or {"size": [h, w], "counts": ...}

# Outlines of people are a few times as long as the picture's. pycocotools takes memory
# for every pixel of an outline, and does not look whether it got it.
_MAX_OUTLINE = 100
_MAX_DIGITS = 6  # of a compressed run: 2^29 pixels. More overflow in pycocotools.


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
        longest = 0.0
        for index, polygon in enumerate(segmentation):
            longest += _check_polygon(polygon, index, max(height, width))
        if longest > _MAX_OUTLINE * (height + width):
            _check_outlines(segmentation, height, width)
    elif isinstance(segmentation, dict):
        _check_run_lengths(segmentation, height, width)
    else:
        raise ValueError(
            f"segmentation is {quote(segmentation)}; expected a list of polygons, "
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


def _check_polygon(polygon: object, index: int, longer_side: int) -> float:
    """Returns a length, px, that the outline does not exceed."""
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        is_list = isinstance(polygon, list)
        found = f"{len(polygon)} numbers" if is_list else quote(polygon)
        raise ValueError(
            f"polygon {index} has {found}; expected x, y of 3 or more corners"
        )
    if not set(map(type, polygon)) <= {int, float}:
        wrong = next(value for value in polygon if type(value) not in (int, float))
        raise ValueError(f"polygon {index} holds {quote(wrong)}; expected numbers")
    low, high = min(polygon), max(polygon)
    # Slips over the edge are common; a corner this far out is in another unit.
    if low < -longer_side or high > 2 * longer_side:
        raise ValueError(
            f"polygon {index} reaches from {quote(low)} to {quote(high)}, far outside "
            f"of a picture whose longer side is {longer_side} px"
        )
    if sum(polygon) != sum(polygon):  # NaN hides from min and max
        raise ValueError(f"polygon {index} holds nan; expected finite numbers")
    return (high - low) * len(polygon) / 2


def _check_outlines(polygons: list, height: int, width: int) -> None:
    length = 0.0
    for polygon in polygons:
        corners = zip(polygon[::2], polygon[1::2], strict=True)
        for (x0, y0), (x1, y1) in pairwise([*corners, polygon[:2]]):
            length += max(abs(x1 - x0), abs(y1 - y0))
    if length > _MAX_OUTLINE * (height + width):
        raise ValueError(
            f"the outline of {len(polygons)} polygon(s) is {length:g} px long; "
            f"expected a person's, at most {_MAX_OUTLINE} times height + width = "
            f"{_MAX_OUTLINE * (height + width)} px"
        )


def _check_run_lengths(rle: dict, height: int, width: int) -> None:
    size: Any = rle.get("size")
    if size != [height, width] or set(map(type, size)) != {int}:
        raise ValueError(
            f"run lengths are for size {quote(size)}; expected [height, width] = "
            f"[{height}, {width}]"
        )
    counts = rle.get("counts")
    if isinstance(counts, str | bytes):
        counts = _decompress(counts)
    if not isinstance(counts, list) or not set(map(type, counts)) <= {int}:
        raise ValueError(
            f"run lengths have the counts {quote(counts)}; expected a list of "
            "integers, or text"
        )
    shortest = min(counts, default=0)
    if shortest < 0 or sum(counts) != height * width:
        raise ValueError(
            f"run lengths sum to {quote(sum(counts))} (shortest {quote(shortest)}); "
            f"expected {height} x {width} = {height * width}, none negative"
        )
    # pycocotools stops comparing two masks where both have an empty run.
    if 0 in counts[1:]:
        raise ValueError(
            f"run {counts.index(0, 1)} has length 0; expected 1 or more, except for "
            "the first run"
        )


def _decompress(counts: str | bytes) -> list[int]:
    """Run lengths from COCO's text: base-32 digits, lowest first, in printable bytes.

    A byte is 48 + digit + 32 where more digits follow; the last digit carries the
    sign; from the fourth run on, the difference to the run two before is written.
    """
    data = (
        counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else counts
    )
    runs: list[int] = []
    value, shift = 0, 0
    for byte in data:
        code = byte - 48
        if not 0 <= code < 64:
            raise ValueError(f"run lengths hold the byte {byte}; expected 48 ... 111")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            if shift == 5 * _MAX_DIGITS:
                raise ValueError(
                    f"run {len(runs)} has more than {_MAX_DIGITS} digits; the run "
                    "lengths are no text of COCO's"
                )
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError("run lengths end in the middle of a number")
    return runs
