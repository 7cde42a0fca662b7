"""An ablation drawn: what each variant scores, seed by seed, and how it differs.

A forest plot: a row for each variant, and in every row its scores and, beside them,
its difference to the baseline with the interval. What is not told apart is pale.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from poseseg_jax.charts import style
from poseseg_jax.charts.point import Point

TASKS = ("keypoints", "segm")
_ROW = 0.32  # inches
_BAND = "#F5F5F5"


@dataclass(frozen=True)
class Row:
    """A variant and what it scores.

    Attributes:
      name: of the variant.
      scores: by the keys of metrics.json ("keypoints/AP"): the score of each seed. A
        key that is not there, or nothing under it, is written as `note`.
      differences: by the same keys, to the baseline; None where there is none.
      note: what is written where there is no score.

    Raises:
      ValueError: for a score that is none.
    """

    name: str
    scores: Mapping[str, Sequence[float]]
    differences: Mapping[str, Point | None]
    note: str = "no score"

    def __post_init__(self) -> None:
        for key, scores in self.scores.items():
            for score in scores:
                if not 0 <= score <= 1:  # NaN neither
                    raise ValueError(
                        f"{self.name}: {key} is {score}; expected a score from 0 to 1"
                    )


def check(rows: Sequence[Row], baseline: str) -> None:
    """Refuse rows that nobody could tell apart or compare.

    Raises:
      ValueError: where there are none, two with one name, or no baseline.
    """
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Rows share the name {twice[0]!r}; expected one name each")
    if baseline not in names:
        raise ValueError(
            f"No row is the baseline {baseline!r}; expected one of {names or 'some'}"
        )


def forest(
    rows: Sequence[Row],
    *,
    baseline: str,
    tasks: Sequence[str] = TASKS,
    interval: str = "interval",
) -> bytes:
    """Every variant's AP, seed by seed, and its difference to the baseline.

    Args:
      rows: the variants, from top to bottom.
      baseline: name of the row to which `differences` are.
      tasks: a pair of panels for each; keys are `<task>/AP`.
      interval: what to call the intervals of the differences.

    Returns:
      A PNG.

    Raises:
      ValueError: where rows share a name, or none is the baseline.
    """
    check(rows, baseline)
    figure = style.figure(9.0, 1.45 + _ROW * (len(rows) + 1))
    widths = [3.0, 2.4] * len(tasks)
    axes = figure.subplots(1, len(widths), sharey=True, width_ratios=widths)
    reach = _reach(rows, [f"{task}/AP" for task in tasks])
    for place, task in enumerate(tasks):
        of_scores, of_differences = axes[2 * place : 2 * place + 2]
        key, color = f"{task}/AP", style.SERIES[place]
        _draw_scores(of_scores, rows, key, baseline, color)
        _draw_differences(of_differences, rows, key, baseline)
        of_differences.set_xlim(reach)
        of_scores.set_title(task, loc="left", color=color, fontsize=11)
    for axis in axes:
        _lay_rows(axis, len(rows))
    labels = [style.name(row.name) for row in rows]
    axes[0].set_yticks(range(len(rows)), labels, color=style.INK, fontsize=9)
    _write_heading(figure, rows, baseline, interval)
    return style.png(figure)


def _draw_scores(
    axis: Any, rows: Sequence[Row], key: str, baseline: str, color: str
) -> None:
    """Dots for seeds, a tick for their mean; a line down from the baseline's."""
    for place, row in enumerate(rows):
        seeds = [100 * score for score in row.scores.get(key, ())]
        if not seeds:
            paper = "white" if place % 2 else _BAND
            look = {"style": "italic", "ha": "center", "backgroundcolor": paper}
            _write(axis, 0.5, place, row.note, **look)
            continue
        mean = statistics.fmean(seeds)
        axis.plot(
            seeds,
            [place] * len(seeds),
            "o",
            color=color,
            ms=4.5,
            mew=0,
            alpha=0.7,
            zorder=4,
        )
        axis.plot([mean] * 2, [place - 0.3, place + 0.3], color=style.INK, lw=1.2)
        if row.name == baseline:
            axis.axvline(mean, color=style.PALE, lw=0.8, ls=style.DASHES, zorder=1)
    every = [100 * score for row in rows for score in row.scores.get(key, ())]
    axis.set_xlim(style.widen(every, 1.0))
    axis.tick_params(bottom=bool(every), labelbottom=bool(every))
    axis.set_xlabel("AP x 100", color=style.PALE, fontsize=9)


def _draw_differences(axis: Any, rows: Sequence[Row], key: str, baseline: str) -> None:
    """A dot and its interval; in strong ink where 0 is left out."""
    axis.axvline(0, color=style.PALE, lw=0.8, ls=style.DASHES, zorder=1)
    for place, row in enumerate(rows):
        point = row.differences.get(key)
        if row.name == baseline or point is None:
            text = "baseline" if row.name == baseline else "-"
            _write(axis, 1.03, place, text)
            continue
        is_clear = point.leaves_out_zero
        ink = style.INK if is_clear else style.FAINT
        if point.low is not None and point.high is not None:
            axis.plot(
                [100 * point.low, 100 * point.high], [place] * 2, color=ink, lw=1.6
            )
        filling = ink if point.low is not None else "white"
        axis.plot(100 * point.value, place, "o", color=ink, ms=5, mfc=filling)
        look = {"color": style.INK, "weight": "bold"} if is_clear else {}
        _write(axis, 1.03, place, style.signed(point.value), **look)
    axis.set_xlabel("difference, points", color=style.PALE, fontsize=9)


def _reach(rows: Sequence[Row], keys: Sequence[str]) -> tuple[float, float]:
    """Limits in points that all tasks share, that their differences compare."""
    ends = [0.0]
    for row in rows:
        for key in keys:
            if (point := row.differences.get(key)) is not None:
                known = (point.value, point.low, point.high)
                ends += [100 * end for end in known if end is not None]
    return style.widen(ends, 2.0)


def _write(axis: Any, x: float, place: int, text: str, **look: Any) -> None:
    """Words in a row, at a part of the panel's width."""
    look = {"color": style.PALE, "fontsize": 8.5, "va": "center_baseline"} | look
    axis.text(x, place, style.name(text), transform=axis.get_yaxis_transform(), **look)


def _lay_rows(axis: Any, number: int) -> None:
    """Every other row on a band, that the eye finds from end to end."""
    for place in range(0, number, 2):
        axis.axhspan(place - 0.5, place + 0.5, color=_BAND, lw=0, zorder=0)
    axis.set_ylim(number - 0.5, -0.5)
    axis.spines[["left", "right", "top"]].set_visible(False)
    axis.spines["bottom"].set_color(style.PALE)
    axis.tick_params(axis="x", colors=style.PALE, labelcolor=style.INK, labelsize=8.5)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.grid(axis="x", color=style.GRID, lw=0.6)
    axis.set_axisbelow(True)


def _write_heading(
    figure: Figure, rows: Sequence[Row], baseline: str, interval: str
) -> None:
    counts = sorted({len(s) for row in rows for s in row.scores.values()} - {0})
    ends = " to ".join(map(str, sorted({*counts[:1], *counts[-1:]})))
    seeds = f"{ends} seed{'s'[: ends != '1']} each" if counts else "none has a score"
    variants = f"{len(rows)} variant{'s'[: len(rows) != 1]}"
    title = f"AP of {variants}, {seeds}; differences to {baseline}"
    legend = (
        f"dot: a seed; tick: the mean of the seeds; dashed: {baseline}\n"
        f"differences with their {interval}: dark where it leaves out 0, pale where not"
    )
    style.heading(figure, title, legend)
