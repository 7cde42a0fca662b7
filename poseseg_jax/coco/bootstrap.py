"""How sure a score is: the bootstrap over pictures.

A split is one draw of pictures out of many that could have been taken. Drawing as many
pictures from it again and again, with replacement, and scoring each draw shows how far
a score would have moved with other pictures (Efron, Bootstrap methods, 1979; percentile
intervals). That is all it shows: another training seed moves scores too.

Results and people are matched once (`scoring.match`), and a draw only says how often a
picture counts, so that a thousand draws take one to two minutes for 5,000 pictures.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from poseseg_jax.coco.curves import Curve, curves_of, scores_of
from poseseg_jax.coco.scoring import Matches


@dataclass(frozen=True)
class Interval:
    """A score, or a difference of scores, and where it lies.

    Attributes:
      value: with every picture once.
      low, high: ends of the interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """Intervals by the keys of metrics.json, and where they come from.

    Attributes:
      level: share of the draws that lie in an interval.
      resamples: number of draws.
      seed: of the draws.
      by_key: None where there is no score, and where it rests on a single picture, of
        which every draw is the same.
    """

    level: float
    resamples: int
    seed: int
    by_key: Mapping[str, Interval | None]


def draws(
    num_pictures: int, *, resamples: int, seed: int
) -> Iterator[Int[np.ndarray, " n"]]:
    """How often each picture was drawn, draw after draw; the same for the same seed."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = generator.integers(0, num_pictures, num_pictures)
        yield np.bincount(drawn, minlength=num_pictures)


def intervals(
    tasks: Sequence[Matches],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Intervals:
    """Every score with its interval.

    Draws in which a score does not exist, as nobody is to be found, do not count for
    it. It takes some ten pictures for an interval to be worth something.

    Args:
      tasks: matches of one task, or of both over the same pictures.
      resamples: number of draws; 1000 is plenty for an interval of 95 %.
      seed: of the draws.
      level: share of the draws whose score lies in the interval.

    Raises:
      ValueError: for tasks over different pictures, or numbers that make no sense.
    """
    curves, count = _curves_of_all(tasks)
    _check(resamples, level)
    value = scores_of(curves, np.ones(count, np.int64))
    drawn = _draw_all([curves], count, resamples, seed)[0]
    found = {
        key: _interval(curves, key, value[key], drawn[key], level) for key in value
    }
    return Intervals(level, resamples, seed, found)


def difference(
    before: Sequence[Matches],
    after: Sequence[Matches],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Intervals:
    """By how much `after` scores better than `before`, with an interval.

    Both are scored on the same draws: what is hard in a picture is hard for both, and
    falls out of the difference, so that the interval is narrower than the two alone
    suggest. One that does not contain 0 says that these pictures tell the two apart.

    Args:
      before, after: matches of the same tasks and pictures; see `intervals`.
      resamples, seed, level: as in `intervals`.

    Raises:
      ValueError: for other tasks, pictures or people in one than in the other.
    """
    _check(resamples, level)
    (old, count), (new, _) = _curves_of_all(before), _curves_of_all(after)
    if old.keys() != new.keys():
        raise ValueError(
            f"Scores of {[m.task for m in before]} and of {[m.task for m in after]} "
            "cannot be compared; expected the same tasks"
        )
    _check_same_pictures([*before, *after])
    for key in old:
        if not np.array_equal(old[key].to_find, new[key].to_find):
            raise ValueError(
                f"{key}: the two were scored against different people; expected the "
                "same annotation file"
            )
    once = np.ones(count, np.int64)
    first, second = scores_of(old, once), scores_of(new, once)
    drawn = _draw_all([old, new], count, resamples, seed)
    found: dict[str, Interval | None] = {}
    for key in first:
        a, b = first[key], second[key]
        value = None if a is None or b is None else b - a
        found[key] = _interval(old, key, value, drawn[1][key] - drawn[0][key], level)
    return Intervals(level, resamples, seed, found)


def _curves_of_all(tasks: Sequence[Matches]) -> tuple[dict[str, Curve], int]:
    _check_same_pictures(tasks)
    curves: dict[str, Curve] = {}
    for matches in tasks:
        curves |= curves_of(matches)
    return curves, len(tasks[0].evaluator.params.imgIds)


def _check_same_pictures(tasks: Sequence[Matches]) -> None:
    if not tasks:
        raise ValueError("There are no matches to draw from; expected one task or more")
    pictures = [list(matches.evaluator.params.imgIds) for matches in tasks]
    if any(ids != pictures[0] for ids in pictures):
        sizes = [len(ids) for ids in pictures]
        raise ValueError(
            f"Matches are of different pictures ({sizes} of them); expected the same"
        )


def _check(resamples: int, level: float) -> None:
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; expected 1 or more")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a share between 0 and 1")


def _draw_all(
    runs: Sequence[Mapping[str, Curve]], count: int, resamples: int, seed: int
) -> list[dict[str, np.ndarray]]:
    """The scores of every run on every draw; NaN where one does not exist."""
    drawn = [
        [scores_of(curves, times) for curves in runs]
        for times in draws(count, resamples=resamples, seed=seed)
    ]
    return [
        {
            key: np.array([draw[run][key] for draw in drawn], float)
            for key in drawn[0][0]
        }
        for run in range(len(runs))
    ]


def _interval(
    curves: Mapping[str, Curve],
    key: str,
    value: float | None,
    drawn: Float[np.ndarray, " r"],
    level: float,
) -> Interval | None:
    # AP50 and the like are read from the curve of all sizes.
    curve = curves.get(key) or curves[key.split("/")[0]]
    drawn = drawn[~np.isnan(drawn)]
    if value is None or not len(drawn) or curve.num_pictures < 2:
        return None
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
