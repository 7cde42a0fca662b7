"""What charts share: ink, paper, and a way to a PNG file.

Colours are Okabe and Ito's (jfly.uni-koeln.de/color), which people with any colour
vision tell apart. Nothing here touches matplotlib's global state.
"""

import io
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

INK = "#222222"
PALE = "#6E6E6E"
BAR = 0.8  # of the way from one bar to the next
DASHES = (0, (5, 4))
FAINT = "#B4B4B4"
GRID = "#E4E4E4"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#222222", "#56B4E9")
_DPI = 150


def figure(width: float, height: float) -> Figure:
    """White paper of a size in inches, on which nothing overlaps."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.12)  # type: ignore[union-attr]
    return figure


def keep_free(figure: Figure, inches: float) -> None:
    """Leave room at the top, for what the layout does not know of."""
    below = (0, 0, 1, 1 - inches / figure.get_figheight())
    figure.get_layout_engine().set(rect=below)  # type: ignore


def annotate(axis: Any, text: str, place: tuple, shift: tuple, **look: Any) -> None:
    """Words, some points away from a place."""
    axis.annotate(text, place, shift, textcoords="offset points", **look)


def title(axis: Any, text: str) -> None:
    """What is seen, in a sentence."""
    axis.set_title(text, loc="left", color=INK, fontsize=14, pad=10)


def strip(axis: Any) -> None:
    """Neither frame nor ticks: the bars have their numbers."""
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def clean(axis: Any) -> None:
    """As little ink for an axis as lets values be read."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(PALE)
    axis.tick_params(colors=PALE, labelcolor=INK)
    axis.grid(axis="y", color=GRID, lw=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(axis="x", length=0)


def name(text: str, width: int = 26) -> str:
    """A user's name as matplotlib writes it: in lines, and a $ is no formula."""
    lines = textwrap.wrap(text, width) or [""]
    return "\n".join(lines).replace("$", r"\$")


def signed(value: float) -> str:
    """A difference of scores in points: three figures at most."""
    points = 100 * value
    text = f"{points:+.1f}" if abs(points) < 9.95 else f"{points:+.0f}"
    return "0.0" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def widen(
    ends: Sequence[float], least: float, margin: float = 0.05
) -> tuple[float, float]:
    """Limits of an axis for these values, with a part of their span on either side.

    They span a least at least: differences that mean nothing should not fill an axis.
    """
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    half = max((0.5 + margin) * (high - low), 0.5 * least)
    return (low + high) / 2 - half, (low + high) / 2 + half


def spread(axis: Any, numbers: Sequence[float], *, margin: float) -> None:
    """Lay these numbers, one at least, along x, with a part of their span beside."""
    low, high = min(numbers), max(numbers)
    beyond = margin * (high - low) or 0.1 * abs(high) or 1.0
    axis.set_xlim(low - beyond, high + beyond)


def written(number: float) -> str:
    """A number as a tick has it: 1,000 and 0.5."""
    return f"{number:,.10g}"


def heading(figure: Figure, title: str, legend: str) -> None:
    """What a figure shows, and below it, pale, how to read it."""
    figure.suptitle(name(title, 90), x=0.01, ha="left", color=INK, fontsize=12)
    lines = "\n".join(name(line, 120) for line in legend.split("\n"))
    figure.supxlabel(lines, x=0.01, ha="left", color=PALE, fontsize=9)


def png(figure: Figure) -> bytes:
    """The figure as a file; the same drawing gives the same bytes."""
    file = io.BytesIO()
    # Without the program's version.
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()
