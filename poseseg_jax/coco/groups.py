"""How sure a comparison of runs is: the bootstrap over pictures and runs.

All runs are scored on the same draws of pictures (bootstrap.py). Of several that differ
in their seed alone, runs are drawn as well: as many as there are, with replacement.
Pictures and runs are crossed, as every run is scored on every picture, so that a draw
takes the same pictures for all of its runs (Owen, The pigeonhole bootstrap, 2007; on
units to draw, Efron & Tibshirani, An Introduction to the Bootstrap, 1993).

**Few runs are few.** The bootstrap takes the spread of n runs for that of all runs. It
is smaller by (n - 1) / n in variance, and itself uncertain, so that intervals are too
narrow where seeds move scores more than pictures do. How many of 100 intervals of 95 %
hold the truth (`python -m benchmarks.coverage`), where seeds move the difference of two
runs so many times as far as pictures do:

                  0    1    2    5    seeds alone
    1 and 1 run   94   83   61   29    1           the seed is not in them
    2 and 2 runs  94   92   86   76   67
    2 pairs       94   92   84   69   51
    3 and 3 runs  94   93   90   84   80
    3 pairs       94   93   89   80   75
    5 and 5 runs  94   94   93   91   88
    5 pairs       94   94   92   88   84
    10 and 10     94   94   94   93   91
    10 pairs      94   94   94   92   90

So with three seeds the 5 % outside can become one in five, and with three pairs one in
four. The other way, what a seed does to single pictures is counted twice, with pictures
and with runs: where it is most of what pictures do, 3 and 3 runs hold 99 and 97 in the
first two columns; in the others it does not help.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from poseseg_jax.coco.bootstrap import (
    Drawn,
    Intervals,
    check_level,
    check_same_pictures,
    drawn,
    interval_of_each,
)
from poseseg_jax.coco.curves import DrawnScores
from poseseg_jax.coco.scoring import Matches


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
    check_level(level)
    one, other = (
        [drawn(tasks, resamples=resamples, seed=seed)] for tasks in (before, after)
    )
    return group_difference(one, other, level=level)


def group_mean(runs: Sequence[Drawn], *, level: float = 0.95) -> Intervals:
    """The mean score of runs that differ in their seed alone, with an interval.

    It takes more runs than most people have; see the top of this file.

    Args:
      runs: one or more; of one, the interval is over pictures alone.
      level: share of the draws whose mean lies in the interval.

    Raises:
      ValueError: for runs over other draws, pictures, people or tasks.
    """
    _check_comparable(runs)
    check_level(level)
    value, means = _means(runs, _run_draws(runs, stream=1))
    found = interval_of_each(value, means, level)
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
    if paired and len(before) != len(after):
        raise ValueError(
            f"{len(before)} and {len(after)} runs are no pairs; expected as many"
        )
    streams = (1, 1) if paired else (1, 2)
    return _contrast((before, after), (-1, 1), streams, level)


def group_contrast(
    groups: Sequence[Sequence[Drawn]], weights: Sequence[float], *, level: float = 0.95
) -> Intervals:
    """A weighted sum of the mean scores of several groups, with an interval.

    Of two groups with the weights -1 and 1 it is `group_difference`; of more, with
    `slope_weights`, how scores move along what the groups differ in.

    Args:
      groups: one run or more each, of the same draws; runs are drawn independently.
      weights: of each group.
      level: share of the draws whose sum lies in the interval.

    Raises:
      ValueError: as `group_difference`, and for another number of weights.
    """
    if len(groups) != len(weights):
        raise ValueError(f"{len(weights)} weights for {len(groups)} groups of runs")
    return _contrast(groups, weights, range(1, len(groups) + 1), level)


def slope_weights(at: Sequence[float]) -> list[float]:
    """Weights of values at so many places that give their least-squares slope.

    Raises:
      ValueError: for less than two places.
    """
    from_middle = np.asarray(at, np.float64) - np.mean(at)
    spread = float(np.sum(from_middle**2))
    if not spread:
        raise ValueError(f"There is no slope over {list(at)}; expected other places")
    return [float(weight) for weight in from_middle / spread]


def _contrast(
    groups: Sequence[Sequence[Drawn]],
    weights: Sequence[float],
    streams: Sequence[int],
    level: float,
) -> Intervals:
    _check_comparable([run for runs in groups for run in runs], groups)
    check_level(level)
    means = [
        _means(runs, _run_draws(runs, stream=stream))
        for runs, stream in zip(groups, streams, strict=True)
    ]
    value: dict[str, float | None] = {}
    moved: DrawnScores = {}
    for key in means[0][0]:
        known = [one for values, _ in means if (one := values[key]) is not None]
        is_known = len(known) == len(groups)
        value[key] = float(np.dot(weights, known)) if is_known else None
        of_key = [of_draws[key] for _, of_draws in means]
        moved[key] = np.tensordot(np.asarray(weights), np.stack(of_key), axes=1)
    found = interval_of_each(value, moved, level)
    first = groups[0][0]
    return Intervals(level, first.resamples, first.seed, found)


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


def _check_comparable(
    runs: Sequence[Drawn], groups: Sequence[Sequence[Drawn]] = ()
) -> None:
    if not runs or not all(groups):
        raise ValueError("There are no runs to compare; expected one or more")
    first = runs[0]
    check_same_pictures([run.image_ids for run in runs])
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
