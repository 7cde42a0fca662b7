"""What charts share: ink, paper, and a way to a PNG file.

Colours are Okabe and Ito's (jfly.uni-koeln.de/color), which people with any colour
vision tell apart. Nothing here touches matplotlib's global state.
"""

import io
from typing import Any

from matplotlib.figure import Figure

INK = "#222222"
PALE = "#6E6E6E"
BAR = 0.8  # of the way from one bar to the next
DASHES = (0, (5, 4))
SERIES = ("#0072B2", "#D55E00", "#009E73")
_DPI = 150


def figure(width: float, height: float) -> Figure:
    """White paper of a size in inches, on which nothing overlaps."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.12)  # type: ignore[union-attr]
    return figure


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
    axis.grid(axis="y", color="#E4E4E4", lw=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(axis="x", length=0)


def png(figure: Figure) -> bytes:
    """The figure as a file; the same drawing gives the same bytes."""
    file = io.BytesIO()
    # Without the program's version.
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()
