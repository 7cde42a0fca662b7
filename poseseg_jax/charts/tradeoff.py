"""What a choice costs, drawn: AP against time per picture."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxBase

from poseseg_jax.charts import style
from poseseg_jax.charts.point import Point

_DOT = 5.0  # points of paper
# Where a name may stand beside its dot: where to, alignment; the best first.
_SIDES = (
    ((1, 0), "left", "center"),
    ((0, 1), "center", "bottom"),
    ((0, -1), "center", "top"),
    ((-1, 0), "right", "center"),
    ((0.8, 0.8), "left", "bottom"),
    ((0.8, -0.8), "left", "top"),
    ((-0.8, 0.8), "right", "bottom"),
    ((-0.8, -0.8), "right", "top"),
)
_NEAR, _FAR = 6, (16, 28, 42)  # points; a name that stands far has a line to its dot
_LEADER = {"arrowstyle": "-", "color": style.FAINT, "lw": 0.6, "shrinkA": 0}
_HALO = [withStroke(linewidth=2, foreground="white")]


@dataclass(frozen=True)
class Variant:
    """A way to do it, what it costs, and what it scores.

    Attributes:
      name: of the variant.
      milliseconds: per picture.
      scores: by task; None, or no key, where there is none.

    Raises:
      ValueError: for a time that is none.
    """

    name: str
    milliseconds: float
    scores: Mapping[str, Point | None]

    def __post_init__(self) -> None:
        if not 0 < self.milliseconds < float("inf"):
            raise ValueError(
                f"{self.name} takes {self.milliseconds} ms; expected a time above 0"
            )


def scatter(
    variants: Sequence[Variant],
    *,
    tasks: Sequence[str] = ("keypoints", "segm"),
    title: str = "AP against time per picture",
    interval: str = "interval",
) -> bytes:
    """A named dot for each variant; a panel for each task, as wide as names need.

    Filled dots have no other that is both faster and better; a thin line joins them.

    Args:
      variants: in any order.
      tasks: names of the scores.
      title: what is seen.
      interval: what to call the points' low and high.

    Returns:
      A PNG.

    Raises:
      ValueError: where there are none.
    """
    if not variants:
        raise ValueError("There is no variant to draw; expected one or more")
    figure = style.figure(9.0, 0.9 + 3.3 * len(tasks))
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(len(tasks), 1, squeeze=False)[:, 0])
    for place, (axis, task) in enumerate(zip(axes, tasks, strict=True)):
        times = [variant.milliseconds for variant in variants]
        style.spread(axis, times, margin=0.12)
        _draw(axis, variants, task, style.SERIES[place])
        axis.set_title(task, loc="left", color=style.SERIES[place], fontsize=11)
        axis.set_xlabel("ms per picture", color=style.PALE)
        axis.set_ylabel("AP x 100", color=style.PALE)
    style.heading(figure, title, _legend(variants, tasks, interval))
    _name_dots(figure, axes, variants, tasks)
    return style.png(figure)


def _legend(variants: Sequence[Variant], tasks: Sequence[str], interval: str) -> str:
    lines = "filled: no other variant is faster and better"
    points = [point for variant in variants for point in variant.scores.values()]
    if any(point is not None and point.low is not None for point in points):
        lines += f"; lines: {interval}"
    for task in tasks:
        without = [v.name for v in variants if v.scores.get(task) is None]
        if without:
            lines += f"\nno {task} score: {', '.join(without)}"
    return lines


def _draw(axis: Any, variants: Sequence[Variant], task: str, color: str) -> None:
    scored = [(v.milliseconds, p) for v in variants if (p := v.scores.get(task))]
    best = _front(scored)
    axis.plot([x for x, _ in best], [y for _, y in best], color=style.FAINT, lw=0.8)
    for x, point in scored:
        y = 100 * point.value
        filling = color if (x, y) in best else "white"
        axis.plot(x, y, "o", color=color, mfc=filling, ms=_DOT, zorder=3)
        if point.low is not None and point.high is not None:
            ends = [100 * point.low, 100 * point.high]
            axis.plot([x, x], ends, color=color, lw=1, alpha=0.4)
    style.clean(axis)
    ends = [end for _, p in scored for end in (p.value, p.low, p.high)]
    axis.set_ylim(style.widen([100 * e for e in ends if e is not None], 1.0, 0.12))
    if not scored:
        look = {"ha": "center", "color": style.PALE, "style": "italic"}
        axis.text(0.5, 0.5, "no score", transform=axis.transAxes, **look)
        axis.set(xticks=[], yticks=[])


def _front(scored: Sequence[tuple[float, Point]]) -> list[tuple[float, float]]:
    """Times and scores x 100 of those that no other beats in both, by time."""
    front: list[tuple[float, float]] = []
    for x, point in sorted(scored, key=lambda one: (one[0], -one[1].value)):
        if not front or 100 * point.value > front[-1][1]:
            front.append((x, 100 * point.value))
    return front


def _name_dots(
    figure: Figure,
    axes: Sequence[Any],
    variants: Sequence[Variant],
    tasks: Sequence[str],
) -> None:
    """Names beside the dots, each on the first side on which nothing is yet."""
    # Once laid out, the panels stay where they are: names do not move them.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for axis, task in zip(axes, tasks, strict=True):
        places = {
            variant.name: (variant.milliseconds, 100 * point.value)
            for variant in variants
            if (point := variant.scores.get(task)) is not None
        }
        half = _DOT * figure.dpi / 72 / 2 + 1
        taken = []
        for place in places.values():
            x, y = axis.transData.transform(place)
            taken.append(Bbox([[x - half, y - half], [x + half, y + half]]))
        for name, place in places.items():
            taken.append(_name_dot(axis, name, place, taken, renderer))


def _name_dot(
    axis: Any, name: str, place: tuple, taken: Sequence[Bbox], renderer: Any
) -> Bbox:
    """Write a name where it hides least, near if it can; what it takes of the paper."""
    best, least = None, (math.inf, 0)
    for away, ((x, y), horizontal, vertical) in product((_NEAR, *_FAR), _SIDES):
        text = axis.annotate(
            style.name(name, 40),
            place,
            (away * x, away * y),
            textcoords="offset points",
            arrowprops=None if away == _NEAR else _LEADER,
            ha=horizontal,
            va=vertical,
            color=style.INK,
            fontsize=8.5,
            path_effects=_HALO,
        )
        text.update_positions(renderer)
        box = Text.get_window_extent(text, renderer)  # of the words, without the line
        hidden = sum(_shared(box, other) for other in taken)
        hidden += box.width * box.height - _shared(box, axis.bbox)
        worse = text
        if (round(hidden), away) < least:
            worse, best, least = best, text, (round(hidden), away)
        if worse is not None:
            worse.remove()
        if least[0] == 0:
            break
    assert best is not None, "infinity is more than any area"
    return Text.get_window_extent(best, renderer)


def _shared(one: BboxBase, other: BboxBase) -> float:
    """Area, square pixels."""
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else both.width * both.height
