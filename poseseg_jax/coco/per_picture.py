"""How good the results of each picture are, to find those worth looking at.

A network gives many people with low scores, which cost little in AP and would be
shown as mistakes. So people are counted as somebody who uses the network would show
them: from the score on at which, over the whole split, F1 at IoU or OKS 0.5 is best.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseseg_jax.coco.crowding import largest_overlap
from poseseg_jax.coco.curves import make_curve
from poseseg_jax.coco.picture import PERSON_CATEGORY, Picture
from poseseg_jax.coco.scoring import Matches

_QUALITY = {"keypoints": "OKS", "segm": "IoU"}


@dataclass(frozen=True)
class TaskScores:
    """A picture's results in one task; counts are of people above the split's score.

    Attributes:
      average_precision: COCO's AP as if the split were this picture alone, over all
        its results; None if nobody is to be found.
      to_find: people who count in this task.
      found: how many of them a result meets by IoU or OKS 0.5.
      wrong: results that meet nobody, nor a region that is to be ignored.
      quality: mean IoU or OKS of those that were found; None if there are none.
    """

    average_precision: float | None
    to_find: int
    found: int
    wrong: int
    quality: float | None

    @property
    def missed(self) -> int:
        """People who count and were not found."""
        return self.to_find - self.found


@dataclass(frozen=True, eq=False)
class PictureScores:
    """A picture of the split with its results in each task.

    Attributes:
      index: in the split's order.
      picture: with its people.
      tasks: its scores in each task.
    """

    index: int
    picture: Picture
    tasks: Mapping[str, TaskScores]

    @property
    def average_precision(self) -> float | None:
        """The mean over the tasks in which there is somebody to be found."""
        known = [
            task.average_precision
            for task in self.tasks.values()
            if task.average_precision is not None
        ]
        return sum(known) / len(known) if known else None

    @property
    def mistakes(self) -> int:
        """People missed, and results that are wrong, over all tasks."""
        return sum(task.missed + task.wrong for task in self.tasks.values())


def score_pictures(
    tasks: Sequence[Matches], levels: Mapping[str, float]
) -> list[PictureScores]:
    """The scores of every picture, in the split's order.

    Args:
      tasks: matches over the same pictures.
      levels: for each task, the score from which a result is shown; see `best_score`.
    """
    by_task = {
        matches.task: [
            _of_picture(matches, index, levels[matches.task])
            for index in range(len(matches.pictures))
        ]
        for matches in tasks
    }
    return [
        PictureScores(i, picture, {task: rows[i] for task, rows in by_task.items()})
        for i, picture in enumerate(tasks[0].pictures)
    ]


def best_score(matches: Matches) -> float:
    """The score from which on showing results gives the best F1 at IoU or OKS 0.5.

    0 where no result is right: then all are as good.
    """
    entries = [e for e in _entries(matches) if e]
    scores = np.concatenate([np.zeros(0), *(e["dtScores"] for e in entries)])
    none = np.zeros(0)
    counts = np.concatenate([none, *(~e["dtIgnore"][0] for e in entries)]) > 0
    is_right = np.concatenate([none, *(e["dtMatches"][0] for e in entries)]) > 0
    to_find = sum(np.count_nonzero(e["gtIgnore"] == 0) for e in entries)
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum((is_right & counts)[order])
    if not len(right) or not right[-1]:
        return 0.0
    f1 = 2 * right / (np.cumsum(counts[order]) + to_find)
    # Of equal scores, all are shown or none.
    scores = scores[order]
    is_last = np.append(scores[1:] < scores[:-1], True)
    return float(scores[np.argmax(np.where(is_last, f1, 0))])


def worst_first(pictures: Sequence[PictureScores]) -> list[PictureScores]:
    """From the lowest AP to the highest; of equal ones, the most mistakes first.

    Pictures in which nobody is to be found have no AP, and are left out.
    """
    scored = [
        (one.average_precision, -one.mistakes, one.picture.image_id, one)
        for one in pictures
        if one.average_precision is not None
    ]
    return [one for *_, one in sorted(scored, key=lambda entry: entry[:3])]


def write_csv(path: Path, pictures: Sequence[PictureScores]) -> None:
    """A line per picture; a field without a value is empty."""
    rows = [_row(one) for one in pictures]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _row(one: PictureScores) -> dict[str, Any]:
    overlap = largest_overlap(one.picture)
    row = {
        "image_id": one.picture.image_id,
        "file_name": one.picture.file_name,
        "people": one.picture.head_count,
        "overlap": None if overlap is None else round(overlap, 4),
    }
    for name, task in one.tasks.items():
        row |= {
            f"{name}/AP": _rounded(task.average_precision),
            f"{name}/to_find": task.to_find,
            f"{name}/found": task.found,
            f"{name}/missed": task.missed,
            f"{name}/wrong": task.wrong,
            f"{name}/{_QUALITY[name]}": _rounded(task.quality),
        }
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _entries(matches: Matches) -> list[dict[str, Any] | None]:
    """pycocotools' matches of every picture, over people of all sizes."""
    return matches.evaluator.evalImgs[: len(matches.evaluator.params.imgIds)]


def _of_picture(matches: Matches, index: int, level: float) -> TaskScores:
    entry = _entries(matches)[index]
    if entry is None:
        return TaskScores(None, 0, 0, 0, None)
    curve = make_curve(matches, pictures=[index])
    once = np.zeros(len(curve.to_find), np.int64)
    once[index] = 1
    is_shown = np.array(entry["dtScores"]) >= level
    matched, counts = entry["dtMatches"][0], ~entry["dtIgnore"][0]
    right = np.flatnonzero((matched > 0) & counts & is_shown)
    quality = _quality(matches, entry, right)
    return TaskScores(
        average_precision=curve.score(once)["AP"],
        to_find=int(np.count_nonzero(entry["gtIgnore"] == 0)),
        found=len(right),
        wrong=int(np.count_nonzero((matched == 0) & counts & is_shown)),
        quality=float(np.mean(quality)) if quality else None,
    )


def _quality(matches: Matches, entry: dict[str, Any], results: np.ndarray) -> list:
    """IoU or OKS of each of the results with the person that it met."""
    place = (entry["image_id"], PERSON_CATEGORY)
    people = [person["id"] for person in matches.evaluator._gts[place]]
    overlaps = matches.evaluator.ious[place]
    return [
        overlaps[result][people.index(entry["dtMatches"][0][result])]
        for result in results
    ]
