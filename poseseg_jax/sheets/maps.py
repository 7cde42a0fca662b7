"""Target maps drawn over their input, one panel at a time.

Cells are put on the pixels that geometry.py says, offsets as lines from the cell to
where they point: perfect ones meet in their anchor. What no loss asks for is hatched
(heatmap, person, body) or has neither tint nor lines (offsets).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from poseseg_jax import occupancy
from poseseg_jax.geometry import cell_centers
from poseseg_jax.representation import Representation
from poseseg_jax.sheets.canvas import (
    INK,
    Canvas,
    Color,
    Frame,
    Names,
    hatch,
    lines,
    tint,
)
from poseseg_jax.sheets.labels import (
    SIDE_COLORS,
    abbreviation,
    person_color,
    side_of,
)
from poseseg_jax.skeleton import CENTER, NUM_ANCHORS
from poseseg_jax.structs import Array, Batch, Targets

HEAT: Color = (255, 190, 0)
UNASKED: Color = (255, 60, 160)
UNASKED_OPACITY = 0.5
_SOURCE: Color = (255, 230, 120)
_TINT = 0.55
_LINES_PER_DISC = 5  # across
_LINES_APART = 7  # px on the canvas, at least about
_LINES_PER_PERSON = (4, 40)
_LINE_AREA = 90  # px on the canvas that a line has for itself, between those limits
_AS_STRONG = 0.8  # of the strongest heatmap of a cell
_NAMED_SIDE = 20  # px on the canvas from which a disc has its anchor's name


@dataclass(frozen=True, eq=False)
class Sample:
    """An input with its targets, both without batch axis, as NumPy arrays."""

    picture: Batch
    targets: Targets
    representation: Representation

    def frame(self, side: int) -> Frame:
        """The frame in which the input has `side` canvas pixels."""
        height, width = self.picture.people.shape
        return Frame.fitting(height, width, side)

    def backdrop(self, frame: Frame) -> Canvas:
        """The input, grey and dark, for colours to stand out from it."""
        gray = cv2.cvtColor(frame.paint(self.picture.image), cv2.COLOR_RGB2GRAY)
        return np.repeat((gray[..., None] * 0.5 + 20).astype(np.uint8), 3, axis=2)

    @property
    def cells(self) -> Float[np.ndarray, "h w 2"]:
        """Where the cells of all maps but `person` are, input px."""
        height, width = self.targets.maps.body.shape
        return cell_centers(height, width, self.representation.map_stride)


def heatmap_panel(sample: Sample, anchor: int, *, side: int) -> Canvas:
    """Discs of one anchor, where they are asked, and the short offsets in them."""
    frame, stride = sample.frame(side), sample.representation.map_stride
    canvas, truth = sample.backdrop(frame), sample.targets
    heat = np.asarray(truth.maps.heatmap)[..., anchor]
    tint(canvas, frame.spread(heat, stride) * _TINT, color_of(anchor))
    _hatch_unasked(canvas, frame, truth.asked[..., anchor], stride)
    near = np.asarray(truth.near)[..., anchor]
    offsets = np.asarray(truth.maps.short)[..., anchor, :]
    _offset_lines(canvas, frame, sample, _thinned(near > 0, sample, frame), offsets)
    return canvas


def mid_panel(sample: Sample, edge: int, *, side: int) -> Canvas:
    """Mid offsets of one directed edge, and where they count."""
    frame, stride = sample.frame(side), sample.representation.map_stride
    canvas, truth = sample.backdrop(frame), sample.targets
    source, target = sample.representation.skeleton.edges[edge]
    weight = np.asarray(truth.edge)[..., edge]
    tint(canvas, frame.spread(_share(weight), stride) * _TINT, color_of(source))
    offsets = np.asarray(truth.maps.mid)[..., edge, :]
    chosen = _thinned(weight > 0, sample, frame)
    _offset_lines(canvas, frame, sample, chosen, offsets, _pale(color_of(target)))
    return canvas


def long_panel(sample: Sample, anchor: int, *, side: int) -> Canvas:
    """Long offsets to one anchor, in the colours of those who own most of the cells."""
    frame, stride = sample.frame(side), sample.representation.map_stride
    canvas, truth = sample.backdrop(frame), sample.targets
    owned = np.asarray(truth.owned)[..., anchor]
    owner = np.where(owned > 0, _main_owner(sample, anchor), -1)
    offsets = np.asarray(truth.maps.long)[..., anchor, :]
    for row in np.unique(owner[owner >= 0]):
        theirs = np.where(owner == row, _share(owned), 0)
        color = person_color(int(row))
        tint(canvas, frame.spread(theirs, stride) * _TINT, color)
        chosen = _some_of(theirs > 0, stride * frame.scale)
        _offset_lines(canvas, frame, sample, chosen, offsets, _pale(color))
    return canvas


def _main_owner(sample: Sample, anchor: int) -> Int[np.ndarray, "h w"]:
    """Of the owners of a cell who have the anchor, the row of who has most of it."""
    stride, picture = sample.representation.map_stride, sample.picture
    rows, shares = map(np.asarray, occupancy.owners(picture.people, stride=stride))
    has = np.ones(len(picture.box) + 1, bool)  # the last is nobody, row -1
    if anchor != CENTER:
        has[:-1] = np.asarray(picture.visibility)[:, anchor] > 0
    main = np.argmax(shares * has[rows], axis=-1)
    return np.take_along_axis(rows, main[..., None], axis=-1)[..., 0]


def person_panel(sample: Sample, *, side: int) -> Canvas:
    """The fraction of each cell that people cover."""
    stride = sample.representation.person_stride
    maps, asked = sample.targets.maps, sample.targets.asked_person
    return _heat_panel(sample, maps.person, asked, stride, side)


def body_panel(sample: Sample, *, side: int) -> Canvas:
    """Closeness to any labelled keypoint."""
    stride = sample.representation.map_stride
    maps, asked = sample.targets.maps, sample.targets.asked_body
    return _heat_panel(sample, maps.body, asked, stride, side)


def all_anchors_panel(sample: Sample, *, side: int) -> Canvas:
    """The heatmaps of all anchors; of those that are as strong, the nearest one's."""
    frame, stride = sample.frame(side), sample.representation.map_stride
    canvas, maps = sample.backdrop(frame), sample.targets.maps
    heat, short = np.asarray(maps.heatmap), np.asarray(maps.short)
    strength = heat.max(-1)
    is_strong = (heat > 0) & (heat >= _AS_STRONG * strength[..., None])
    distance = np.where(is_strong, np.linalg.norm(short, axis=-1), np.inf)
    nearest = distance.argmin(-1)
    for anchor in range(NUM_ANCHORS):
        theirs = np.where(nearest == anchor, strength, 0)
        opacity = frame.spread(theirs, stride) * 0.75
        tint(canvas, opacity, color_of(anchor))
    ends = (
        sample.cells + np.take_along_axis(short, nearest[..., None, None], 2)[:, :, 0]
    )
    found = np.isfinite(distance.min(-1))
    _name_anchors(canvas, frame, ends[found], nearest[found], stride)
    return canvas


def all_edges_panel(sample: Sample, *, outward: bool, side: int) -> Canvas:
    """Mid offsets from the middle of each disc, in the colour of where they lead.

    Args:
      sample: what to draw.
      outward: those edges whose way back comes later in the skeleton's list, or those
        that are such a way back.
      side: of the panel, px.
    """
    frame = sample.frame(side)
    canvas, truth = sample.backdrop(frame), sample.targets
    edges = sample.representation.skeleton.edges
    place = {edge: index for index, edge in enumerate(edges)}
    short = np.linalg.norm(np.asarray(truth.maps.short), axis=-1)
    reach = 0.71 * sample.representation.map_stride  # half a cell's diagonal
    for index, (source, target) in enumerate(edges):
        if (place[target, source] > index) != outward:
            continue
        counts = np.asarray(truth.edge)[..., index] > 0
        chosen = counts & (short[..., source] <= reach)
        offsets = np.asarray(truth.maps.mid)[..., index, :]
        color = color_of(target if outward else source)
        _offset_lines(canvas, frame, sample, chosen, offsets, color)
    return canvas


def _heat_panel(
    sample: Sample, values: Array, asked: Array, stride: int, side: int
) -> Canvas:
    frame = sample.frame(side)
    canvas = sample.backdrop(frame)
    tint(canvas, frame.spread(values, stride) * 0.8, HEAT)
    _hatch_unasked(canvas, frame, asked, stride)
    return canvas


def _hatch_unasked(canvas: Canvas, frame: Frame, asked: Array, stride: int) -> None:
    where = frame.spread(np.asarray(asked) == 0, stride)
    hatch(canvas, where, "falling", UNASKED, opacity=UNASKED_OPACITY)


def _thinned(
    counts: Bool[np.ndarray, "h w"], sample: Sample, frame: Frame
) -> Bool[np.ndarray, "h w"]:
    """Every n-th of the cells that count, so that a disc has a few lines across."""
    representation = sample.representation
    across = 2 * representation.radius / representation.map_stride
    apart = _LINES_APART / (representation.map_stride * frame.scale)
    step = max(round(across / _LINES_PER_DISC), round(apart), 1)
    regular = np.zeros_like(counts)
    regular[::step, ::step] = True
    return counts & regular


def _some_of(
    counts: Bool[np.ndarray, "h w"], cell_side: float
) -> Bool[np.ndarray, "h w"]:
    """Cells spread evenly over those of a person, more of a larger person.

    Args:
      counts: the person's cells.
      cell_side: of a cell on the canvas, px.
    """
    cells = np.argwhere(counts)
    room = len(cells) * cell_side**2 / _LINE_AREA
    count = min(int(np.clip(room, *_LINES_PER_PERSON)), len(cells))
    kept = cells[np.linspace(0, len(cells) - 1, count).round().astype(int)]
    chosen = np.zeros_like(counts)
    chosen[tuple(kept.T)] = True
    return chosen


def _offset_lines(
    canvas: Canvas,
    frame: Frame,
    sample: Sample,
    chosen: Bool[np.ndarray, "h w"],
    offsets: Float[np.ndarray, "h w 2"],
    color: Color = (255, 255, 255),
) -> None:
    """A line from each chosen cell to where its offset points, with a dot there."""
    if not chosen.any():
        return
    starts = sample.cells[chosen]
    ends = frame.place(starts + offsets[chosen])
    lines(canvas, frame.place(starts), ends, color)
    for x, y in np.unique(ends.round().astype(int), axis=0).clip(-9999, 9999).tolist():
        cv2.circle(canvas, (x, y), 2, INK, -1, cv2.LINE_AA)
        cv2.circle(canvas, (x, y), 1, color, -1, cv2.LINE_AA)


def _name_anchors(
    canvas: Canvas,
    frame: Frame,
    places: Float[np.ndarray, "n 2"],
    anchors: Int[np.ndarray, " n"],
    stride: int,
) -> None:
    """Names each anchor once, if enough cells (`places`: where it is) are its own."""
    points = np.concatenate([places.round(), anchors[:, None]], axis=1)
    found, cells = np.unique(points, axis=0, return_counts=True)
    names = Names(canvas, size=11)
    for index in np.argsort(-cells, kind="stable"):
        if np.sqrt(cells[index]) * stride * frame.scale >= _NAMED_SIDE:
            x, y, anchor = found[index]
            name = abbreviation(int(anchor))
            names.over(frame.place(np.array([x, y])), name, INK)


def _share(weight: np.ndarray) -> np.ndarray:
    """Weights as a fraction of the largest."""
    return weight / max(float(weight.max()), 1e-9)


def color_of(anchor: int) -> Color:
    """Of the side that the anchor is on; the centre has a colour of its own."""
    return _SOURCE if anchor == CENTER else SIDE_COLORS[side_of(anchor)]


def _pale(color: Color) -> Color:
    red, green, blue = ((value + 255) // 2 for value in color)
    return red, green, blue
