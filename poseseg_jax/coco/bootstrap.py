"""How sure a score is: the bootstrap over pictures, and over runs.

A split is one draw of pictures out of many that could have been taken. Drawing as many
pictures from it again and again, with replacement, and scoring each draw shows how far
a score would have moved with other pictures (Efron, Bootstrap methods, 1979; percentile
intervals). That is all it shows: another training seed moves scores too.

Of several runs that differ in their seed alone, runs are drawn as well: as many as
there are, with replacement, beside the pictures. Pictures and runs are crossed, as
every run is scored on every picture, so that a draw takes the same pictures for all of
its runs (Owen, The pigeonhole bootstrap, 2007; on units to draw, Efron & Tibshirani, An
Introduction to the Bootstrap, 1993).

**Few runs are few.** The bootstrap takes the spread of n runs for that of all runs. It
is smaller by (n - 1) / n in variance, and itself uncertain: with 3 runs, an interval is
too narrow where seeds move scores more than pictures do. In a simulation in which they
moved a difference twice as far, intervals of 95 % held the truth in 61 % of cases with
1 run a side (the seed is not in them), in 92 % with 3 and in 96 % with 10; where seeds
moved little, in 94, 98 and 96 %.

Results and people are matched once (`scoring.match`), and a draw only says how often a
picture counts. A run is drawn from once (`drawn`), and compared with as many others as
there are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from poseseg_jax.coco.curves import Curve, DrawnScores, curves_of, of_one, scores_of
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
    every = np.array(list(draws(count, resamples=resamples, seed=seed)))
    step = max(1, _AT_ONCE // max(1, *(len(c.picture) for c in curves.values())))
    parts = [
        scores_of(curves, every[at : at + step]) for at in range(0, len(every), step)
    ]
    scores = {key: np.concatenate([part[key] for part in parts]) for key in value}
    for key, of_key in scores.items():
        # AP50 and the like are read from the curve of all sizes.
        curve = curves.get(key) or curves[key.split("/")[0]]
        if curve.num_pictures < 2:
            of_key[:] = np.nan
    to_find = {key: curve.to_find for key, curve in curves.items()}
    return Drawn(resamples, seed, value, scores, image_ids, to_find)


def intervals(
    tasks: Sequence[Matches],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Intervals:
    """Every score of a run with its interval; see `group_mean`.

    Args:
      tasks, resamples, seed: as in `drawn`.
      level: share of the draws whose score lies in the interval.

    Raises:
      ValueError: as in `drawn`, and for a level that makes no sense.
    """
    _check_level(level)
    return group_mean([drawn(tasks, resamples=resamples, seed=seed)], level=level)


def difference(
    before: Sequence[Matches],
    after: Sequence[Matches],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Intervals:
    """By how much a run scores better than another; see `group_difference`.

    Args:
      before, after: matches of the same tasks and pictures; see `drawn`.
      resamples, seed, level: as in `intervals`.

    Raises:
      ValueError: for other tasks, pictures or people in one than in the other.
    """
    _check_level(level)
    one, other = (
        [drawn(tasks, resamples=resamples, seed=seed)] for tasks in (before, after)
    )
    return group_difference(one, other, level=level)


def group_mean(runs: Sequence[Drawn], *, level: float = 0.95) -> Intervals:
    """The mean score of runs that differ in their seed alone, with an interval.

    Draws in which a score does not exist, as nobody is to be found, do not count for
    it. It takes some ten pictures for an interval to be worth something, and more runs
    than most people have; see the top of this file.

    Args:
      runs: one or more; of one, the interval is over pictures alone.
      level: share of the draws whose mean lies in the interval.

    Raises:
      ValueError: for runs over other draws, pictures, people or tasks.
    """
    _check_comparable(runs)
    _check_level(level)
    value, means = _means(runs, _run_draws(runs, stream=1))
    found = {key: _interval(value[key], means[key], level) for key in value}
    return Intervals(level, runs[0].resamples, runs[0].seed, found)


def group_difference(
    before: Sequence[Drawn],
    after: Sequence[Drawn],
    *,
    paired: bool = False,
    level: float = 0.95,
) -> Intervals:
    """By how much runs score better than others in the mean, with an interval.

    All are scored on the same draws of pictures: what is hard in a picture is hard for
    both, and falls out of the difference, so that the interval is narrower than the two
    alone suggest. One that does not contain 0 says that these pictures, and these runs,
    tell the two apart.

    Runs of the two groups are drawn independently, also if their seeds have the same
    numbers. That a seed does well with one config says little of the next. If it says
    nothing, pairs gain nothing, and 3 pairs tell less of the spread than 3 and 3 runs.
    If it says something, independent draws give an interval that is too wide, which is
    the safer mistake. Pairs are right where runs share more than a number.

    Args:
      before, after: one run or more each, of the same draws.
      paired: whether the i-th runs of the two belong together: the same trained network
        read by another decoder, or two that go on from the same ancestor.
      level: share of the draws whose difference lies in the interval.

    Raises:
      ValueError: for runs over other draws, pictures, people or tasks; for pairs that
        do not come out even.
    """
    _check_comparable([*before, *after], groups=(before, after))
    _check_level(level)
    if paired and len(before) != len(after):
        raise ValueError(
            f"{len(before)} and {len(after)} runs are no pairs; expected as many"
        )
    old, old_means = _means(before, _run_draws(before, stream=1))
    new, new_means = _means(after, _run_draws(after, stream=1 if paired else 2))
    found: dict[str, Interval | None] = {}
    for key, a in old.items():
        b = new[key]
        value = None if a is None or b is None else b - a
        found[key] = _interval(value, new_means[key] - old_means[key], level)
    return Intervals(level, before[0].resamples, before[0].seed, found)


def _run_draws(runs: Sequence[Drawn], *, stream: int) -> Int[np.ndarray, "k r"]:
    """Which runs are in each draw; of another stream than the pictures'."""
    generator = np.random.default_rng([runs[0].seed, stream])
    return generator.integers(0, len(runs), (len(runs), runs[0].resamples))


def _means(
    runs: Sequence[Drawn], chosen: Int[np.ndarray, "k r"]
) -> tuple[dict[str, float | None], DrawnScores]:
    """The mean over all runs, and over those of each draw."""
    value: dict[str, float | None] = {}
    means: DrawnScores = {}
    for key in runs[0].value:
        every = [run.value[key] for run in runs]
        known = [one for one in every if one is not None]
        value[key] = sum(known) / len(known) if len(known) == len(every) else None
        scores = np.stack([run.scores[key] for run in runs])
        means[key] = np.take_along_axis(scores, chosen, axis=0).mean(axis=0)
    return value, means


def _common_pictures(tasks: Sequence[Matches]) -> tuple[int, ...]:
    if not tasks:
        raise ValueError("There are no matches to draw from; expected one task or more")
    pictures = [tuple(map(int, one.evaluator.params.imgIds)) for one in tasks]
    _check_same_pictures(pictures)
    return pictures[0]


def _check_same_pictures(pictures: Sequence[tuple[int, ...]]) -> None:
    if any(ids != pictures[0] for ids in pictures):
        sizes = [len(ids) for ids in pictures]
        raise ValueError(
            f"Matches are of different pictures ({sizes} of them); expected the same"
        )


def _check_comparable(
    runs: Sequence[Drawn], groups: Sequence[Sequence[Drawn]] = ()
) -> None:
    if not runs or not all(groups):
        raise ValueError("There are no runs to compare; expected one or more")
    first = runs[0]
    _check_same_pictures([run.image_ids for run in runs])
    for run in runs:
        if run.value.keys() != first.value.keys():
            tasks = [
                sorted({k for k in one.to_find if "/" not in k}) for one in (first, run)
            ]
            raise ValueError(
                f"Scores of {tasks[0]} and of {tasks[1]} cannot be compared; expected "
                "the same tasks"
            )
        for key, to_find in first.to_find.items():
            if not np.array_equal(to_find, run.to_find[key]):
                raise ValueError(
                    f"{key}: the two were scored against different people; expected "
                    "the same annotation file"
                )
        if (run.resamples, run.seed) != (first.resamples, first.seed):
            raise ValueError(
                f"{run.resamples} draws of seed {run.seed} cannot be compared with "
                f"{first.resamples} of seed {first.seed}; expected the same"
            )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a share between 0 and 1")


def _interval(
    value: float | None, drawn: Float[np.ndarray, " r"], level: float
) -> Interval | None:
    drawn = drawn[~np.isnan(drawn)]
    if value is None or not len(drawn):
        return None
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
