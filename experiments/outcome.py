"""What an experiment has shown, in words: nothing that its intervals do not say.

A difference is called clear where its 95 % interval leaves out 0.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.grid import Experiment
from experiments.scores import Differences, Row
from experiments.trends import Trends
from poseseg_jax.coco.bootstrap import Interval
from poseseg_jax.coco.scoring import TASKS

_MANY = 30  # pictures, from which scores are more than those of a few
_TELLING = 0.05  # AP of the baseline, from which differences can be told at all

# Variant, series, or two of them -> differences.
_Compared = Mapping[str, Differences]


@dataclass(frozen=True)
class Outcome:
    """What is compared with what.

    Attributes:
      experiment: what was asked.
      rows: of the variants that are in tables.
      trends: of their series.
      pictures: how many there are in each bucket of crowding.
    """

    experiment: Experiment
    rows: Sequence[Row]
    trends: Trends
    pictures: Mapping[str, int] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        """A sentence for some of the pictures, a task, and what is compared.

        What the experiment is about comes first, and of that the controls, if it has
        some: an effect against the baseline alone may have other reasons. A trend
        comes before all that, as it rests on the most runs.
        """
        return [said for _, said in self._sentences(with_trends=True)] + [
            said for _, said in self._sentences(with_trends=False)
        ]

    def first(self) -> list[str]:
        """The trend, or what came out of what the experiment is about first."""
        found = list(self._sentences(with_trends=True))
        found = found or list(self._sentences(with_trends=False))
        if not found:
            return ["No run is finished that could be compared."]
        about = found[0][0]
        return [said for key, said in found if self.trends or key == about]

    def chance(self) -> tuple[int, int]:
        """How many intervals `sentences` speak of, and how many of them leave out 0."""
        compared = [self.trends, *(one for _, one in self._comparisons())]
        intervals = [
            interval
            for key in self.experiment.about.values()
            for differences in compared
            for task in TASKS
            for interval in _of_key(differences, key.format(task)).values()
        ]
        return len(intervals), sum(side(interval) != 0 for interval in intervals)

    def _sentences(self, *, with_trends: bool) -> Iterator[tuple[str, str]]:
        """What of, and the sentence."""
        named = {f"`{name}`": found for name, found in self.trends.items()}
        trends = [(self.experiment.trend, named)] if self.trends else []
        for about, key in self.experiment.about.items():
            for others, compared in trends if with_trends else self._comparisons():
                for task in TASKS:
                    if intervals := _of_key(compared, key.format(task)):
                        what = f"{task.capitalize()} AP, {about}"
                        what += self._caution(key.format(task))
                        yield about, f"{what}, {others}: {_sentence(intervals)}"

    def _comparisons(self) -> list[tuple[str, _Compared]]:
        to_controls = {
            f"`{row.variant.name}` - `{control}`": differences
            for row in self.rows
            for control, differences in row.to_controls.items()
        }
        to_baseline = {f"`{row.variant.name}`": row.to_baseline for row in self.rows}
        return [
            ("against controls", to_controls),
            (f"against `{self.experiment.baseline}`", to_baseline),
        ]

    def _caution(self, key: str) -> str:
        """Why little can be told: few pictures, or next to nothing found on them."""
        first, *rest = key.split("/")
        count = self.pictures.get(rest[0], _MANY) if first == "crowd" else _MANY
        score = next(
            (
                spread.value
                for row in self.rows
                if row.variant.name == self.experiment.baseline
                and (spread := row.spread(key))
            ),
            1.0,
        )
        why = [f"{count} of them"] if count < _MANY else []
        why += [f"{100 * score:.1f} AP"] if score < _TELLING else []
        return f" ({', '.join(why)}: too few to tell much)" if why else ""


def side(interval: Interval) -> int:
    """1 where an interval says more, -1 where it says less, 0 where it does not."""
    return (interval.low > 0) - (interval.high < 0)


def difference(interval: Interval | None) -> str:
    """In AP points, with its interval; finer where an end would be rounded to 0."""
    if interval is None:
        return "-"
    value, low, high = (100 * x for x in (interval.value, interval.low, interval.high))
    digits = 2 if side(interval) and min(abs(low), abs(high)) < 0.05 else 1
    return f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _of_key(compared: _Compared, key: str) -> dict[str, Interval]:
    found = {name: differences.get(key) for name, differences in compared.items()}
    return {name: one for name, one in found.items() if one is not None}


def _sentence(compared: Mapping[str, Interval]) -> str:
    higher = [(n, one) for n, one in compared.items() if side(one) > 0]
    lower = [(n, one) for n, one in compared.items() if side(one) < 0]
    rest = len(compared) - len(higher) - len(lower)
    parts = [
        f"{word} {_named(found)}"
        for word, found in (("higher:", higher), ("lower:", lower))
        if found
    ]
    if not parts:
        return f"no clear difference{f', {rest} compared' if rest > 1 else ''}."
    return "; ".join(parts) + (f"; {rest} without a clear difference." if rest else ".")


def _named(told: Iterable[tuple[str, Interval]]) -> str:
    """Those that differ most come first."""
    found = sorted(told, key=lambda pair: -abs(pair[1].value))
    return ", ".join(f"{name} {difference(one)}" for name, one in found)
