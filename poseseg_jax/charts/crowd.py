"""Scores by how crowded a picture is, drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.lines import Line2D

from poseseg_jax.charts import style
from poseseg_jax.charts.point import Point


@dataclass(frozen=True)
class Bucket:
    """Some of the pictures and their scores.

    Attributes:
      label: what they have in common.
      pictures: how many there are.
      scores: by the name of the score; None where there is none.
    """

    label: str
    pictures: int
    scores: Mapping[str, Point | None]


def scores_by_bucket(
    panels: Mapping[str, Sequence[Bucket]],
    *,
    whole: Mapping[str, float | None],
    interval: str = "interval",
) -> bytes:
    """Scores x 100 over buckets of pictures, a panel for each way to sort them.

    Args:
      panels: by what the pictures are sorted -> buckets in their order.
      whole: the scores of all pictures together, drawn as dashed lines; its names are
        those of the series.
      interval: what to call the intervals, if there are some.

    Returns:
      A PNG.
    """
    figure = style.figure(5.2 * len(panels), 4.2)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    top = _highest(panels, whole)
    for axis, (title, buckets) in zip(axes, panels.items(), strict=True):
        for row, name in enumerate(whole):
            _draw_series(axis, buckets, name, (row, len(whole)), top)
            if (value := whole[name]) is not None:
                axis.axhline(
                    100 * value, color=style.SERIES[row], lw=1, ls=style.DASHES
                )
        labels = [f"{b.label}\n{b.pictures} picture{'s'[: b.pictures != 1]}"
                  for b in buckets]  # fmt: skip
        axis.set_xticks(range(len(buckets)), labels, fontsize=8, color=style.INK)
        axis.set_xlabel(title, color=style.INK)
        style.clean(axis)
    axes[0].set_ylabel("AP x 100", color=style.INK)
    axes[0].set_ylim(0, 1.06 * top)
    handles, names = axes[0].get_legend_handles_labels()
    handles.append(Line2D([], [], color=style.PALE, lw=1, ls=style.DASHES))
    names.append("all pictures together")
    if any(point.high is not None for point in _points(panels)):
        handles.append(Line2D([], [], color=style.INK, lw=1.4))
        names.append(interval)
    figure.legend(
        handles,
        names,
        loc="outside upper left",
        ncols=len(handles),
        frameon=False,
    )
    return style.png(figure)


def _highest(
    panels: Mapping[str, Sequence[Bucket]], whole: Mapping[str, float | None]
) -> float:
    """The top of all that is drawn, x 100; at least 1, so that zeros have an axis."""
    points = _points(panels)
    ends = [point.value if point.high is None else point.high for point in points]
    ends += [value for value in whole.values() if value is not None]
    return max([1.0, *(100 * end for end in ends)])


def _points(panels: Mapping[str, Sequence[Bucket]]) -> list[Point]:
    return [
        point
        for buckets in panels.values()
        for bucket in buckets
        for point in bucket.scores.values()
        if point is not None
    ]


def _draw_series(
    axis: Any,
    buckets: Sequence[Bucket],
    name: str,
    row_of: tuple[int, int],
    top: float,
) -> None:
    """The bars of one score, each with its value at the foot or, if short, above."""
    row, rows = row_of
    width = style.BAR / rows
    for place, bucket in enumerate(buckets):
        x = place + width * (row - (rows - 1) / 2)
        point = bucket.scores.get(name)
        if point is None:
            axis.text(x, 0.01 * top, "-", ha="center", color=style.PALE)
            continue
        height = 100 * point.value
        axis.bar(x, height, 0.94 * width, color=style.SERIES[row])
        if point.low is not None and point.high is not None:
            low, high = 100 * point.low, 100 * point.high
            axis.plot(
                [x, x], [low, high], color=style.INK, lw=1.4, solid_capstyle="butt"
            )
        fits = min(height, 100 * (point.low or point.value)) > 0.12 * top
        above = height if point.high is None else 100 * point.high
        axis.text(
            x,
            0.015 * top if fits else above + 0.01 * top,
            f"{height:.1f}",
            ha="center",
            va="bottom",
            fontsize=8,
            color="white" if fits else style.INK,
        )
    axis.bar([0], [0], color=style.SERIES[row], label=name)  # for the legend
