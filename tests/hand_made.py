"""People made by hand, and perfect maps of them."""

from functools import partial

import jax
import numpy as np

from poseseg_jax import targets
from poseseg_jax.decode.settings import DecodeSettings
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import NUM_KEYPOINTS, SKELETONS
from poseseg_jax.structs import SEVERAL, Batch

# A person in a box of 1 x 1, COCO's order, (x, y).
FIGURE = np.array([
    (0.50, 0.08), (0.56, 0.05), (0.44, 0.05), (0.62, 0.07), (0.38, 0.07),
    (0.72, 0.22), (0.28, 0.22), (0.92, 0.38), (0.08, 0.38), (0.98, 0.55), (0.02, 0.55),
    (0.64, 0.55), (0.36, 0.55), (0.66, 0.77), (0.34, 0.77), (0.68, 0.97), (0.32, 0.97),
])  # fmt: skip
SETTINGS = DecodeSettings(
    peak_threshold=0.01,
    peaks_per_anchor=12,
    max_people=8,
    suppression_radius=4.0,
    center_stride=2,
    center_radius=4.0,
    center_radius_min=4.0,
    center_scale=0.25,
    refine_steps=1,
    snap_radius=0.0,
    found_threshold=0.1,
    body_weight=0.0,
    soft_nms=True,
    mask_threshold=0.75,
    exclusive_masks=True,
)


def represent(skeleton="center", *, person_stride=2, radius=16.0) -> Representation:
    return Representation(
        skeleton=SKELETONS[skeleton],
        radius=radius,
        map_stride=4,
        person_stride=person_stride,
        body_sigma=0.1,
    )


def silhouette(box, side):
    """The pixels of an ellipse in the box."""
    x0, y0, x1, y1 = box
    y, x = np.mgrid[:side, :side]
    across = (x - (x0 + x1) / 2) / ((x1 - x0) / 2)
    down = (y - (y0 + y1) / 2) / ((y1 - y0) / 2)
    return across**2 + down**2 <= 1


def picture(boxes, *, side=97, labelled=None, rows=6) -> Batch:
    """One picture without batch axis, of a figure in each box (x0, y0, x1, y1).

    Args:
      boxes: of the people, first row first.
      side: of the picture.
      labelled: for each person, which of the 17 keypoints are; None: all.
      rows: N; the others are padded.
    """
    people = np.zeros((side, side), np.uint8)
    keypoints = np.zeros((rows, NUM_KEYPOINTS, 2), np.float32)
    visibility = np.zeros((rows, NUM_KEYPOINTS), np.uint8)
    box = np.zeros((rows, 4), np.float32)
    area = np.zeros(rows, np.float32)
    for row, corners in enumerate(boxes):
        box[row] = corners
        x0, y0, x1, y1 = corners
        mask = silhouette(corners, side)
        area[row] = mask.sum()
        people[mask] = np.where(people[mask] == 0, row + 1, SEVERAL)
        seen = np.ones(NUM_KEYPOINTS, bool) if labelled is None else labelled[row]
        places = FIGURE * (x1 - x0, y1 - y0) + (x0, y0)
        keypoints[row] = np.where(np.asarray(seen)[:, None], places, 0)
        visibility[row] = np.where(seen, 2, 0)
    return Batch(
        image=np.zeros((side, side, 3), np.uint8),
        people=people,
        keypoints=keypoints,
        visibility=visibility,
        box=box,
        area=area,
        to_input=np.eye(2, 3, dtype=np.float32),
        size=np.array([side, side], np.int32),
        image_id=np.array(1),
        is_real=np.array(True),
    )


@partial(jax.jit, static_argnames="representation")
def perfect_maps(batch, representation):
    """What a perfect network says of one picture."""
    batched = jax.tree.map(lambda leaf: leaf[None], batch)
    made = targets.make(batched, representation=representation)
    return jax.tree.map(lambda leaf: leaf[0], made.maps)


def iou(a, b):
    return np.sum(a & b) / max(np.sum(a | b), 1)
