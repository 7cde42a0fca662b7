"""Whole sheets: a record as it is stored, a training sample with all its targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poseseg_jax.sheets import maps, page
from poseseg_jax.sheets.canvas import hatch, lines, tint
from poseseg_jax.sheets.labels import (
    Labelled,
    abbreviation,
    draw_labels,
    legend_entries,
)
from poseseg_jax.sheets.maps import Sample
from poseseg_jax.sheets.page import Panel
from poseseg_jax.skeleton import ANCHOR_NAMES, NUM_ANCHORS
from poseseg_jax.structs import UNKNOWN_MASK

_RECORD_SIDE = 1100
_THUMB_SIDE = 460
_THUMBS_PER_ROW = 4
# Side of a small panel: half of the input's, but no less and no more than this.
_PANEL_SIDES = (216, 320)
_PANELS_PER_ROW = 9
_TEXT_WIDTH = 1900


def record_sheet(labelled: Labelled, title: str) -> Panel:
    """A picture as it is stored, large, with its labels and what they mean."""
    drawn = draw_labels(labelled, side=_RECORD_SIDE)
    legend = page.legend(legend_entries(), max(drawn.shape[1], 700))
    return page.framed(page.stack([page.titled(drawn, title, size=16), legend]))


def thumbnail(labelled: Labelled, title: str) -> Panel:
    """The same, small, for `contact_sheet`."""
    return page.titled(draw_labels(labelled, side=_THUMB_SIDE, names=False), title)


def contact_sheet(thumbnails: Sequence[Panel], title: str) -> Panel:
    """Many pictures at a glance."""
    grid = page.grid(thumbnails, _THUMBS_PER_ROW)
    legend = page.legend(legend_entries(), max(grid.shape[1], 700))
    return page.framed(page.stack([page.titled(grid, title, size=16), legend]))


def of_sample(sample: Sample) -> Labelled:
    """The labels of an input.

    Its rows do not say whose mask is unknown. Taken for it is who has no pixel, but the
    code of unknown masks in the box.
    """
    picture = sample.picture
    has_mask = np.ones(len(picture.box), bool)
    for row, box in enumerate(np.asarray(picture.box)):
        x0, y0, x1, y1 = np.clip(box, 0, None).astype(int)
        within = picture.people[y0 : y1 + 1, x0 : x1 + 1]
        if box.any() and (within == UNKNOWN_MASK).any():
            has_mask[row] = (picture.people == row + 1).any()
    return Labelled(
        image=picture.image,
        people=picture.people,
        keypoints=picture.keypoints,
        visibility=picture.visibility,
        box=picture.box,
        has_mask=has_mask,
    )


@dataclass(frozen=True)
class Words:
    """What a sheet's blocks are called."""

    input: str
    anchors: str
    mid: str
    long: str


ASKED = Words(
    input="input, with the people map, boxes and keypoints",
    anchors="Heatmap and short offsets: discs, hatched where the heatmap is not asked; "
    "lines lead from cells to the anchor",
    mid="asked where tinted, around the first anchor; lines lead to the second",
    long="Long offsets: asked where tinted, as strongly as people who have the anchor "
    "cover the cell; lines lead to it, between two owners to the mean",
)
SAID = Words(
    input="input, with the people who were found",
    anchors="Heatmap and short offsets: lines lead from cells that believe in the "
    "anchor to where they say it is",
    mid="drawn where the first anchor's heatmap is; lines lead to where the second is "
    "said to be",
    long="Long offsets, drawn where there are people: lines lead from cells to where "
    "they say that their person's anchor is",
)


def sample_sheet(sample: Sample, title: str, *, words: Words = ASKED) -> Panel:
    """An input with its labels, then every target map drawn over it."""
    side = _panel_side(sample)
    middle = side * _PANELS_PER_ROW // 5  # five of them are as wide as nine
    panels = overviews(sample, side=middle)
    overview = page.grid([page.titled(p, name) for name, p in panels.items()], 3)
    input_panel = page.titled(
        draw_labels(of_sample(sample), side=overview.shape[0] - 20),
        words.input,
    )
    blocks = [
        page.titled(page.row([input_panel, overview]), title, size=18),
        _anchor_block(sample, side, words),
        _mid_block(sample, side, words),
        _long_block(sample, side, words),
    ]
    width = max(block.shape[1] for block in blocks)
    legend = page.legend([*legend_entries(), *_map_entries()], width)
    return page.framed(page.stack([*blocks, legend], gap=14))


def sample_thumbnail(sample: Sample, title: str) -> Panel:
    """The input with its labels, small, for `contact_sheet`."""
    return thumbnail(of_sample(sample), title)


def _panel_side(sample: Sample) -> int:
    least, most = _PANEL_SIDES
    return int(np.clip(max(sample.picture.people.shape) // 2, least, most))


def overviews(sample: Sample, *, side: int) -> dict[str, Panel]:
    """A panel for each kind of map, by its name.

    Args:
      sample: what to draw.
      side: of a panel, px.
    """
    return {
        "heatmap, all anchors": maps.all_anchors_panel(sample, side=side),
        "person: share that people cover": maps.person_panel(sample, side=side),
        "body: closeness to a labelled keypoint": maps.body_panel(sample, side=side),
        "mid, outward, one line per disc": maps.all_edges_panel(
            sample, outward=True, side=side
        ),
        "mid, the way back": maps.all_edges_panel(sample, outward=False, side=side),
        "long, to the centre": maps.long_panel(sample, NUM_ANCHORS - 1, side=side),
    }


def _anchor_block(sample: Sample, side: int, words: Words) -> Panel:
    panels = {
        _name(anchor): maps.heatmap_panel(sample, anchor, side=side)
        for anchor in range(NUM_ANCHORS)
    }
    return _block(
        words.anchors,
        panels,
        nowhere=[],
    )


def _mid_block(sample: Sample, side: int, words: Words) -> Panel:
    skeleton = sample.representation.skeleton
    counts = np.asarray(sample.targets.edge).any((0, 1))
    names = [f"{abbreviation(a)} to {abbreviation(b)}" for a, b in skeleton.edges]
    panels = {
        names[edge]: maps.mid_panel(sample, int(edge), side=side)
        for edge in np.flatnonzero(counts)
    }
    return _block(
        f'Mid offsets of the {skeleton.num_edges} edges of the skeleton "'
        f'{skeleton.name}": {words.mid}',
        panels,
        nowhere=[name for name in names if name not in panels],
    )


def _long_block(sample: Sample, side: int, words: Words) -> Panel:
    counts = np.asarray(sample.targets.owned).any((0, 1))
    panels = {
        _name(anchor): maps.long_panel(sample, anchor, side=side)
        for anchor in np.flatnonzero(counts).tolist()
    }
    return _block(
        words.long,
        panels,
        nowhere=[abbreviation(a) for a in np.flatnonzero(~counts).tolist()],
    )


def _block(title: str, panels: dict[str, Panel], *, nowhere: list[str]) -> Panel:
    """Small panels under a title, and the names of those that would be empty."""
    parts = []
    if panels:
        named = [page.titled(panel, name) for name, panel in panels.items()]
        parts.append(page.grid(named, _PANELS_PER_ROW))
    if nowhere:
        parts.append(page.text(f"Nowhere: {', '.join(nowhere)}", _TEXT_WIDTH))
    return page.titled(page.stack(parts), title, size=16)


def _name(anchor: int) -> str:
    return f"{abbreviation(anchor)}: {ANCHOR_NAMES[anchor].replace('_', ' ')}"


def _map_entries() -> page.Legend:
    heat, unasked, offset = page.swatch(), page.swatch(), page.swatch()
    everywhere = np.ones(heat.shape[:2])
    tint(heat, everywhere * np.linspace(0, 0.8, heat.shape[1]), maps.HEAT)
    look = {"color": maps.UNASKED, "opacity": maps.UNASKED_OPACITY}
    hatch(unasked, everywhere > 0, "falling", **look)
    lines(offset, np.array([[4.0, 14.0]]), np.array([[28.0, 4.0]]), (255, 255, 255))
    return [
        (heat, "a map from 0 to 1"),
        (unasked, "the loss does not ask here"),
        (offset, "an offset, from its cell to where it points (some cells only)"),
    ]
