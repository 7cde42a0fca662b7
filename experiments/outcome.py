"""What an experiment has shown, in words: nothing that its intervals do not say."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from experiments.scores import Row
from poseseg_jax.coco.bootstrap import Interval
from poseseg_jax.coco.scoring import TASKS

_Differences = Callable[[Row], Mapping[str, Interval | None]]
# What the words are about: a name, and the keys of metrics.json.
_ABOUT = {
    "": "{}/AP",
    " where 8 or more people are": "crowd/people_8+/{}/AP",
}
_NAMED = 4  # variants at most, on each side


def sentences(rows: Sequence[Row], baseline: str) -> list[str]:
    """A sentence for each comparison, score and task.

    Args:
      rows: of the experiment.
      baseline: the variant with which all were compared.
    """
    shown = [row for row in rows if not row.variant.is_step]
    found = _of(shown, lambda row: row.to_baseline, f"`{baseline}`")
    return found + _of(shown, lambda row: row.to_control, "their controls")


def line(rows: Sequence[Row], baseline: str) -> str:
    """What came out, in a line: of all pictures, beside the baseline."""
    return " ".join(sentences(rows, baseline)[: len(TASKS)]) or "No run is finished."


def chance(rows: Sequence[Row]) -> tuple[int, int]:
    """How many differences there are, and how many of their intervals leave out 0."""
    all_of = [
        interval
        for row in rows
        if not row.variant.is_step
        for differences in (row.to_baseline, row.to_control)
        for key, interval in differences.items()
        if key in _keys() and interval is not None and row.counts(key)
    ]
    return len(all_of), sum(is_told(interval) for interval in all_of)


def is_told(interval: Interval | None) -> bool:
    """Whether an interval says that there is a difference."""
    return interval is not None and (interval.low > 0 or interval.high < 0)


def difference(interval: Interval | None) -> str:
    """In AP points, with its interval."""
    if interval is None:
        return "-"
    value, low, high = (100 * x for x in (interval.value, interval.low, interval.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def _keys() -> list[str]:
    return [key.format(task) for key in _ABOUT.values() for task in TASKS]


def _of(rows: Sequence[Row], differences: _Differences, others: str) -> list[str]:
    found = []
    for about, key in _ABOUT.items():
        for task in TASKS:
            compared = {
                row.variant.name: differences(row).get(key.format(task))
                for row in rows
                if row.counts(key.format(task))
            }
            words = _sentence({n: d for n, d in compared.items() if d is not None})
            if words:
                found.append(f"{task.capitalize()} AP{about}, beside {others}: {words}")
    return found


def _sentence(compared: Mapping[str, Interval]) -> str:
    if not compared:
        return ""
    told = {name: one for name, one in compared.items() if is_told(one)}
    better = _named(told.items(), sign=1)
    worse = _named(told.items(), sign=-1)
    parts = [
        f"{word} {names}" for word, names in (("better", better), ("worse", worse))
    ]
    parts = [part for part, names in zip(parts, (better, worse), strict=True) if names]
    rest = len(compared) - len(told)
    if not told:
        return f"none of {rest} is told apart."
    return "; ".join(parts) + (f"; {rest} not told apart." if rest else ".")


def _named(told: Iterable[tuple[str, Interval]], *, sign: int) -> str:
    """Those that differ most in a direction come first."""
    found = [(name, one) for name, one in told if sign * one.value > 0]
    found.sort(key=lambda pair: -abs(pair[1].value))
    words = [f"`{name}` {difference(one)}" for name, one in found[:_NAMED]]
    more = len(found) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")
