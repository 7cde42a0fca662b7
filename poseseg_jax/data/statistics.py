"""Records -> numbers about a data set. No picture is decoded, only people maps.

The numbers are plain dicts and lists, to be written as JSON; `report.py` makes a text
of them. What should make a reader doubt the labels is in `plausibility.py`.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from poseseg_jax.coco.picture import SMALL_AREA
from poseseg_jax.data.bias import COCO_HEAD_COUNTS
from poseseg_jax.data.decoding import Record, decode_people
from poseseg_jax.skeleton import KEYPOINT_NAMES, NUM_KEYPOINTS
from poseseg_jax.structs import (
    IGNORE,
    MAX_PEOPLE,
    NOBODY,
    SEVERAL,
    UNKNOWN_MASK,
)

SIZE_LIMITS = {"small": SMALL_AREA, "medium": 96**2, "large": np.inf}  # COCO's, px^2
QUANTILES = (5, 25, 50, 75, 95)  # percent
_THREADS = 4
_AHEAD = 256  # records in memory at a time


@dataclass(frozen=True, eq=False)
class Labels:
    """What the records of a split say, without their pixels. P people, M pictures.

    Attributes:
      image_id, size: of each picture; (height, width) px.
      pixels: of each picture's people map: of nobody, one person, several, in the box
        of an unknown mask, ignored.
      picture: of each person, the picture's place; people of one picture follow each
        other, by decreasing area.
      keypoints, visibility, box, area, has_mask: as in the records, original px.
      on_mask: 1 where a keypoint lies on a pixel of its person or of several, 0 where
        it does not, -1 where it is unlabelled or the mask is unknown.
    """

    image_id: Int[np.ndarray, " M"]
    size: Int[np.ndarray, "M 2"]
    pixels: Int[np.ndarray, "M 5"]
    picture: Int[np.ndarray, " P"]
    keypoints: Float[np.ndarray, "P K 2"]
    visibility: UInt8[np.ndarray, "P K"]
    box: Float[np.ndarray, "P 4"]
    area: Float[np.ndarray, " P"]
    has_mask: Bool[np.ndarray, " P"]
    on_mask: Int[np.ndarray, "P K"]


PIXEL_KINDS = ("nobody", "one person", "several people", "unknown mask", "ignored")


def collect(records: Iterable[Record]) -> Labels:
    """Reads records one by one and keeps what is needed of their labels."""
    with ThreadPoolExecutor(_THREADS) as threads:
        rows = [
            row
            for chunk in _chunks(records, _AHEAD)
            for row in threads.map(_of_record, chunk)
        ]
    people = [len(row["area"]) for row in rows]

    def joined(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        parts = [np.asarray(row[name], dtype).reshape(-1, *shape) for row in rows]
        return np.concatenate([np.zeros((0, *shape), dtype), *parts])

    return Labels(
        image_id=joined("image_id", (), np.int64),
        size=joined("size", (2,), np.int64),
        pixels=joined("pixels", (len(PIXEL_KINDS),), np.int64),
        picture=np.repeat(np.arange(len(rows)), people),
        keypoints=joined("keypoints", (NUM_KEYPOINTS, 2), np.float32),
        visibility=joined("visibility", (NUM_KEYPOINTS,), np.uint8),
        box=joined("box", (4,), np.float32),
        area=joined("area", (), np.float32),
        has_mask=joined("has_mask", (), bool),
        on_mask=joined("on_mask", (NUM_KEYPOINTS,), np.int8),
    )


def summarize(
    labels: Labels,
    *,
    max_people: int,
    image_size: int,
    left_out: Sequence[dict] = (),
) -> dict[str, Any]:
    """The numbers of a split; shares are fractions of 1, None of nothing.

    Args:
      labels: see `collect`.
      max_people: that training keeps of a picture.
      image_size: side of the input, px, for the sizes that a network sees.
      left_out: broken records of the split, as `Prepared.left_out` lists them.
    """
    num_pictures, num_people = len(labels.size), len(labels.area)
    people = np.bincount(labels.picture, minlength=num_pictures)
    has_keypoint = labels.visibility.any(-1)
    heads = np.bincount(labels.picture[has_keypoint], minlength=num_pictures)
    beyond = np.maximum(people - max_people, 0)
    longer_side = labels.size.max(-1, initial=1)[labels.picture]
    root_area = np.sqrt(labels.area)
    return {
        "pictures": num_pictures,
        "people": num_people,
        "people_with_keypoints": int(has_keypoint.sum()),
        "people_with_unknown_mask": int((~labels.has_mask).sum()),
        "head_counts": head_counts(heads),
        "people_per_picture": {
            "quantiles": _quantiles(people),
            "mean": _mean(people),
            "most": int(people.max(initial=0)),
            "without": int((people == 0).sum()),
        },
        "beyond_max_people": {
            "max_people": max_people,
            "pictures": int((beyond > 0).sum()),
            "people": int(beyond.sum()),
        },
        "person_size": {
            "quantiles": _quantiles(root_area),
            "quantiles_at_input": _quantiles(root_area * image_size / longer_side),
            "image_size": image_size,
            **_size_shares(labels.area),
        },
        "visibility": _visibility(labels.visibility),
        "pixels": _pixel_shares(labels.pixels),
        "picture_size": {
            "height": _quantiles(labels.size[:, 0]),
            "width": _quantiles(labels.size[:, 1]),
        },
        "left_out": [dict(entry) for entry in left_out],
    }


def head_counts(heads: Int[np.ndarray, " M"]) -> list[dict]:
    """Pictures by how many people with a labelled keypoint they show, beside COCO's.

    Args:
      heads: of each picture.

    Returns:
      A row for each number from 1 to 13, and for each other one that occurs. Shares are
      of the pictures with at least one, as COCO's are.
    """
    coco = COCO_HEAD_COUNTS
    most = max(int(heads.max(initial=0)), len(coco))
    shown = int((heads > 0).sum())
    rows = []
    for number in range(most + 1):
        pictures = int((heads == number).sum())
        is_usual = 1 <= number <= len(coco)
        if not pictures and not is_usual:
            continue
        rows.append(
            {
                "people": number,
                "pictures": pictures,
                "share": pictures / shown if number and shown else None,
                "coco_train2017": coco[number - 1] / 100 if is_usual else None,
            }
        )
    return rows


def _chunks(records: Iterable[Record], size: int) -> Iterable[list[Record]]:
    iterator = iter(records)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _of_record(record: Record) -> dict[str, Any]:
    people = decode_people(record)
    # OpenCV lets go of Python's lock, and NumPy would not.
    count = cv2.calcHist([people], [0], None, [IGNORE + 1], [0, IGNORE + 1]).reshape(-1)
    pixels = (
        count[NOBODY],
        count[1 : MAX_PEOPLE + 1].sum(),
        count[SEVERAL],
        count[UNKNOWN_MASK],
        count[IGNORE],
    )
    names = ("image_id", "size", "keypoints", "visibility", "box", "area", "has_mask")
    kept = {name: record[name] for name in names}
    return {**kept, "pixels": pixels, "on_mask": _on_mask(people, record)}


def _on_mask(people: UInt8[np.ndarray, "H W"], record: Record) -> np.ndarray:
    keypoints = np.asarray(record["keypoints"], float)
    height, width = people.shape
    x, y = np.moveaxis(np.clip(keypoints, -1e6, 1e6).round().astype(int), -1, 0)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    code = people[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    own = np.arange(1, len(keypoints) + 1)[:, None]
    is_on = inside & ((code == own) | (code == SEVERAL))
    is_known = np.asarray(record["has_mask"], bool)[:, None]
    asked = (np.asarray(record["visibility"]) > 0) & is_known
    return np.where(asked, is_on, -1).astype(np.int8)


def _visibility(visibility: UInt8[np.ndarray, "P K"]) -> dict[str, dict]:
    """Of each keypoint, shares among people who have any labelled keypoint."""
    known = visibility[visibility.any(-1)]
    kinds = enumerate(("unlabelled", "hidden", "visible"))
    shares = {kind: [_mean(known[:, k] == v) for k in range(NUM_KEYPOINTS)]
              for v, kind in kinds}  # fmt: skip
    return {
        name: {kind: values[k] for kind, values in shares.items()}
        for k, name in enumerate(KEYPOINT_NAMES)
    }


def _size_shares(area: Float[np.ndarray, " P"]) -> dict[str, float | None]:
    shares, below = {}, -np.inf
    for name, limit in SIZE_LIMITS.items():
        shares[name] = _mean((area >= below) & (area < limit))
        below = limit
    return shares


def _pixel_shares(pixels: Int[np.ndarray, "M 5"]) -> dict[str, dict]:
    total = max(int(pixels.sum()), 1)
    return {
        kind: {
            "share": float(pixels[:, index].sum() / total),
            "pictures": int((pixels[:, index] > 0).sum()),
        }
        for index, kind in enumerate(PIXEL_KINDS)
    }


def _quantiles(values: Shaped[np.ndarray, " n"]) -> dict[str, float] | None:
    if not len(values):
        return None
    found = np.percentile(values, QUANTILES)
    return {str(q): float(value) for q, value in zip(QUANTILES, found, strict=True)}


def _mean(values: Shaped[np.ndarray, " n"]) -> float | None:
    return float(np.mean(values)) if len(values) else None
