"""The labels of a picture, drawn so that a mistake in them is seen.

People differ by the colour of their mask and box. Their limbs and joints say which side
is which instead: left blue and round, right red and square, so that swapped sides are
seen in any picture; where there is room, joints carry their name as well.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseseg_jax.sheets import page
from poseseg_jax.sheets.canvas import (
    INK,
    PAPER,
    Canvas,
    Color,
    Frame,
    Names,
    hatch,
    lines,
    mark,
    rectangle,
    tint,
    write,
)
from poseseg_jax.skeleton import ANCHOR_NAMES, KEYPOINT_NAMES, LIMBS
from poseseg_jax.structs import IGNORE, MAX_PEOPLE, SEVERAL, UNKNOWN_MASK, Array
from poseseg_jax.visualize import PALETTE

SIDE_COLORS: dict[str, Color] = {
    "left": (70, 190, 255),
    "right": (255, 80, 50),
    "middle": (255, 255, 255),
}
SHAPES = {"left": "circle", "right": "square", "middle": "diamond"}
_FILL = 0.4  # opacity of a mask
_NAMED = 150  # px on the canvas from which a person's joints are named
# Names that matter most come first: later ones have to make way.
_NAMED_FIRST = (5, 6, 11, 12, 9, 10, 15, 16, 7, 8, 13, 14, 1, 2, 0, 3, 4)


def side_of(anchor: int) -> str:
    """ "left", "right" or "middle"."""
    side = ANCHOR_NAMES[anchor].partition("_")[0]
    return side if side in SIDE_COLORS else "middle"


def abbreviation(anchor: int) -> str:
    """LSh is the left shoulder, RAn the right ankle, Nos the nose."""
    side, _, part = ANCHOR_NAMES[anchor].rpartition("_")
    return side[:1].upper() + part[: 2 if side else 3].capitalize()


def person_color(row: int) -> Color:
    """Of the person in that row; colours come again after seven."""
    return PALETTE[row % len(PALETTE)]


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture with its labels, in its own pixels. Rows with an empty box are padding.

    Attributes:
      image: RGB.
      people: codes of structs.py; the person in row i has code i + 1.
      keypoints, visibility, box: as in structs.Batch.
      has_mask: False: the person's pixels are not known, and its box is dashed.
    """

    image: UInt8[Array, "H W 3"]
    people: UInt8[Array, "H W"]
    keypoints: Float[Array, "N K 2"]
    visibility: UInt8[Array, "N K"]
    box: Float[Array, "N 4"]
    has_mask: Bool[Array, " N"]

    @property
    def rows(self) -> list[int]:
        """Of those who are there."""
        return np.flatnonzero(np.asarray(self.box).any(-1)).tolist()


def draw_labels(labelled: Labelled, *, side: int, names: bool = True) -> Canvas:
    """The picture with people map, boxes, limbs and joints over it.

    Args:
      labelled: what to draw.
      side: of the result, px; the longer one.
      names: whether joints are named where there is room.
    """
    height, width = labelled.people.shape
    frame = Frame.fitting(height, width, side)
    canvas = frame.paint(labelled.image)
    add_people_map(canvas, frame.spread(labelled.people))
    for row in labelled.rows:
        _add_box(canvas, frame, labelled, row)
    for row in labelled.rows:
        _add_person(canvas, frame, labelled, row)
    if names:
        written = Names(canvas, size=12)
        for row in reversed(labelled.rows):  # those drawn last lie on top
            _add_names(frame, labelled, row, written)
    return canvas


def add_people_map(canvas: Canvas, codes: UInt8[np.ndarray, "H W"]) -> None:
    """Tints each person, and hatches what belongs to several, nobody knows, or is
    ignored. `codes` are those of structs.py for every pixel of the canvas."""
    colors = np.zeros((IGNORE + 1, 3), np.uint8)
    colors[1 : MAX_PEOPLE + 1] = [person_color(row) for row in range(MAX_PEOPLE)]
    is_one = (codes > 0) & (codes <= MAX_PEOPLE)
    tint(canvas, is_one * _FILL, colors[codes])
    tint(canvas, (codes == IGNORE) * 0.55, INK)
    hatch(canvas, codes == IGNORE, "crossed", (150, 150, 150), opacity=0.6)
    hatch(canvas, codes == SEVERAL, "rising", PAPER, opacity=0.8)
    hatch(canvas, codes == UNKNOWN_MASK, "falling", (255, 235, 60), opacity=0.6)


def legend_entries() -> page.Legend:
    """What `draw_labels` draws, in words."""
    entries: list[tuple[page.Panel, str]] = []
    for codes, meaning in (
        ((1, 2, 3), "pixels of one person each"),
        ((SEVERAL,), "of several people"),
        ((UNKNOWN_MASK,), "in the box of somebody whose mask is unknown"),
        ((IGNORE,), "ignored: crowd, padding, people left out"),
    ):
        picture = page.swatch()
        columns = np.arange(picture.shape[1]) * len(codes) // picture.shape[1]
        row = np.array(codes, np.uint8)[columns]
        add_people_map(picture, np.tile(row, (picture.shape[0], 1)))
        entries.append((picture, meaning))
    for side in SIDE_COLORS:
        meaning = "nose" if side == "middle" else f"the person's {side} side"
        if side == "left":
            meaning += ": at the right of a picture that they look out of"
        entries.append((_swatch_of(side, hollow=False), meaning))
    entries.append((_swatch_of("left", hollow=True), "hollow: labelled as hidden"))
    for dashed, meaning in ((False, "box"), (True, "box without a mask")):
        picture = page.swatch()
        rectangle(
            picture, np.array([5.0, 4.0, 29.0, 14.0]), person_color(0), dashed=dashed
        )
        entries.append((picture, meaning))
    return entries


def _swatch_of(side: str, *, hollow: bool) -> Canvas:
    picture, color = page.swatch(), SIDE_COLORS[side]
    ends = np.array([[2.0, 9.0]]), np.array([[32.0, 9.0]])
    lines(picture, *ends, color, width=2, rim=True)
    middle = np.array([17.0, 9.0])
    mark(picture, middle, SHAPES[side], color, radius=5, hollow=hollow)
    return picture


def _add_box(canvas: Canvas, frame: Frame, labelled: Labelled, row: int) -> None:
    box = frame.place(np.asarray(labelled.box)[row].reshape(2, 2))
    # Outer edges, which the picture's own may be.
    limit = np.array(canvas.shape[1::-1]) - 1.5
    box = np.clip(box, 0.5, limit).reshape(4)
    dashed = not labelled.has_mask[row]
    rectangle(canvas, box, person_color(row), dashed=dashed)
    if box[3] - box[1] >= 40:
        at = (box[0] + 2, box[1] + 1)
        write(canvas, f"#{row + 1}", at, size=11, color=person_color(row), rim=INK)


def _points(frame: Frame, labelled: Labelled, row: int):
    """Joints on the canvas, which of them are labelled, and how far they reach."""
    points = frame.place(np.asarray(labelled.keypoints)[row])
    is_labelled = np.asarray(labelled.visibility)[row] > 0
    extent = np.ptp(points[is_labelled], axis=0).max() if is_labelled.any() else 0.0
    return points, is_labelled, float(extent)


def _add_person(canvas: Canvas, frame: Frame, labelled: Labelled, row: int) -> None:
    points, is_labelled, extent = _points(frame, labelled, row)
    width = int(np.clip(extent / 110, 1, 3))
    for rim in (True, False):  # all rims first, so that no rim crosses a limb
        for a, b in LIMBS.tolist():
            if is_labelled[a] and is_labelled[b]:
                sides = {side_of(a), side_of(b)} - {"middle"}
                color = SIDE_COLORS[sides.pop() if len(sides) == 1 else "middle"]
                ends = points[a][None], points[b][None]
                lines(canvas, *ends, color, width=width, rim=rim)
    radius = float(np.clip(extent / 55, 1.8, 5))
    for joint in np.flatnonzero(is_labelled).tolist():
        side = side_of(joint)
        hidden = int(labelled.visibility[row][joint]) == 1
        look = SHAPES[side], SIDE_COLORS[side]
        mark(canvas, points[joint], *look, radius=radius, hollow=hidden)


def _add_names(frame: Frame, labelled: Labelled, row: int, names: Names) -> None:
    points, is_labelled, extent = _points(frame, labelled, row)
    if extent < _NAMED:
        return
    for joint in _NAMED_FIRST:
        if is_labelled[joint]:
            color = SIDE_COLORS[side_of(joint)]
            names.beside(points[joint], abbreviation(joint), color, gap=8)


assert sorted(_NAMED_FIRST) == list(range(len(KEYPOINT_NAMES)))
