"""What an evaluation shows: truth beside prediction, the worst, AP by crowding."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from poseseg_jax import visualize
from poseseg_jax.charts import crowd
from poseseg_jax.charts.point import Point
from poseseg_jax.coco import crowding
from poseseg_jax.coco.bootstrap import Intervals
from poseseg_jax.coco.per_picture import PictureScores
from poseseg_jax.coco.picture import Picture
from poseseg_jax.coco.results import Results
from poseseg_jax.coco.scoring import TASKS
from poseseg_jax.coco.segmentation import to_mask
from poseseg_jax.data.decoding import Sample, decode_record
from poseseg_jax.data.prepared import Prepared
from poseseg_jax.skeleton import NUM_KEYPOINTS

_PANELS = {
    "people with a labelled keypoint": crowding.PEOPLE_BUCKETS,
    "largest overlap of two people's boxes (IoU)": crowding.OVERLAP_BUCKETS,
}
_NOBODY: Mapping[str, float] = dict.fromkeys(TASKS, 0.0)

People = list[tuple[dict[str, Any], dict[str, Any]]]


def overlays(
    found: Results, prepared: Prepared, count: int, *, is_labelled: bool = True
) -> Iterator[tuple[int, np.ndarray]]:
    """Truth beside prediction for `count` pictures, evenly spread over the split.

    Args:
      found: results of the split.
      prepared: the split.
      count: at most this many pictures.
      is_labelled: False: the picture itself takes the place of the truth.

    Yields:
      Image id and RGB picture.
    """
    people = _by_picture(found)
    count = min(count, len(prepared.val))
    captions = ("truth" if is_labelled else "picture", "prediction")
    for index in np.linspace(0, len(prepared.val) - 1, count).round().astype(int):
        sample = decode_record(prepared.val[int(index)])
        said = _draw_results(sample.image, people.get(sample.image_id, []), _NOBODY)
        yield (
            sample.image_id,
            visualize.side_by_side(_draw_truth(sample), said, captions=captions),
        )


def sheet_of(
    found: Results,
    prepared: Prepared,
    pictures: Sequence[PictureScores],
    levels: Mapping[str, float],
) -> np.ndarray:
    """Truth beside prediction of some pictures, with their scores, on one sheet.

    Args:
      found: results of the split.
      prepared: the split.
      pictures: those to show, one at least.
      levels: for each task, the score from which a result is shown.

    Returns:
      RGB.
    """
    people = _by_picture(found)
    pairs = []
    for one in pictures:
        sample = decode_record(prepared.val[one.index])
        assert sample.image_id == one.picture.image_id, "splits of other pictures"
        said = _draw_results(sample.image, people.get(sample.image_id, []), levels)
        truth = _draw_truth(sample)
        pairs.append(visualize.side_by_side(truth, said, captions=_captions(one)))
    return visualize.sheet(pairs)


def crowd_chart(
    scores: Mapping[str, float | None],
    pictures: Sequence[Picture],
    intervals: Intervals | None = None,
) -> bytes:
    """AP of both tasks by head count and by overlap, as a PNG file.

    Args:
      scores: with the keys of metrics.json.
      pictures: of the split.
      intervals: of the scores.
    """
    sizes = {name: len(ids) for name, ids in crowding.buckets(pictures).items()}

    def point(key: str) -> Point | None:
        value, interval = scores[key], intervals and intervals.by_key[key]
        if value is None or interval is None:
            return None if value is None else Point(value)
        return Point(value, interval.low, interval.high)

    panels = {
        title: [
            crowd.Bucket(
                name.partition("_")[2].replace("-", " to "),
                sizes[name],
                {task: point(f"crowd/{name}/{task}/AP") for task in TASKS},
            )
            for name in names
        ]
        for title, names in _PANELS.items()
    }
    whole = {task: scores[f"{task}/AP"] for task in TASKS}
    return crowd.scores_by_bucket(panels, whole=whole, interval=_name(intervals))


def _name(intervals: Intervals | None) -> str:
    return f"{100 * intervals.level:g} % interval" if intervals else ""


def _by_picture(found: Results) -> dict[int, People]:
    people: dict[int, People] = {}
    for pair in zip(found.keypoints, found.segm, strict=True):
        people.setdefault(pair[0]["image_id"], []).append(pair)
    return people


def _draw_truth(sample: Sample) -> np.ndarray:
    codes = np.arange(1, len(sample.box) + 1, dtype=np.uint8)
    return visualize.draw_joint(
        sample.image,
        sample.keypoints,
        visualize.confidence_of_labels(sample.visibility),
        np.ones(len(codes), np.float32),
        sample.people == codes[:, None, None],
    )


def _draw_results(
    image: np.ndarray, people: People, levels: Mapping[str, float]
) -> np.ndarray:
    """People from a score of their own for poses and for masks on."""
    height, width = image.shape[:2]
    scores = np.array([pose["score"] for pose, _ in people], np.float32)
    points = np.array([pose["keypoints"] for pose, _ in people], np.float32)
    points = points.reshape(len(people), NUM_KEYPOINTS, 3)
    with_pose, with_mask = (scores >= np.float32(levels[task]) for task in TASKS)
    masks = [
        to_mask(mask["segmentation"], height=height, width=width) for _, mask in people
    ]
    shown = np.array(masks, bool).reshape(len(people), height, width)
    return visualize.draw_joint(
        image,
        points[..., :2],
        points[..., 2] * with_pose[:, None],
        scores,
        shown & with_mask[:, None, None],
    )


def _captions(one: PictureScores) -> tuple[str, str]:
    precisions, counts = [], []
    for name, task in one.tasks.items():
        if task.average_precision is not None:
            precisions.append(f"{name} AP {100 * task.average_precision:.0f}")
        wrong = f", {task.wrong} wrong" if task.wrong else ""
        counts.append(f"{name} {task.found} of {task.to_find}{wrong}")
    truth = f"truth of {one.picture.image_id} ({', '.join(precisions)})"
    return truth, f"found: {'; '.join(counts)}"
