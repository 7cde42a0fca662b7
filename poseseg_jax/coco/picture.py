"""One picture's people, as the rest of the program wants them.

COCO's half pixels are dealt with here: its keypoints are pixel indices and stay what
they are; its boxes are continuous (pixel j covers [j, j + 1]) and lose 0.5, so that
pixel j has its centre at j (geometry.py).
"""

import contextlib
import math
import sys
import unicodedata
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from poseseg_jax.coco.quoting import quote
from poseseg_jax.coco.segmentation import Segmentation, check_segmentation, to_mask
from poseseg_jax.skeleton import KEYPOINT_NAMES, NUM_KEYPOINTS
from poseseg_jax.structs import IGNORE, MAX_PEOPLE, NOBODY, SEVERAL, UNKNOWN_MASK

PERSON_CATEGORY = 1
SMALL_AREA = 32.0**2  # px^2; COCO's bound of small, original pixels
# Decoding a picture takes 3 bytes a pixel, and each person's mask one; 8192 x 8192.
MAX_PIXELS = 2**26


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody, in original pixels.

    Attributes:
      keypoints: (x, y); (0, 0) where unlabelled.
      visibility: 0 unlabelled, 1 hidden, 2 visible.
      box: (x0, y0, x1, y1), outer edges, so a box of one pixel has x1 - x0 = 1.
      area: of the mask, px^2, as the file says but at least 1: scales are its root.
      segmentation: as COCO writes it, in COCO's coordinates; None: not known.
    """

    annotation_id: int
    keypoints: Float[np.ndarray, "17 2"]
    visibility: UInt8[np.ndarray, "17"]
    box: Float[np.ndarray, "4"]
    area: float
    segmentation: Segmentation | None


@dataclass(frozen=True, eq=False)
class Crowd:
    """A region with people that nobody told apart: nothing is asked there."""

    box: Float[np.ndarray, "4"]
    segmentation: Segmentation | None


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of an annotation file; its people by decreasing area."""

    image_id: int
    file_name: str
    height: int
    width: int
    people: tuple[Person, ...]
    crowds: tuple[Crowd, ...]

    @property
    def head_count(self) -> int:
        """Persons with at least one labelled keypoint: what bias reduction counts.

        Counting them, and not everybody annotated, gives COCO's published shares.
        """
        return sum(bool(person.visibility.any()) for person in self.people)


def parse_picture(image: dict, annotations: list[dict]) -> Picture:
    """Checks one entry of `images` with its entries of `annotations` (people only).

    Raises:
      ValueError: for the first thing that is wrong, naming the annotation's id, the
        value and what was expected. The caller adds the file and the picture.
    """
    check_image(image)
    height, width = image["height"], image["width"]
    people, crowds = [], []
    for annotation in annotations:
        try:
            parsed = _parse_annotation(annotation, height, width)
        except ValueError as error:
            raise ValueError(f"annotation {annotation['id']}: {error}") from None
        (people if isinstance(parsed, Person) else crowds).append(parsed)
    if len(people) > MAX_PEOPLE:
        raise ValueError(
            f"{len(people)} people; at most {MAX_PEOPLE} can be told apart"
        )
    people.sort(key=lambda person: (-person.area, person.annotation_id))
    return Picture(
        image["id"], image["file_name"], height, width, tuple(people), tuple(crowds)
    )


def check_image(image: dict) -> None:
    """Refuses an entry of `images` without a usable file name or size."""
    _check_file_name(image.get("file_name"))
    for key in ("height", "width"):
        if type(image.get(key)) is not int or image[key] < 1:
            raise ValueError(
                f"{key} is {quote(image.get(key))}; expected pixels, an integer of 1 "
                "or more"
            )
    if image["height"] * image["width"] > MAX_PIXELS:
        raise ValueError(
            f"{quote(image['width'])} x {quote(image['height'])} px (width x height); "
            f"expected at most {MAX_PIXELS} pixels. Scale the picture down, and its "
            "annotations with it."
        )


def _check_file_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"file_name is {quote(name)}; expected a name")
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise ValueError(
            f"file_name is {quote(name)}; expected a path below the pictures' "
            "folder, without '..', '.' or a '/' at its ends"
        )
    # Lone surrogates (Cs) are what JSON can write and no file system can.
    if not name.isprintable() and any(
        unicodedata.category(letter) in ("Cc", "Cs") for letter in name
    ):
        raise ValueError(
            f"file_name is {quote(name)}; expected text without control characters"
        )


def people_map(
    picture: Picture,
) -> UInt8[np.ndarray, "{picture.height} {picture.width}"]:
    """Who is where: the codes of structs.py at the picture's own size.

    Row i of `people` is code i + 1. A pixel of two known masks, or of a known mask in
    the box of somebody whose mask is unknown, is SEVERAL. Crowds only take pixels on
    which no known mask lies: a person in front of a crowd is still asked for.
    """
    size = {"height": picture.height, "width": picture.width}
    codes = np.full((picture.height, picture.width), NOBODY, np.uint8)
    known = np.zeros(codes.shape, bool)
    for person in picture.people:
        if person.segmentation is None:
            codes[_touched(person.box)] = UNKNOWN_MASK
    for row, person in enumerate(picture.people):
        if person.segmentation is not None:
            mask = to_mask(person.segmentation, **size).astype(bool)
            codes[mask] = np.where(codes[mask] == NOBODY, row + 1, SEVERAL)
            known |= mask
    for crowd in picture.crowds:
        region = np.zeros(codes.shape, bool)
        if crowd.segmentation is None:
            region[_touched(crowd.box)] = True
        else:
            region = to_mask(crowd.segmentation, **size).astype(bool)
        codes[region & ~known] = IGNORE
    return codes


def _touched(box: Float[np.ndarray, "4"]) -> tuple[slice, slice]:
    """The pixels that a box touches, as (rows, columns)."""
    x0, y0 = (max(math.floor(value + 0.5), 0) for value in box[:2])
    x1, y1 = (max(math.ceil(value + 0.5), 0) for value in box[2:])
    return slice(y0, y1), slice(x0, x1)


def _parse_annotation(annotation: dict, height: int, width: int) -> Person | Crowd:
    needed = ("bbox", "area", "segmentation", "keypoints")
    missing = [key for key in needed if key not in annotation]
    is_crowd = annotation.get("iscrowd", 0)
    if is_crowd in (0, 1) and is_crowd:
        missing = [key for key in missing if key in ("bbox", "segmentation")]
    elif is_crowd != 0:
        raise ValueError(f"iscrowd is {quote(is_crowd)}; expected 0 or 1")
    if missing:
        raise ValueError(
            f"no {' and no '.join(missing)}; expected {', '.join(needed)} (an unknown "
            "mask is 'segmentation': [])"
        )
    x, y, w, h = _checked_box(annotation["bbox"], height, width)
    box = np.array([x, y, x + w, y + h]) - 0.5
    segmentation = annotation["segmentation"]
    check_segmentation(segmentation, height=height, width=width)
    segmentation = segmentation or None
    if is_crowd:  # without these two, but pycocotools reads them where they are
        _checked_area(annotation.get("area", 0), w, h, is_labelled=False)
        if annotation.get("keypoints"):
            _parse_keypoints(annotation["keypoints"], height, width)
        return Crowd(box, segmentation)
    keypoints, visibility = _parse_keypoints(annotation["keypoints"], height, width)
    is_labelled = bool(visibility.any())
    area = _checked_area(annotation["area"], w, h, is_labelled=is_labelled)
    return Person(
        annotation["id"], keypoints, visibility, box, max(area, 1.0), segmentation
    )


def _checked_box(values: object, height: int, width: int) -> list[float]:
    """COCO's (x, y, width, height)."""
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


def _checked_area(
    value: object, width: float, height: float, *, is_labelled: bool
) -> float:
    """A mask's area in a box of this size: COCO scores keypoints relative to it.

    A mask lies in its box, so twice as much is of another picture, or of another size
    of it. Areas of 0 come with boxes that are lines; otherwise nothing is known.
    """
    (area,) = _numbers([value], 1, "area")
    if area < 0:
        raise ValueError(f"area is {area:g}; expected px^2, 0 or more")
    if area > 2 * (width + 2) * (height + 2):
        raise ValueError(
            f"area is {area:g} in a box of {width:g} x {height:g} px; expected the "
            "mask's, in px^2 of this picture"
        )
    if area == 0 and is_labelled and min(width, height) >= 2:
        raise ValueError(
            f"area is 0 in a box of {width:g} x {height:g} px with labelled keypoints; "
            "expected the mask's, or the box' where no mask is known. COCO scores "
            "keypoints relative to it: none would ever be right."
        )
    return float(area)


def _parse_keypoints(
    values: object, height: int, width: int
) -> tuple[Float[np.ndarray, "17 2"], UInt8[np.ndarray, "17"]]:
    numbers = _numbers(values, 3 * NUM_KEYPOINTS, "keypoints")
    if not set(numbers[2::3]) <= {0, 1, 2}:
        named = zip(KEYPOINT_NAMES, numbers[2::3], strict=True)
        name, value = next(pair for pair in named if pair[1] not in (0, 1, 2))
        raise ValueError(
            f"the visibility of {name} is {quote(value)}; expected 0, 1 or 2"
        )
    triples = np.array(numbers, np.float64).reshape(-1, 3)
    is_labelled = triples[:, 2] > 0
    keypoints = np.where(is_labelled[:, None], triples[:, :2], 0.0)
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
        _check_places(keypoints, int(is_labelled.sum()), height, width)
    return keypoints, triples[:, 2].astype(np.uint8)


def _check_places(
    keypoints: Float[np.ndarray, "17 2"], num_labelled: int, height: int, width: int
) -> None:
    low, high = float(keypoints.min()), float(keypoints.max())
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


_NUMBERS = {int, float}  # a bool is neither
_LARGEST = sys.float_info.max
_FARTHEST = 1e9  # pixels; NumPy, in pycocotools, makes objects of larger integers
# How far a box or a keypoint may be outside of the picture, in pictures.
_BEYOND = 0.5
