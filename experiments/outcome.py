"""What an experiment has shown, in words: nothing that its intervals do not say."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from experiments.grid import Experiment
from experiments.scores import Differences, Row
from experiments.trends import Trends
from poseseg_jax.coco.bootstrap import Interval
from poseseg_jax.coco.scoring import TASKS

_NAMED = 4  # variants at most, on each side


def sentences(experiment: Experiment, rows: Sequence[Row], trends: Trends) -> list[str]:
    """A sentence for some of the pictures, a task, and what is compared.

    What the experiment is about comes first, and of that the controls, if it has some:
    an effect beside the baseline alone may have other reasons. A trend comes before
    all that, as it rests on the most runs.
    """
    about = experiment.about.items()
    return [
        f"{task.capitalize()} AP, {pictures}, {others}: {_sentence(intervals)}"
        for comparisons in (
            [(experiment.trend, _quoted(trends))],
            _comparisons(experiment, rows),
        )
        for pictures, key in about
        for others, compared in comparisons
        for task in TASKS
        if (intervals := _of_key(compared, key.format(task)))
    ]


def line(experiment: Experiment, rows: Sequence[Row], trends: Trends) -> str:
    """Its trend, or what came out of what the experiment is about first."""
    said = sentences(experiment, rows, trends)
    if trends:
        return " ".join(s for s in said if f", {experiment.trend}: " in s)
    about = [s.split(", ")[1] for s in said]
    first = next((list(group) for _, group in groupby(about)), [])
    return " ".join(said[: len(first)]) or "No run is finished that could be compared."


def chance(
    experiment: Experiment, rows: Sequence[Row], trends: Trends
) -> tuple[int, int]:
    """How many intervals `sentences` speak of, and how many of them leave out 0."""
    intervals = [
        interval
        for key in experiment.about.values()
        for compared in (
            trends,
            *(compared for _, compared in _comparisons(experiment, rows)),
        )
        for task in TASKS
        for interval in _of_key(compared, key.format(task)).values()
    ]
    return len(intervals), sum(side(interval) != 0 for interval in intervals)


def side(interval: Interval) -> int:
    """1 where an interval says better, -1 where it says worse, 0 where it does not."""
    return (interval.low > 0) - (interval.high < 0)


def difference(interval: Interval | None) -> str:
    """In AP points, with its interval."""
    if interval is None:
        return "-"
    value, low, high = (100 * x for x in (interval.value, interval.low, interval.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


# Variant, series, or two of them -> differences.
_Compared = Mapping[str, Differences]


def _comparisons(
    experiment: Experiment, rows: Sequence[Row]
) -> list[tuple[str, _Compared]]:
    to_controls = {
        f"`{row.variant.name}` - `{control}`": differences
        for row in rows
        for control, differences in row.to_controls.items()
    }
    to_baseline = {f"`{row.variant.name}`": row.to_baseline for row in rows}
    return [
        ("beside controls", to_controls),
        (f"beside `{experiment.baseline}`", to_baseline),
    ]


def _quoted(trends: Trends) -> _Compared:
    return {f"`{name}`": found for name, found in trends.items()}


def _of_key(compared: _Compared, key: str) -> dict[str, Interval]:
    found = {name: differences.get(key) for name, differences in compared.items()}
    return {name: one for name, one in found.items() if one is not None}


def _sentence(compared: Mapping[str, Interval]) -> str:
    better = [(n, one) for n, one in compared.items() if side(one) > 0]
    worse = [(n, one) for n, one in compared.items() if side(one) < 0]
    rest = len(compared) - len(better) - len(worse)
    parts = [
        f"{word} {_named(found)}"
        for word, found in (("better", better), ("worse", worse))
        if found
    ]
    if not parts:
        return f"none of {rest} is told apart." if rest > 1 else "not told apart."
    return "; ".join(parts) + (f"; {rest} not told apart." if rest else ".")


def _named(told: Iterable[tuple[str, Interval]]) -> str:
    """Those that differ most come first."""
    found = sorted(told, key=lambda pair: -abs(pair[1].value))
    words = [f"{name} {difference(one)}" for name, one in found[:_NAMED]]
    more = len(found) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")
