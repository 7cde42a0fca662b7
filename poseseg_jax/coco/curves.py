"""Precision over recall, prepared: the scores of many draws of pictures at once.

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
# Of r draws; NaN where nobody is to be found.
DrawnScores = dict[str, Float[np.ndarray, " r"]]


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision over recall of some pictures, before it is known how often each counts.

    Results that count at some level are numbered from the best score down. T levels of
    IoU or OKS.

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

    def scores(self, times: Int[np.ndarray, "r n"]) -> DrawnScores:
        """AP, AP50, AP75 and AR of r draws, NaN where nobody is to be found.

        Memory: some ten arrays of r x d.

        Args:
          times: how often each picture of the split counts, in each draw.
        """
        num_people = times @ self.to_find
        precision = np.zeros((len(times), len(self.levels), len(self.recalls)))
        recall = np.zeros((len(times), len(self.levels)))
        reached = self._recalls_reached(num_people)
        rows = reached.shape[1] * np.arange(len(times))[:, None]
        # Half as much memory to go through, which is where the time goes.
        drawn = np.take(times.astype(np.int32), self.picture, axis=1)
        every = np.cumsum(drawn, axis=1, dtype=np.int32)
        for level, right in enumerate(self.right):
            if not len(right):
                continue
            num_right = np.take(drawn, right, axis=1)
            np.cumsum(num_right, axis=1, out=num_right)
            counted = np.take(every, right, axis=1)
            if len(self.ignored[level]):
                counted -= self._ignored_before(drawn, level)
            # The best at this recall or a higher one; only right results raise it.
            best = np.zeros((len(times), len(right) + 1))
            best[:, :-1] = num_right / (counted + np.spacing(1))
            backwards = best[:, ::-1]
            np.maximum.accumulate(backwards, axis=1, out=backwards)
            # A result's precision is read at the recalls that are reached with it.
            upto = np.full(best.shape, len(self.recalls))
            np.take(reached, num_right + rows, out=upto[:, :-1])
            upto[:, 1:] -= upto[:, :-1].copy()
            each = np.repeat(best.reshape(-1), upto.reshape(-1))
            precision[:, level] = each.reshape(len(times), -1)
            recall[:, level] = num_right[:, -1] / np.maximum(num_people, 1)
        return {
            name: np.where(num_people > 0, score, np.nan)
            for name, score in self._means(precision, recall).items()
        }

    def score(self, times: Int[np.ndarray, " n"]) -> Scores:
        """As `scores`, of a single draw; None where nobody is to be found."""
        return of_one(self.scores(times[None]))

    def _recalls_reached(self, num_people: Int[np.ndarray, " r"]):
        """For each draw, how many recalls are reached with 0, 1, 2 ... found."""
        found = np.arange(num_people.max(initial=0) + 1)
        share = found / np.maximum(num_people, 1)[:, None]
        return np.searchsorted(self.recalls, share, side="right")

    def _ignored_before(self, drawn: Int[np.ndarray, "r d"], level: int):
        """For each draw and right result, the ignored ones before it."""
        ignored = self.ignored[level]
        count = np.zeros((len(drawn), len(ignored) + 1), drawn.dtype)
        np.cumsum(np.take(drawn, ignored, axis=1), axis=1, out=count[:, 1:])
        return np.take(count, self.ignored_before[level], axis=1)

    def _means(self, precision, recall) -> dict[str, Float[np.ndarray, " r"]]:
        at = {f"AP{percent}": np.isclose(self.levels, percent / 100)
              for percent in (50, 75)}  # fmt: skip
        return {
            "AP": precision.reshape(len(precision), -1).mean(axis=1),
            **{
                name: precision[:, rows].reshape(len(precision), -1).mean(axis=1)
                for name, rows in at.items()
            },
            "AR": recall.mean(axis=1),
        }


def of_one(scores: DrawnScores) -> Scores:
    """The scores of the first draw; None where there is none."""
    first = {key: float(values[0]) for key, values in scores.items()}
    return {key: None if np.isnan(s) else s for key, s in first.items()}


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
    # Of people of one size, most results count at no level.
    counts = ~ignored.all(axis=0)
    picture, matched, ignored = (
        rows[..., counts] for rows in (picture[order], matched, ignored)
    )
    right = [np.flatnonzero(row) for row in matched & ~ignored]
    without = [np.flatnonzero(row) for row in ignored]
    before = [np.searchsorted(i, r) for i, r in zip(without, right, strict=True)]
    return Curve(
        picture=picture,
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


def scores_of(
    curves: Mapping[str, Curve], times: Int[np.ndarray, "r n"]
) -> DrawnScores:
    """Every score of r draws, by its key in metrics.json.

    Args:
      curves: of `curves_of`, also of several tasks together.
      times: how often each picture of the split was drawn, in each draw.
    """
    scores: DrawnScores = {}
    for key, curve in curves.items():
        found = curve.scores(times)
        if "/" in key:
            scores[key] = found["AP"]
        else:
            scores |= {f"{key}/{name}": value for name, value in found.items()}
    return scores
