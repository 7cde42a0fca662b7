"""Precision over recall, prepared: the scores of any draw of pictures in milliseconds.

pycocotools has matched results and people picture by picture. What is left is to sort,
to count and to average. `Curve` holds what does not depend on how often a picture
counts; with every picture once it gives pycocotools' scores to the last digit. With a
picture twice it gives those of a list of pictures that holds it twice, unless two of
its own results have the same score: which comes first is then anybody's choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from poseseg_jax.coco import crowding
from poseseg_jax.coco.scoring import AREA_KEYS, Matches

Scores = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision over recall of some pictures, before it is known how often each counts.

    Results are numbered from the best score down. T levels of IoU or OKS.

    Attributes:
      picture: of each result, as an index into all n pictures of the split.
      to_find: people to be found in each picture; 0 in those that are not of the set.
      num_pictures: of the set that hold people or results.
      right: for each level, the results that are right.
      ignored: for each level, the results that do not count.
      ignored_before: for each level and right result, the ignored ones before it.
      levels: of IoU or OKS.
      recalls: at which precision is read.
    """

    picture: Int[np.ndarray, " d"]
    to_find: Int[np.ndarray, " n"]
    num_pictures: int
    right: tuple[Int[np.ndarray, "_"], ...]
    ignored: tuple[Int[np.ndarray, "_"], ...]
    ignored_before: tuple[Int[np.ndarray, "_"], ...]
    levels: Float[np.ndarray, " T"]
    recalls: Float[np.ndarray, " R"]

    def score(self, times: Int[np.ndarray, " n"]) -> Scores:
        """AP, AP50, AP75 and AR, None where nobody is to be found.

        Args:
          times: how often each picture of the split counts.
        """
        num_people = int(times @ self.to_find)
        if not num_people:
            return dict.fromkeys(("AP", "AP50", "AP75", "AR"))
        precision = np.zeros((len(self.levels), len(self.recalls)))
        recall = np.zeros(len(self.levels))
        drawn = times[self.picture]
        every = np.cumsum(drawn)
        for level, right in enumerate(self.right):
            if not len(right):
                continue
            num_right = np.cumsum(drawn[right])
            num_ignored = np.zeros(len(self.ignored[level]) + 1, every.dtype)
            np.cumsum(drawn[self.ignored[level]], out=num_ignored[1:])
            counted = every[right] - num_ignored[self.ignored_before[level]]
            # The best at this recall or a higher one; only right results raise it.
            best = num_right / (counted + np.spacing(1))
            best = np.append(np.maximum.accumulate(best[::-1])[::-1], 0.0)
            reached = num_right / num_people
            precision[level] = best[np.searchsorted(reached, self.recalls)]
            recall[level] = reached[-1]
        at = {f"AP{percent}": np.isclose(self.levels, percent / 100)
              for percent in (50, 75)}  # fmt: skip
        return {
            "AP": float(precision.reshape(-1).mean()),
            **{name: float(precision[rows].mean()) for name, rows in at.items()},
            "AR": float(recall.mean()),
        }


def make_curve(
    matches: Matches, *, area: str = "all", pictures: Sequence[int] | None = None
) -> Curve:
    """The curve of a set of pictures.

    Args:
      matches: of a split.
      area: "all", or the size of people that count: "small", "medium" or "large".
      pictures: indices into the split's pictures, in rising order; None: all.
    """
    params = matches.evaluator.params
    first = params.areaRngLbl.index(area) * len(params.imgIds)
    entries = matches.evaluator.evalImgs
    chosen = [
        (index, entries[first + index])
        for index in (range(len(params.imgIds)) if pictures is None else pictures)
        if entries[first + index]  # none for a picture without people and results
    ]
    to_find = np.zeros(len(params.imgIds), np.int64)
    for index, entry in chosen:
        to_find[index] = np.count_nonzero(entry["gtIgnore"] == 0)
    scores = np.concatenate([np.zeros(0), *(e["dtScores"] for _, e in chosen)])
    # Stable, as in pycocotools: of equal scores, the first picture's comes first.
    order = np.argsort(-scores, kind="stable")
    picture = np.repeat(
        np.array([index for index, _ in chosen], np.int64),
        [len(entry["dtScores"]) for _, entry in chosen],
    )
    none = np.zeros((len(params.iouThrs), 0))
    matched, ignored = (
        np.concatenate([none, *(e[key] for _, e in chosen)], axis=1)[:, order] > 0
        for key in ("dtMatches", "dtIgnore")
    )
    right = [np.flatnonzero(row) for row in matched & ~ignored]
    without = [np.flatnonzero(row) for row in ignored]
    before = [np.searchsorted(i, r) for i, r in zip(without, right, strict=True)]
    return Curve(
        picture=picture[order],
        to_find=to_find,
        num_pictures=len(chosen),
        right=tuple(right),
        ignored=tuple(without),
        ignored_before=tuple(before),
        levels=np.array(params.iouThrs),
        recalls=np.array(params.recThrs),
    )


def curves_of(matches: Matches) -> dict[str, Curve]:
    """A curve for everything that is reported of a task, by its key's beginning."""
    task = matches.task
    curves = {task: make_curve(matches)}
    for key, area in AREA_KEYS[task].items():
        curves[f"{task}/{key}"] = make_curve(matches, area=area)
    index = {picture.image_id: i for i, picture in enumerate(matches.pictures)}
    for bucket, image_ids in crowding.buckets(matches.pictures).items():
        curve = make_curve(matches, pictures=[index[i] for i in image_ids])
        curves[f"crowd/{bucket}/{task}/AP"] = curve
    return curves


def scores_of(curves: Mapping[str, Curve], times: Int[np.ndarray, " n"]) -> Scores:
    """Every score of a draw, by its key in metrics.json.

    Args:
      curves: of `curves_of`, also of several tasks together.
      times: how often each picture of the split was drawn.
    """
    scores: Scores = {}
    for key, curve in curves.items():
        found = curve.score(times)
        if "/" in key:
            scores[key] = found["AP"]
        else:
            scores |= {f"{key}/{name}": value for name, value in found.items()}
    return scores
