"""A bias reduction drawn: the share of the pictures by number of people."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from poseseg_jax.charts import style

_PANELS_IN_A_ROW = 7


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


def head_counts(before: Shares, after: Shares) -> bytes:
    """Two data sets, one above the other: share of the pictures by number of people.

    Args:
      before: the whole.
      after: what a reduction leaves of it.

    Returns:
      A PNG.
    """
    figure = style.figure(8.4, 6.4)
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    names = list(before.by_heads)
    for axis, data in zip(axes, (before, after), strict=True):
        _bars(axis.bar, data, before)
        for place, share in enumerate(data.percent):
            look = _look(place, sizes=(13, 10))
            style.annotate(
                axis, f"{share:.1f}", (place, share), (0, 4), ha="center", **look
            )
        axis.set_ylim(0, 1.12 * max(*before.percent, *after.percent))
        axis.set_xlim(-0.5, len(names) - 0.5)
        axis.set_yticks([])
        style.strip(axis)
    single, left = before.percent[0], after.percent[0]
    style.title(
        axes[0], f"{single:.1f} % of {before.pictures:,} pictures show one person"
    )
    style.title(
        axes[1],
        f"With {after.reduction} % of those removed: {left:.1f} % of "
        f"{after.pictures:,} pictures",
    )
    axes[1].set_xticks(range(len(names)), names, color=style.INK, fontsize=11)
    label = "people in the picture (bars: % of the pictures; pale: lost, dark: gained)"
    axes[1].set_xlabel(label, color=style.PALE, fontsize=11, labelpad=8)
    return style.png(figure)


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
    figure = style.figure(0.7 + 1.65 * max(columns, 3), 0.8 + 3.9 * rows)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    names = list(parts[0].by_heads)
    most = max(max(part.percent) for part in parts)
    for axis in axes.flat[len(parts) :]:
        axis.set_visible(False)
    for axis, part in zip(axes.flat, parts, strict=False):
        _bars(axis.barh, part, parts[0])
        end = max(part.percent[0], parts[0].percent[0])
        label = f"{part.percent[0]:.1f} %"
        style.annotate(axis, label, (end, 0), (5, 0), va="center", **_look(0))
        axis.set_xlim(0, 1.6 * most)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_yticks(range(len(names)), names, color=style.INK, fontsize=10)
        axis.set_xticks([])
        removed = f"{part.reduction} % removed" if part.reduction else "none removed"
        title = f"{removed}\n{part.pictures:,} pictures"
        axis.set_title(title, loc="left", color=style.INK, fontsize=11, linespacing=1.3)
        style.strip(axis)
    figure.supylabel("people in the picture", color=style.PALE, fontsize=11)
    label = (
        "removed: part of the pictures with one person\n"
        "bars: % of the pictures that are left; pale: lost, dark: gained"
    )
    figure.supxlabel(label, color=style.PALE, fontsize=11)
    return style.png(figure)


def _bars(draw: Any, data: Shares, before: Shares) -> None:
    """Bars whose tones say what was gained, and lost, since before."""
    for place, (now, then) in enumerate(zip(data.percent, before.percent, strict=True)):
        tones = _SINGLE if place == 0 else _OTHERS
        for end, tone in ((then, tones.lost), (now, tones.gained)):
            draw(place, end, style.BAR, color=tone)
        draw(place, min(now, then), style.BAR, color=tones.kept)


def _look(place: int, sizes: tuple[int, int] = (12, 10)) -> dict[str, Any]:
    """Of a bar's number: the first one is what it is about."""
    if place == 0:
        return {"fontsize": sizes[0], "fontweight": "bold", "color": _SINGLE.kept}
    return {"fontsize": sizes[1], "color": style.INK}
