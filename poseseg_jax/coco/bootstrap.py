"""How sure a score is: the bootstrap over pictures.

A split is one draw of pictures out of many that could have been taken. Drawing as many
pictures from it again and again, with replacement, and scoring each draw shows how far
a score would have moved with other pictures (Efron, Bootstrap methods, 1979; percentile
intervals). That is all it shows: another training seed moves scores too. For several
runs, see groups.py.

Results and people are matched once (`scoring.match`), and a draw only says how often a
picture counts. A run is drawn from once (`drawn`), and compared with as many others as
there are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from poseseg_jax.coco.curves import Curve, curves_of, of_one, scores_of
from poseseg_jax.coco.scoring import Matches

# Results times draws that are scored at once: what stays in a processor's cache.
_AT_ONCE = 2**18


@dataclass(frozen=True)
class Interval:
    """A score, or a difference of scores, and where it lies.

    Attributes:
      value: with every picture once, and of several runs the mean over them.
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


@dataclass(frozen=True, eq=False)
class Drawn:
    """The scores of one run on draws of pictures: the same draws for the same seed.

    Attributes:
      resamples: r, number of draws.
      seed: of the draws.
      value: scores by the keys of metrics.json, with every picture once; None where
        nobody is to be found.
      scores: likewise on each draw; NaN where nobody in it is to be found, and where a
        score rests on a single picture.
      image_ids: of all n pictures of the split.
      to_find: people to be found in each picture, by the beginning of a key.
    """

    resamples: int
    seed: int
    value: Mapping[str, float | None]
    scores: Mapping[str, Float[np.ndarray, " r"]]
    image_ids: tuple[int, ...]
    to_find: Mapping[str, Int[np.ndarray, " n"]]


def draws(
    num_pictures: int, *, resamples: int, seed: int
) -> Iterator[Int[np.ndarray, " n"]]:
    """How often each picture was drawn, draw after draw; the same for the same seed."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = generator.integers(0, num_pictures, num_pictures)
        yield np.bincount(drawn, minlength=num_pictures)


def drawn(tasks: Sequence[Matches], *, resamples: int = 1000, seed: int = 0) -> Drawn:
    """Scores a run on draws of pictures, which is where the time goes.

    Args:
      tasks: matches of one task, or of both over the same pictures.
      resamples: number of draws; 1000 is plenty for an interval of 95 %.
      seed: of the draws; runs that are to be compared need the same.

    Raises:
      ValueError: for tasks over different pictures, or less than one draw.
    """
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; expected 1 or more")
    image_ids = _common_pictures(tasks)
    curves: dict[str, Curve] = {}
    for matches in tasks:
        curves |= curves_of(matches)
    count = len(image_ids)
    value = of_one(scores_of(curves, np.ones((1, count), np.int64)))
    scores = scores_on_draws(curves, count, resamples=resamples, seed=seed)
    to_find = {key: curve.to_find for key, curve in curves.items()}
    return Drawn(resamples, seed, value, scores, image_ids, to_find)


def scores_on_draws(
    curves: Mapping[str, Curve], num_pictures: int, *, resamples: int, seed: int
) -> dict[str, Float[np.ndarray, " r"]]:
    """What curves say on each of r draws.

    Args:
      curves: by the beginnings of keys, as of `scores_of`.
      num_pictures: of the split.
      resamples: r, one or more.
      seed: of the draws.

    Returns:
      Scores, 0 to 1; NaN where nobody is to be found, or in a single picture.
    """
    every = np.array(list(draws(num_pictures, resamples=resamples, seed=seed)))
    step = max(1, _AT_ONCE // max(1, *(len(c.picture) for c in curves.values())))
    parts = [
        scores_of(curves, every[at : at + step]) for at in range(0, len(every), step)
    ]
    scores = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    for key, of_key in scores.items():
        # AP50 and the like are read from the curve of all sizes.
        curve = curves.get(key) or curves[key.split("/")[0]]
        if curve.num_pictures < 2:
            of_key[:] = np.nan
    return scores


def intervals(
    tasks: Sequence[Matches],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Intervals:
    """Every score of a run with its interval.

    Draws in which a score does not exist, as nobody is to be found, do not count for
    it. It takes some ten pictures for an interval to be worth something.

    Args:
      tasks, resamples, seed: as in `drawn`.
      level: share of the draws whose score lies in the interval.

    Raises:
      ValueError: as in `drawn`, and for a level that makes no sense.
    """
    check_level(level)
    run = drawn(tasks, resamples=resamples, seed=seed)
    found = interval_of_each(run.value, run.scores, level)
    return Intervals(level, resamples, seed, found)


def interval_of_each(
    value: Mapping[str, float | None],
    scores: Mapping[str, Float[np.ndarray, " r"]],
    level: float,
) -> dict[str, Interval | None]:
    """The interval of each score.

    Args:
      value: with every picture once.
      scores: on each draw; NaN where there is none.
      level: share of the draws that lie in the interval.
    """
    return {key: _interval(value[key], scores[key], level) for key in value}


def check_level(level: float) -> None:
    """Refuses a share of draws that makes no sense; ValueError."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a share between 0 and 1")


def check_same_pictures(pictures: Sequence[tuple[int, ...]]) -> None:
    """Refuses ids of other pictures than the first ones; ValueError."""
    if any(ids != pictures[0] for ids in pictures):
        sizes = [len(ids) for ids in pictures]
        raise ValueError(
            f"Matches are of different pictures ({sizes} of them); expected the same"
        )


def _common_pictures(tasks: Sequence[Matches]) -> tuple[int, ...]:
    if not tasks:
        raise ValueError("There are no matches to draw from; expected one task or more")
    pictures = [tuple(map(int, one.evaluator.params.imgIds)) for one in tasks]
    check_same_pictures(pictures)
    return pictures[0]


def _interval(
    value: float | None, drawn: Float[np.ndarray, " r"], level: float
) -> Interval | None:
    drawn = drawn[~np.isnan(drawn)]
    if value is None or not len(drawn):
        return None
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
