"""The same scores by how crowded a picture is: what bias reduction must move.

Pictures are sorted into buckets twice, by head count and by the largest overlap of two
people's boxes. A picture without people is in no bucket; one whose people have no
labelled keypoint is in one by overlap only.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from poseseg_jax.coco.annotations import Picture
from poseseg_jax.coco.scoring import TASKS, Matches, summarize

# Name -> the range of persons with a labelled keypoint, both ends included.
PEOPLE_BUCKETS = {
    "people_1": (1, 1),
    "people_2": (2, 2),
    "people_3-4": (3, 4),
    "people_5-7": (5, 7),
    "people_8+": (8, np.inf),
}
# Name -> the range of the largest box IoU, the upper end excluded.
OVERLAP_BUCKETS = {
    "overlap_0.0-0.1": (0.0, 0.1),
    "overlap_0.1-0.3": (0.1, 0.3),
    "overlap_0.3-0.5": (0.3, 0.5),
    "overlap_0.5-1.0": (0.5, np.inf),
}


def keys() -> list[str]:
    """What is reported of both tasks, as `scores_by_bucket` names it."""
    buckets = (*PEOPLE_BUCKETS, *OVERLAP_BUCKETS)
    return [f"crowd/{bucket}/{task}/AP" for task in TASKS for bucket in buckets]


def scores_by_bucket(matches: Matches) -> dict[str, float | None]:
    """AP of a task in every bucket.

    Returns:
      `crowd/<bucket>/<task>/AP`, None where a bucket holds nothing to find.
    """
    key = f"{matches.task}/AP"
    return {
        f"crowd/{bucket}/{key}": summarize(matches, image_ids)[key]
        for bucket, image_ids in buckets(matches.pictures).items()
    }


def buckets(pictures: Sequence[Picture]) -> dict[str, list[int]]:
    """Image ids by bucket; buckets without pictures are there, empty."""
    by_bucket: dict[str, list[int]] = {
        name: [] for name in (*PEOPLE_BUCKETS, *OVERLAP_BUCKETS)
    }
    for picture in pictures:
        for name, (low, high) in PEOPLE_BUCKETS.items():
            if low <= picture.head_count <= high:
                by_bucket[name].append(picture.image_id)
        overlap = largest_overlap(picture)
        for name, (low, high) in OVERLAP_BUCKETS.items():
            if overlap is not None and low <= overlap < high:
                by_bucket[name].append(picture.image_id)
    return by_bucket


def largest_overlap(picture: Picture) -> float | None:
    """The largest box IoU of two of the picture's people: 0 for one, None for nobody.

    Everybody counts here, also persons without labelled keypoints: they are in the way.
    """
    if not picture.people:
        return None
    ious = box_iou(np.stack([person.box for person in picture.people]))
    np.fill_diagonal(ious, 0)
    return float(ious.max())


def box_iou(box: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n n"]:
    """Intersection over union of every pair of boxes (x0, y0, x1, y1); 0 / 0 is 0."""
    low = np.maximum(box[:, None, :2], box[None, :, :2])
    high = np.minimum(box[:, None, 2:], box[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area = (box[:, 2:] - box[:, :2]).prod(-1)
    union = area[:, None] + area[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
