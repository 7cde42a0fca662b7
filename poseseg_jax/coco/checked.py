"""Box, area and keypoints of an annotation: numbers, and numbers of that picture.

All of them take what JSON gave, and raise a ValueError that says what it is and what
was expected. The caller adds the file, the picture and the annotation.
"""

import contextlib
import math
import sys

import numpy as np
from jaxtyping import Float, UInt8

from poseseg_jax.coco.quoting import quote
from poseseg_jax.skeleton import KEYPOINT_NAMES, NUM_KEYPOINTS

_NUMBERS = {int, float}  # a bool is neither
_LARGEST = sys.float_info.max
_FARTHEST = 1e9  # pixels; NumPy, in pycocotools, makes objects of larger integers
# How far a box or a keypoint may be outside of the picture, in pictures.
_BEYOND = 0.5


def box(values: object, height: int, width: int) -> list[float]:
    """COCO's (x, y, width, height).

    Raises:
      ValueError: where it cannot be a box in a picture of this size, px.
    """
    numbers = _numbers(values, 4, "bbox")
    x, y, w, h = numbers
    # Zero is real: COCO holds boxes of zero width.
    if w < 0 or h < 0:
        raise ValueError(
            f"bbox {quote(numbers)} has a negative side; expected [x, y, w, h]"
        )
    # Boxes of people cut by the frame may go on beyond it, but not for long.
    beyond = max(-x / width, -y / height, (x + w) / width - 1, (y + h) / height - 1)
    is_outside = x > width or y > height or x + w < 0 or y + h < 0
    if is_outside or beyond > _BEYOND:
        where = (
            "outside" if is_outside else f"{beyond:.3g} times its size beyond an edge"
        )
        raise ValueError(
            f"bbox {quote(numbers)} lies {where} of the picture of {width} x "
            f"{height} px (width x height); expected [x, y, w, h] in its pixels"
        )
    return numbers


def area(value: object, width: float, height: float, *, is_labelled: bool) -> float:
    """A mask's area in a box of this size: COCO scores keypoints relative to it.

    A mask lies in its box, so twice as much is of another picture, or of another size
    of it. Areas of 0 come with boxes that are lines; otherwise nothing is known.

    Raises:
      ValueError: saying what was expected.
    """
    (found,) = _numbers([value], 1, "area")
    if found < 0:
        raise ValueError(f"area is {found:g}; expected px^2, 0 or more")
    if found > 2 * (width + 2) * (height + 2):
        raise ValueError(
            f"area is {found:g} in a box of {width:g} x {height:g} px; expected the "
            "mask's, in px^2 of this picture"
        )
    if found == 0 and is_labelled and min(width, height) >= 2:
        raise ValueError(
            f"area is 0 in a box of {width:g} x {height:g} px with labelled keypoints; "
            "expected the mask's, or the box' where no mask is known. COCO scores "
            "keypoints relative to it: none would ever be right."
        )
    return float(found)


def keypoints(
    values: object, height: int, width: int
) -> tuple[Float[np.ndarray, "17 2"], UInt8[np.ndarray, "17"]]:
    """(x, y), px, (0, 0) where unlabelled; and visibility: 0, 1 or 2.

    Raises:
      ValueError: for what is no keypoint, or none of this picture.
    """
    numbers = _numbers(values, 3 * NUM_KEYPOINTS, "keypoints")
    if not set(numbers[2::3]) <= {0, 1, 2}:
        named = zip(KEYPOINT_NAMES, numbers[2::3], strict=True)
        name, value = next(pair for pair in named if pair[1] not in (0, 1, 2))
        raise ValueError(
            f"the visibility of {name} is {quote(value)}; expected 0, 1 or 2"
        )
    triples = np.array(numbers, np.float64).reshape(-1, 3)
    is_labelled = triples[:, 2] > 0
    places = np.where(is_labelled[:, None], triples[:, :2], 0.0)
    longer = max(height, width)
    reach = (-_BEYOND * longer, (1 + _BEYOND) * longer)
    # The plain list tells sooner that there is nothing to look at.
    if min(numbers) < reach[0] or max(numbers) > reach[1] or max(numbers) <= 2:
        extreme = max(numbers, key=abs)
        if abs(extreme) > _FARTHEST:
            raise ValueError(
                f"keypoints holds {quote(extreme)}; expected pixels, or 0 where "
                "nothing is labelled"
            )
        _check_places(places, int(is_labelled.sum()), height, width)
    return places, triples[:, 2].astype(np.uint8)


def _check_places(
    places: Float[np.ndarray, "17 2"], num_labelled: int, height: int, width: int
) -> None:
    low, high = float(places.min()), float(places.max())
    longer = max(height, width)
    if low < -_BEYOND * longer or high > (1 + _BEYOND) * longer:
        raise ValueError(
            f"labelled keypoints reach from {low:g} to {high:g}, far outside of the "
            f"picture of {width} x {height} px (width x height)"
        )
    if high <= 1 and num_labelled > 1:
        raise ValueError(
            f"{num_labelled} labelled keypoints, and all of them within a pixel of the "
            "corner (0, 0); expected pixels, not shares of the picture, and visibility "
            "0 where nothing is labelled"
        )


def _numbers(values: object, count: int, what: str) -> list:
    """The list, if it is one of finite numbers."""
    if not isinstance(values, list):
        raise ValueError(f"{what} is {quote(values)}; expected {count} numbers")
    if len(values) != count:
        raise ValueError(f"{what} has {len(values)} numbers; expected {count}")
    if set(map(type, values)) <= _NUMBERS:
        # Of a sum, NaN and infinity do not get lost; an integer may have no end.
        with contextlib.suppress(OverflowError, ValueError):
            if math.isfinite(math.fsum(values)):
                return values
    wrong = [v for v in values if type(v) not in _NUMBERS or not abs(v) <= _LARGEST]
    wrong = quote(wrong[0] if wrong else max(values))
    found = f"is {wrong}" if count == 1 else f"holds {wrong}"
    raise ValueError(f"{what} {found}; expected finite numbers")
