"""How often an interval of 95 % holds the truth, where the truth is known.

    python -m benchmarks.coverage

Runs of two configs are pretended. A score is a mean over pictures of what the config
gains there, on every picture something else, and of what the seed does: to all pictures
alike, and to each by chance. What comes out stands at the top of
poseseg_jax/coco/groups.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import report
from poseseg_jax.coco import bootstrap
from poseseg_jax.coco.bootstrap import Drawn
from poseseg_jax.coco.groups import group_difference

_PICTURES, _GAIN = 100, 0.3
_LEVEL = 0.95
_AT_ONCE = 400  # trials, which are given the same draws


@dataclass(frozen=True)
class Case:
    """What is compared.

    Attributes:
      runs: of each config.
      seeds: how far seeds move the difference of two runs; 1 is as far as pictures do,
        and 100 as good as alone.
      chance: share of the pictures' variance that is of a picture and a run.
      paired: whether runs are compared in pairs, with a difference that varies as much.
    """

    runs: int
    seeds: float
    chance: float
    paired: bool


def held(case: Case, *, trials: int, resamples: int = 1000) -> float:
    """The share of trials whose interval holds the true difference.

    Standard error: 0.3 % of 4000 trials where 95 % hold it, 0.6 % where 80 % do.
    """
    number = 0
    for first in range(0, trials, _AT_ONCE):
        some = min(_AT_ONCE, trials - first)
        before, after = pretend(case, trials=some, resamples=resamples, seed=first)
        found = group_difference(before, after, paired=case.paired, level=_LEVEL)
        for interval in found.by_key.values():
            assert interval is not None
            number += interval.low <= _GAIN <= interval.high
    return number / trials


def pretend(
    case: Case, *, trials: int, resamples: int, seed: int
) -> tuple[list[Drawn], list[Drawn]]:
    """Runs of two configs; each trial is a score of its own, "0", "1", and so on."""
    generator = np.random.default_rng(seed)
    times = np.array(list(bootstrap.draws(_PICTURES, resamples=resamples, seed=seed)))
    shape = (trials, _PICTURES)
    hard = generator.normal(0, 3, shape)  # for both: it falls out of the difference
    groups = []
    for gain in (0.0, _GAIN):
        suits = generator.normal(gain, np.sqrt(1 - case.chance), shape)
        runs = []
        for _ in range(case.runs):
            # As far as a mean over pictures of variance 1.
            moved = generator.normal(0, case.seeds / np.sqrt(_PICTURES), (trials, 1))
            chance = generator.normal(0, np.sqrt(case.chance), shape)
            runs.append(_run(hard + suits + moved + chance, times, seed))
        groups.append(runs)
    return groups[0], groups[1]


def _run(scores: np.ndarray, times: np.ndarray, seed: int) -> Drawn:
    """Of [trials, pictures]: a run whose scores are means over pictures."""
    drawn = scores @ times.T / _PICTURES
    return Drawn(
        resamples=len(times),
        seed=seed,
        value={str(trial): float(row.mean()) for trial, row in enumerate(scores)},
        scores={str(trial): row for trial, row in enumerate(drawn)},
        image_ids=tuple(range(_PICTURES)),
        to_find={"pictures": np.ones(_PICTURES, np.int64)},
    )


def main(argv: Sequence[str] | None = None) -> list[report.Row]:
    """The command; its flags say what is pretended."""
    flags = report.parser("coverage", __doc__, repeats=False)
    flags.add_argument("--trials", type=int, default=4000, help="pretended pairs")
    flags.add_argument("--resamples", type=int, default=1000, help="draws of each")
    words = "how many of each config"
    flags.add_argument("--runs", type=int, nargs="+", default=[1, 3, 5, 10], help=words)
    words = "how far they move the difference of two runs; 1: as far as pictures do"
    flags.add_argument(
        "--seeds", type=float, nargs="+", default=[0, 1, 2, 5, 100], help=words
    )
    words = "share of the pictures' variance that is of a picture and a run"
    flags.add_argument("--chance", type=float, nargs="+", default=[0, 0.8], help=words)
    given = flags.parse_args(argv)
    if given.smallest:
        given.trials, given.resamples, given.runs = 10, 10, [3]
    rows = []
    for runs in given.runs:
        for paired in (False, True) if runs > 1 else (False,):
            for chance in given.chance:
                for seeds in given.seeds:
                    case = Case(runs, seeds, chance, paired)
                    share = held(case, trials=given.trials, resamples=given.resamples)
                    rows.append(report.Row(_name(case), 100 * share, "% held"))
    return rows


def _name(case: Case) -> str:
    who = f"{case.runs} pairs" if case.paired else f"{case.runs} and {case.runs} runs"
    return f"{who}, seeds move {case.seeds:g}, chance {case.chance:g}"


if __name__ == "__main__":
    report.run("coverage", main)
