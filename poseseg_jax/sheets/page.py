"""Pages: panels under their titles, in rows and grids, over a legend."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from poseseg_jax.sheets.canvas import INK, PAPER, text_size, write

Panel = UInt8[np.ndarray, "_ _ 3"]  # a canvas of any size
Legend = Sequence[tuple[Panel, str]]  # what it looks like, and what it means

_GAP = 6
_SWATCH = (18, 34)  # px, height and width


def titled(panel: Panel, title: str, *, size: int = 13) -> Panel:
    """A panel under its title, which is shortened where it does not fit."""
    width = panel.shape[1]
    bar = blank(size + 7, width)
    while title and text_size(title, size)[0] > width - 4:
        title = title.rstrip("…")[:-1] + "…" if len(title) > 2 else ""
    write(bar, title, (2, 1), size=size)
    return stack([bar, panel], gap=0)


def text(words: str, width: int, *, size: int = 13) -> Panel:
    """Words in lines of at most `width` pixels."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_size(longer, size)[0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    paper = blank((size + 5) * len(lines) + 4, width)
    for index, line in enumerate(lines):
        write(paper, line, (2, 2 + index * (size + 5)), size=size)
    return paper


def blank(height: int, width: int) -> Panel:
    """Empty paper."""
    return np.full((height, width, 3), PAPER, np.uint8)


def swatch() -> Panel:
    """A grey canvas on which to show what a legend explains."""
    return np.full((*_SWATCH, 3), 110, np.uint8)


def stack(panels: Sequence[Panel], *, gap: int = _GAP) -> Panel:
    """Panels below each other, aligned at the left."""
    width = max(panel.shape[1] for panel in panels)
    rows = [_padded(panel, panel.shape[0], width) for panel in panels]
    return _joined(rows, gap, axis=0)


def row(panels: Sequence[Panel], *, gap: int = _GAP) -> Panel:
    """Panels beside each other, aligned at the top."""
    height = max(panel.shape[0] for panel in panels)
    columns = [_padded(panel, height, panel.shape[1]) for panel in panels]
    return _joined(columns, gap, axis=1)


def grid(panels: Sequence[Panel], columns: int, *, gap: int = _GAP) -> Panel:
    """Panels in rows of `columns`, each in a cell as wide as the widest."""
    width = max(panel.shape[1] for panel in panels)
    cells = [_padded(panel, panel.shape[0], width) for panel in panels]
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    return stack([row(cells, gap=gap) for cells in rows], gap=gap)


def legend(entries: Legend, width: int, *, size: int = 13) -> Panel:
    """Swatches with their meaning, in as many lines as `width` asks for."""
    items = []
    for picture, meaning in entries:
        wide, high = text_size(meaning, size)
        item = blank(max(high, picture.shape[0]) + 2, picture.shape[1] + wide + 20)
        item[1 : 1 + picture.shape[0], : picture.shape[1]] = picture
        write(item, meaning, (picture.shape[1] + 6, 2), size=size, color=INK)
        items.append(item)
    rows, used = [[]], 0
    for item in items:
        if rows[-1] and used + item.shape[1] > width:
            rows.append([])
            used = 0
        rows[-1].append(item)
        used += item.shape[1]
    return stack([row(items, gap=0) for items in rows if items], gap=2)


def framed(page: Panel, *, margin: int = 10) -> Panel:
    """A page with paper around it."""
    height, width = page.shape[:2]
    sheet = blank(height + 2 * margin, width + 2 * margin)
    sheet[margin : margin + height, margin : margin + width] = page
    return sheet


def _padded(panel: Panel, height: int, width: int) -> Panel:
    paper = blank(height, width)
    paper[: panel.shape[0], : panel.shape[1]] = panel
    return paper


def _joined(panels: Sequence[Panel], gap: int, *, axis: int) -> Panel:
    between = list(panels[0].shape)
    between[axis] = gap
    spaced = [panels[0]]
    for panel in panels[1:]:
        spaced += [np.full(between, PAPER, np.uint8), panel]
    return np.concatenate(spaced, axis=axis)
