"""The people of a whole batch go to the input at once.

One picture has few people: the calls would take longer than the arithmetic.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from poseseg_jax.data.decoding import Record
from poseseg_jax.skeleton import FLIP, NUM_KEYPOINTS
from poseseg_jax.structs import IGNORE, MAX_PEOPLE, SEVERAL, UNKNOWN_MASK, Batch

LABELS = ("both", "keypoints", "masks")

_KEYPOINT_FLIP = FLIP[:NUM_KEYPOINTS]


def write_labels(
    batch: Batch, records: Sequence[Record], to_input: Float[np.ndarray, "B 2 3"]
) -> None:
    """Writes all of a batch but its pixels, in place.

    A keypoint outside of the input becomes unlabelled. A person stays in its row,
    unless nothing of it is left: its box holds no pixel of the input, or it has neither
    a labelled keypoint nor a pixel there although its mask is known. Then the row is
    padding. Of more people than rows the largest stay. Pixels of people who have no row
    become IGNORE.

    Args:
      batch: `people` has the codes of the records, warped to the input.
      records: as many; of each, only labels, size and id are looked at.
      to_input: of each, original px -> input px.
    """
    batch.to_input[:] = to_input
    batch.size[:] = [record["size"] for record in records]
    batch.image_id[:] = [record["image_id"] for record in records]
    batch.is_real[:] = True

    max_people, side = batch.area.shape[1], batch.people.shape[1]
    counts = [min(len(record["area"]), max_people) for record in records]
    picture = np.repeat(np.arange(len(counts)), counts)
    row = np.concatenate([np.arange(count) for count in counts])

    def gather(field: str) -> np.ndarray:
        values = zip(records, counts, strict=True)
        return np.concatenate([record[field][:count] for record, count in values])

    affine = to_input[picture]
    factor = affine[:, 0, 0] * affine[:, 1, 1] - affine[:, 0, 1] * affine[:, 1, 0]
    keypoints, visibility = _move_keypoints(
        gather("keypoints"), gather("visibility"), affine, side
    )
    mirrored = np.flatnonzero(factor < 0)  # their left hands are right hands
    for of_people in (keypoints, visibility):
        of_people[mirrored] = of_people[mirrored][:, _KEYPOINT_FLIP]
    box = _move_boxes(gather("box"), affine, side)
    stays = _is_left(batch, picture, row, box, visibility, gather("has_mask"))
    place = picture[stays], row[stays]
    for rows, values in (
        (batch.keypoints, keypoints),
        (batch.visibility, visibility),
        (batch.box, box),
        (batch.area, gather("area") * np.abs(factor).astype(np.float32)),
    ):
        rows[:] = 0
        rows[place] = values[stays]
    staying = np.bincount(place[0], minlength=len(counts))
    for index, record in enumerate(records):
        if staying[index] < len(record["area"]):
            _ignore_others(batch.people[index], row[stays & (picture == index)])


def withhold(batch: Batch, *, labels: str) -> None:
    """Keeps the labels of one task, in place: what a network learns without the other.

    Boxes, areas and rows stay, so that people have their centres in either case. Nobody
    with "masks" has a labelled keypoint: as on COCO's people without any, keypoints are
    not asked on anybody, and off people they are still known to be absent. With
    "keypoints" no pixel's owner is known, also not that it has none: the person map and
    long offsets are asked nowhere. In the box of somebody without labelled keypoints
    nobody can say then whose a joint is, so that keypoints are not asked there.

    Args:
      batch: whole, after `write_labels`.
      labels: "both" (nothing happens), "keypoints" or "masks".
    """
    if labels == "masks":
        batch.keypoints[:] = 0
        batch.visibility[:] = 0
    elif labels == "keypoints":
        batch.people[batch.people != IGNORE] = UNKNOWN_MASK


def _apply(affine, points):
    """As geometry.apply_affine, to each point set with its own affine."""
    return points @ affine[:, :, :2].swapaxes(1, 2) + affine[:, None, :, 2]


def _move_keypoints(keypoints, visibility, affine, side: int):
    moved = _apply(affine, keypoints)
    inside = ((moved >= -0.5) & (moved <= side - 0.5)).all(-1)
    visibility = np.where(inside, visibility, 0)
    moved = np.where(visibility[..., None] > 0, moved, 0)
    return moved, visibility


def _move_boxes(box, affine, side: int):
    """The bounds of the moved corners, clipped to the input."""
    moved = _apply(affine, box[:, [[0, 1], [2, 1], [2, 3], [0, 3]]])
    bounds = np.concatenate([moved.min(1), moved.max(1)], axis=-1)
    return np.clip(bounds, -0.5, side - 0.5)


def _is_left(
    batch: Batch, picture, row, box, visibility, has_mask
) -> Bool[np.ndarray, " n"]:
    """Whether something of each person is in the input; see `write_labels`."""
    first = np.ceil(box[:, :2]).astype(int)
    last = np.minimum(np.floor(box[:, 2:]).astype(int), batch.people.shape[1] - 1)
    left = (first <= last).all(-1)
    for person in np.flatnonzero(left & has_mask & ~visibility.any(-1)):
        (x0, y0), (x1, y1) = first[person], last[person]
        region = batch.people[picture[person], y0 : y1 + 1, x0 : x1 + 1]
        own = (region == row[person] + 1).any()
        left[person] = own or (region == SEVERAL).any()
    return left


def _ignore_others(codes, rows: Int[np.ndarray, " n"]) -> None:
    """Turns the codes of people who have no row into IGNORE."""
    new = np.arange(IGNORE + 1, dtype=np.uint8)
    new[1 : MAX_PEOPLE + 1] = IGNORE
    new[rows + 1] = rows + 1
    cv2.LUT(codes, new, dst=codes)
