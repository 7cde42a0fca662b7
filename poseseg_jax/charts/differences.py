"""Where variants differ from a baseline: a table by crowding, with colours behind.

Blue is better, orange worse, white the same; what the pictures do not tell apart is
pale, in colour and in print.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from poseseg_jax.charts import style
from poseseg_jax.charts.ablation import TASKS, Row, check
from poseseg_jax.charts.point import Point

_ROW = 0.31  # inches
_BETTER, _WORSE = to_rgb("#0072B2"), to_rgb("#D55E00")
_LEAST = 0.01  # the end of the scale, at least: a point. Less is noise, enlarged
_FULL = 0.7  # of a colour lets dark print be read on it
_FAINTEST = 0.25  # of that, for what is told apart
_UNCLEAR = 0.18  # is left of it where the interval has 0 in it
_GAP = 0.35  # columns, between groups


class _Column(NamedTuple):
    x: float
    label: str
    key: str


def by_crowding(
    rows: Sequence[Row],
    *,
    baseline: str,
    buckets: Mapping[str, Collection[str]],
    tasks: Sequence[str] = TASKS,
    interval: str = "interval",
) -> bytes:
    """Differences to the baseline in AP points, by how crowded pictures are.

    Args:
      rows: the variants; `differences` has the keys `<task>/AP` (all pictures) and
        `crowd/<bucket>/<task>/AP`. What is missing, or None, is written as "-".
      baseline: name of the row to which they are; it is not in the table.
      buckets: by what pictures are sorted -> names of the buckets, as in
        coco.crowding; what follows their first underscore stands above a column.
      tasks: a table for each.
      interval: what to call the intervals.

    Returns:
      A PNG.

    Raises:
      ValueError: where rows share a name, or none is the baseline, or all are.
    """
    check(rows, baseline)
    rows = [row for row in rows if row.name != baseline]
    if not rows:
        raise ValueError(
            f"There is no row beside {baseline!r}; expected one to compare"
        )
    figure = style.figure(9.0, 2.05 + _ROW * len(rows))
    axes = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    end = _end_of_scale(rows)
    for place, (axis, task) in enumerate(zip(axes, tasks, strict=True)):
        columns = _columns(buckets, task)
        for number, row in enumerate(rows):
            _draw_row(axis, number, row, columns, end)
        _finish(axis, columns, buckets, len(rows))
        axis.set_title(task, loc="left", color=style.SERIES[place], fontsize=11, pad=42)
    labels = [style.name(row.name) for row in rows]
    axes[0].set_yticks(range(len(rows)), labels, color=style.INK, fontsize=9)
    title = f"Difference to {baseline} in AP points, by how crowded a picture is"
    legend = (
        "blue: better, orange: worse; -: not compared\n"
        f"bold where the {interval} leaves out 0, pale where not"
    )
    style.heading(figure, title, legend)
    return style.png(figure)


def _columns(buckets: Mapping[str, Collection[str]], task: str) -> list[_Column]:
    """All pictures together, then the buckets, with a gap before each group."""
    columns = [_Column(0.0, "all", f"{task}/AP")]
    for names in buckets.values():
        x = columns[-1].x + 1 + _GAP
        for place, bucket in enumerate(names):
            label = bucket.partition("_")[2]
            # Five characters fit in a column.
            label = label if len(label) < 6 else label.replace("-", "-\n", 1)
            columns.append(_Column(x + place, label, f"crowd/{bucket}/{task}/AP"))
    return columns


def _end_of_scale(rows: Sequence[Row]) -> float:
    """The difference that gets the full colour: the largest that is told from 0."""
    points = [point for row in rows for point in row.differences.values() if point]
    return max([_LEAST, *(abs(p.value) for p in points if p.leaves_out_zero)])


def _draw_row(
    axis: Any, y: int, row: Row, columns: Sequence[_Column], end: float
) -> None:
    points = [row.differences.get(column.key) for column in columns]
    if not any(points):
        look = {"color": style.PALE, "fontsize": 8.5, "style": "italic"}
        axis.text(-0.3, y, style.name(row.note), va="center_baseline", **look)
        return
    for column, point in zip(columns, points, strict=True):
        _draw_cell(axis, column.x, y, point, end)


def _draw_cell(axis: Any, x: float, y: int, point: Point | None, end: float) -> None:
    look: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontsize": 8}
    if point is None:
        axis.text(x, y, "-", color=style.PALE, **look)
        return
    is_clear = point.leaves_out_zero
    full = _BETTER if point.value > 0 else _WORSE
    part = min(1.0, abs(point.value) / end)
    part = max(part, _FAINTEST) * _FULL if is_clear else part * _UNCLEAR
    color = [1 + part * (channel - 1) for channel in full]
    cell = Rectangle((x - 0.5, y - 0.5), 1, 1, fc=color, ec="white", lw=1.5)
    axis.add_patch(cell)
    ink = {"color": style.INK, "weight": "bold"} if is_clear else {"color": style.PALE}
    axis.text(x, y, style.signed(point.value), **look, **ink)


def _finish(
    axis: Any,
    columns: Sequence[_Column],
    buckets: Mapping[str, Collection[str]],
    number: int,
) -> None:
    """Names above the columns, and above those the groups."""
    places, labels = [c.x for c in columns], [c.label for c in columns]
    axis.set_xticks(places, labels, color=style.INK, fontsize=8, va="bottom")
    axis.tick_params(bottom=False, labelbottom=False, labeltop=True, pad=3)
    first = 1
    for title, names in buckets.items():
        x = columns[first].x - 0.5
        first += len(names)
        style.annotate(axis, title, (x, -0.5), (2, 29), color=style.PALE, fontsize=8)
    axis.set_xlim(-0.5, places[-1] + 0.5)
    axis.set_ylim(number - 0.5, -0.5)
    style.strip(axis)
