"""One picture's people, as the rest of the program wants them.

COCO's half pixels are dealt with here: its keypoints are pixel indices and stay what
they are; its boxes are continuous (pixel j covers [j, j + 1]) and lose 0.5, so that
pixel j has its centre at j (geometry.py).
"""

import math
import unicodedata
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from poseseg_jax.coco import checked
from poseseg_jax.coco.quoting import quote
from poseseg_jax.coco.segmentation import Segmentation, check_segmentation, to_mask
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
    x, y, w, h = checked.box(annotation["bbox"], height, width)
    box = np.array([x, y, x + w, y + h]) - 0.5
    segmentation = annotation["segmentation"]
    check_segmentation(segmentation, height=height, width=width)
    segmentation = segmentation or None
    if is_crowd:  # without these two, but pycocotools reads them where they are
        checked.area(annotation.get("area", 0), w, h, is_labelled=False)
        if annotation.get("keypoints"):
            checked.keypoints(annotation["keypoints"], height, width)
        return Crowd(box, segmentation)
    keypoints, visibility = checked.keypoints(annotation["keypoints"], height, width)
    is_labelled = bool(visibility.any())
    area = checked.area(annotation["area"], w, h, is_labelled=is_labelled)
    return Person(
        annotation["id"], keypoints, visibility, box, max(area, 1.0), segmentation
    )
