"""Numbers drawn: what a table says, to be seen at a glance.

Colours are Okabe and Ito's (jfly.uni-koeln.de/color), which people with any colour
vision tell apart. Nothing here touches matplotlib's global state.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

_INK = "#222222"
_PALE = "#6E6E6E"
_BAR = 0.8  # of the way from one bar to the next
_DPI = 150
_PANELS_IN_A_ROW = 7
_DASHES = (0, (5, 4))
_SERIES = ("#0072B2", "#D55E00", "#009E73")


class _Tones(NamedTuple):
    kept: str
    gained: str
    lost: str


# Vermillion: pictures with exactly one person. Blue: all others.
_SINGLE = _Tones("#D55E00", "#8C3E00", "#F7DFCC")
_OTHERS = _Tones("#56B4E9", "#0072B2", "#DDF0FB")


@dataclass(frozen=True)
class Shares:
    """A data set of pictures by how many people they show.

    Attributes:
      reduction: percent of the single-person pictures that are removed.
      pictures: how many are left.
      by_heads: part of them, 0 ... 1, by number of people; the first is one person.
    """

    reduction: int
    pictures: int
    by_heads: Mapping[str, float]

    @property
    def percent(self) -> list[float]:
        """The shares in percent, in their order."""
        return [100 * share for share in self.by_heads.values()]


@dataclass(frozen=True)
class Point:
    """A score, 0 to 1, with the interval in which it lies where that is known."""

    value: float
    low: float | None = None
    high: float | None = None


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


def head_counts(before: Shares, after: Shares) -> bytes:
    """Two data sets, one above the other: share of the pictures by number of people.

    Args:
      before: the whole.
      after: what a reduction leaves of it.

    Returns:
      A PNG.
    """
    figure = _figure(8.4, 6.4)
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    names = list(before.by_heads)
    for axis, data in zip(axes, (before, after), strict=True):
        _bars(axis.bar, data, before)
        for place, share in enumerate(data.percent):
            style = _style(place, sizes=(13, 10))
            _annotate(
                axis, f"{share:.1f}", (place, share), (0, 4), ha="center", **style
            )
        axis.set_ylim(0, 1.12 * max(*before.percent, *after.percent))
        axis.set_xlim(-0.5, len(names) - 0.5)
        axis.set_yticks([])
        _strip(axis)
    single, left = before.percent[0], after.percent[0]
    _title(axes[0], f"{single:.1f} % of {before.pictures:,} pictures show one person")
    _title(
        axes[1],
        f"With {after.reduction} % of those removed: {left:.1f} % of "
        f"{after.pictures:,} pictures",
    )
    axes[1].set_xticks(range(len(names)), names, color=_INK, fontsize=11)
    label = "people in the picture (bars: % of the pictures; pale: lost, dark: gained)"
    axes[1].set_xlabel(label, color=_PALE, fontsize=11, labelpad=8)
    return _png(figure)


def bias_reduction(parts: Sequence[Shares]) -> bytes:
    """A data set and its iterations side by side, each a small chart on one scale.

    Args:
      parts: the whole, then the iterations.

    Returns:
      A PNG.
    """
    columns = min(len(parts), _PANELS_IN_A_ROW)
    rows = math.ceil(len(parts) / columns)
    # At least as wide as its caption.
    figure = _figure(0.7 + 1.65 * max(columns, 3), 0.8 + 3.9 * rows)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    names = list(parts[0].by_heads)
    most = max(max(part.percent) for part in parts)
    for axis in axes.flat[len(parts) :]:
        axis.set_visible(False)
    for axis, part in zip(axes.flat, parts, strict=False):
        _bars(axis.barh, part, parts[0])
        end = max(part.percent[0], parts[0].percent[0])
        label = f"{part.percent[0]:.1f} %"
        _annotate(axis, label, (end, 0), (5, 0), va="center", **_style(0))
        axis.set_xlim(0, 1.6 * most)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_yticks(range(len(names)), names, color=_INK, fontsize=10)
        axis.set_xticks([])
        removed = f"{part.reduction} % removed" if part.reduction else "none removed"
        title = f"{removed}\n{part.pictures:,} pictures"
        axis.set_title(title, loc="left", color=_INK, fontsize=11, linespacing=1.3)
        _strip(axis)
    figure.supylabel("people in the picture", color=_PALE, fontsize=11)
    label = (
        "removed: part of the pictures with one person\n"
        "bars: % of the pictures that are left; pale: lost, dark: gained"
    )
    figure.supxlabel(label, color=_PALE, fontsize=11)
    return _png(figure)


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
    figure = _figure(5.2 * len(panels), 4.2)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    top = _highest(panels, whole)
    for axis, (title, buckets) in zip(axes, panels.items(), strict=True):
        for row, name in enumerate(whole):
            _draw_series(axis, buckets, name, (row, len(whole)), top)
            if (value := whole[name]) is not None:
                axis.axhline(100 * value, color=_SERIES[row], lw=1, ls=_DASHES)
        labels = [f"{b.label}\n{b.pictures} picture{'s'[: b.pictures != 1]}"
                  for b in buckets]  # fmt: skip
        axis.set_xticks(range(len(buckets)), labels, fontsize=8, color=_INK)
        axis.set_xlabel(title, color=_INK)
        _clean(axis)
    axes[0].set_ylabel("AP x 100", color=_INK)
    axes[0].set_ylim(0, 1.06 * top)
    handles, names = axes[0].get_legend_handles_labels()
    handles.append(Line2D([], [], color=_PALE, lw=1, ls=_DASHES))
    names.append("all pictures together")
    if any(point.high is not None for point in _points(panels)):
        handles.append(Line2D([], [], color=_INK, lw=1.4))
        names.append(interval)
    figure.legend(
        handles,
        names,
        loc="outside upper left",
        ncols=len(handles),
        frameon=False,
    )
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.12)  # type: ignore[union-attr]
    return figure


def _bars(draw: Any, data: Shares, before: Shares) -> None:
    """Bars whose tones say what was gained, and lost, since before."""
    for place, (now, then) in enumerate(zip(data.percent, before.percent, strict=True)):
        tones = _SINGLE if place == 0 else _OTHERS
        for end, tone in ((then, tones.lost), (now, tones.gained)):
            draw(place, end, _BAR, color=tone)
        draw(place, min(now, then), _BAR, color=tones.kept)


def _style(place: int, sizes: tuple[int, int] = (12, 10)) -> dict[str, Any]:
    """Of a bar's number: the first one is what it is about."""
    if place == 0:
        return {"fontsize": sizes[0], "fontweight": "bold", "color": _SINGLE.kept}
    return {"fontsize": sizes[1], "color": _INK}


def _annotate(axis: Any, text: str, place: tuple, shift: tuple, **style: Any) -> None:
    axis.annotate(text, place, shift, textcoords="offset points", **style)


def _title(axis: Any, text: str) -> None:
    axis.set_title(text, loc="left", color=_INK, fontsize=14, pad=10)


def _strip(axis: Any) -> None:
    """Neither frame nor ticks: the bars have their numbers."""
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


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
    width = _BAR / rows
    for place, bucket in enumerate(buckets):
        x = place + width * (row - (rows - 1) / 2)
        point = bucket.scores.get(name)
        if point is None:
            axis.text(x, 0.01 * top, "-", ha="center", color=_PALE)
            continue
        height = 100 * point.value
        axis.bar(x, height, 0.94 * width, color=_SERIES[row])
        if point.low is not None and point.high is not None:
            low, high = 100 * point.low, 100 * point.high
            axis.plot([x, x], [low, high], color=_INK, lw=1.4, solid_capstyle="butt")
        fits = min(height, 100 * (point.low or point.value)) > 0.12 * top
        above = height if point.high is None else 100 * point.high
        axis.text(
            x,
            0.015 * top if fits else above + 0.01 * top,
            f"{height:.1f}",
            ha="center",
            va="bottom",
            fontsize=8,
            color="white" if fits else _INK,
        )
    axis.bar([0], [0], color=_SERIES[row], label=name)  # for the legend


def _clean(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(_PALE)
    axis.tick_params(colors=_PALE, labelcolor=_INK)
    axis.grid(axis="y", color="#E4E4E4", lw=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(axis="x", length=0)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    # Without the program's version: the same numbers give the same bytes.
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()
