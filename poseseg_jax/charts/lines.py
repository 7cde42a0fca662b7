"""Scores along a number, drawn: percent removed, steps, milliseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from poseseg_jax.charts import style
from poseseg_jax.charts.point import Point

_MARKERS = "os^DvP"  # colours alone are not for everybody, nor for every printer
_APART = 3.0  # points of paper between the intervals of series
_LINE, _KEY = 105, 7  # letters in a line of the legend; as wide as so many is a key
_AS_TICKS = 8  # numbers, which are written below the axis
_LEVELS = ((0, (7, 2, 1, 2)), (0, (1, 2)))  # how they are dashed; zero is otherwise
_BAND_FROM = 9  # numbers; fewer are drawn with whiskers, which hide less


@dataclass(frozen=True)
class Series:
    """Scores of one kind along a number.

    Attributes:
      name: for the legend; in every panel it has the same colour.
      points: by the number; None, a failed run, interrupts the line.
    """

    name: str
    points: Mapping[float, Point | None]


@dataclass(frozen=True)
class Panel:
    """Series in one pair of axes, under a title.

    Attributes:
      title: what they are scores of.
      series: lines.
      levels: scores that lie nowhere along x, by name: drawn across, without interval.
    """

    title: str
    series: Sequence[Series]
    levels: Mapping[str, Point | None] = field(default_factory=dict)


def lines(
    panels: Sequence[Panel],
    *,
    title: str,
    x_label: str,
    y_label: str = "AP x 100",
    interval: str = "interval",
    columns: int = 3,
) -> bytes:
    """Series along a number, a panel for each part of the pictures or each task.

    Args:
      panels: in rows from left to right; all share the numbers along x, and each has
        a scale of its own along y.
      title: what is seen.
      x_label, y_label: with units; y is 100 times the points' values.
      interval: what to call the points' low and high, say "standard deviation".
      columns: panels in a row.

    Returns:
      A PNG.

    Raises:
      ValueError: for no panels, more series than there are colours, or more levels
        than there are dashes.
    """
    names, levels = _names(panels), _level_names(panels)
    _check_numbers(panels)
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = style.figure(9.0, 1.3 + (2.3 if columns > 1 else 3.4) * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        _lay_numbers(axis, panels)
        for series in panel.series:
            _draw(axis, series, names.index(series.name), len(names))
        _draw_levels(axis, panel, levels)
        _finish(axis, panel)
    # Numbers stand below a panel that has none below it.
    for place, axis in enumerate(axes.flat):
        axis.tick_params(labelbottom=place + columns >= len(panels))
    figure.supxlabel(x_label, color=style.PALE, fontsize=10)
    figure.supylabel(y_label, color=style.PALE, fontsize=10)
    interval = interval if _has_intervals(panels) else ""
    _write_heading(figure, title, names, levels=levels, interval=interval)
    return style.png(figure)


def _names(panels: Sequence[Panel]) -> list[str]:
    """Of all series, in the order in which they appear."""
    if not panels:
        raise ValueError("There are no panels to draw; expected one or more")
    for panel in panels:
        names = [series.name for series in panel.series]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{panel.title}: two series are called {twice[0]!r}")
    names = list(dict.fromkeys(s.name for panel in panels for s in panel.series))
    if len(names) > len(_MARKERS):
        raise ValueError(
            f"{len(names)} series ({', '.join(names)}) cannot be told apart; expected "
            f"{len(_MARKERS)} at most: draw the others in a chart of their own"
        )
    return names


def _level_names(panels: Sequence[Panel]) -> list[str]:
    names = list(dict.fromkeys(name for panel in panels for name in panel.levels))
    if len(names) > len(_LEVELS):
        raise ValueError(
            f"{len(names)} levels ({', '.join(names)}) cannot be told apart; expected "
            f"{len(_LEVELS)} at most"
        )
    return names


def _check_numbers(panels: Sequence[Panel]) -> None:
    for panel in panels:
        for series in panel.series:
            for x in series.points:
                if not abs(x) < float("inf"):
                    raise ValueError(
                        f"{panel.title}, {series.name}: there is a point at {x}; "
                        "expected a number"
                    )


def _lay_numbers(axis: Any, panels: Sequence[Panel]) -> None:
    """The axis along x, the same for all panels; where few numbers are, they are it."""
    series = [series for panel in panels for series in panel.series]
    numbers = sorted({x for one in series for x in one.points})
    if not numbers:
        axis.set_xticks([])
        return
    style.spread(axis, numbers, margin=0.06)
    if len(numbers) <= _AS_TICKS:
        axis.set_xticks(numbers, [style.written(x) for x in numbers])
        axis.minorticks_off()


def _draw(axis: Any, series: Series, place: int, places: int) -> None:
    """A line through the points, and where they may lie."""
    color = style.SERIES[place]
    xs = sorted(series.points)
    points = [series.points[x] for x in xs]
    values = [float("nan") if p is None else 100 * p.value for p in points]
    lows = [float("nan") if p is None or p.low is None else 100 * p.low for p in points]
    highs = [
        float("nan") if p is None or p.high is None else 100 * p.high for p in points
    ]
    # A little to the side, that series at the same numbers do not hide each other.
    inches = 0.0 if len(xs) >= _BAND_FROM else (place - (places - 1) / 2) * _APART / 72
    aside = ScaledTranslation(inches, 0, axis.figure.dpi_scale_trans)
    look = {"color": color, "transform": axis.transData + aside}
    axis.plot(xs, values, marker=_MARKERS[place], ms=4, lw=1.4, zorder=3, **look)
    if len(xs) >= _BAND_FROM:
        axis.fill_between(xs, lows, highs, alpha=0.15, lw=0, **look)
    else:
        axis.vlines(xs, lows, highs, lw=1, alpha=0.6, **look)


def _draw_levels(axis: Any, panel: Panel, names: list[str]) -> None:
    for name, point in panel.levels.items():
        if point is not None:
            look = {"color": style.PALE, "ls": _LEVELS[names.index(name)]}
            axis.axhline(100 * point.value, lw=1.2, zorder=2, **look)


def _finish(axis: Any, panel: Panel) -> None:
    axis.set_title(
        style.name(panel.title, 40), loc="left", color=style.INK, fontsize=10
    )
    style.clean(axis)
    axis.tick_params(labelsize=9)
    ends = _ends(panel)
    axis.set_ylim(style.widen(ends, 1.0))
    if not ends:
        look = {"ha": "center", "color": style.PALE, "style": "italic"}
        axis.text(0.5, 0.5, "no score", transform=axis.transAxes, **look)
        axis.set_yticks([])
    elif min(ends) < 0:  # differences: which side of nothing?
        axis.axhline(0, color=style.PALE, lw=0.8, ls=style.DASHES, zorder=1)


def _points(panels: Sequence[Panel]) -> list[Point]:
    series = [series for panel in panels for series in panel.series]
    return [point for one in series for point in one.points.values() if point]


def _ends(panel: Panel) -> list[float]:
    """All that an axis along y has to hold."""
    ends = [(point.value, point.low, point.high) for point in _points([panel])]
    ends += [(level.value,) for level in panel.levels.values() if level]
    return [100 * end for point in ends for end in point if end is not None]


def _has_intervals(panels: Sequence[Panel]) -> bool:
    return any(point.low is not None for point in _points(panels))


def _write_heading(
    figure: Figure, title: str, names: list[str], *, levels: list[str], interval: str
) -> None:
    """The title, and below it what the lines mean."""
    handles = [
        Line2D([], [], color=style.SERIES[i], marker=_MARKERS[i], ms=4, lw=1.4)
        for i in range(len(names))
    ]
    handles += [
        Line2D([], [], color=style.PALE, ls=dashes, lw=1.2)
        for _, dashes in zip(levels, _LEVELS, strict=False)
    ]
    labels = [style.name(name, 60) for name in (*names, *levels)]
    if interval:
        handles.append(Line2D([], [], color=style.FAINT, lw=1))
        labels.append(style.name(interval, 60))
    lengths = [_KEY + len(label) for label in labels]
    columns = len(labels) if sum(lengths) <= _LINE else _LINE // max(lengths)
    columns = max(1, columns)
    words, height = style.name(title, 90), figure.get_figheight()
    below = 0.12 + 0.2 * (words.count("\n") + 1)  # inches, as all here
    room = below + 0.08 + 0.2 * -(-len(labels) // columns)
    # The layout knows of one thing above the panels; here are two.
    style.keep_free(figure, room)
    look: dict[str, Any] = {"color": style.INK, "fontsize": 12, "va": "top"}
    figure.text(0.01, 1 - 0.12 / height, words, **look)
    figure.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(0, 1 - below / height),
        ncols=columns,
        frameon=False,
        fontsize=9,
        labelcolor=style.INK,
    )
