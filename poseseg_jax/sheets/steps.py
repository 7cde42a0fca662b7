"""The decoder's steps drawn over their input: votes, candidates, walks, skeletons."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from poseseg_jax.sheets.canvas import (
    INK,
    PAPER,
    Canvas,
    Color,
    lines,
    mark,
    text_size,
    tint,
    write,
)
from poseseg_jax.sheets.labels import SHAPES, side_of
from poseseg_jax.sheets.maps import Sample, color_of
from poseseg_jax.skeleton import LIMBS, NUM_ANCHORS, NUM_KEYPOINTS
from poseseg_jax.structs import Array

_LEAST, _MOST = 2.0, 6.0  # px on the canvas, radius of a mark
_LETTERS = 14  # px
_DIM = 0.3  # share of a backdrop's light that is left beneath many lines


def strongest_panel(
    sample: Sample, values: Float[Array, "h w A"], *, side: int
) -> Canvas:
    """Of each cell the anchor with the largest value, as strongly as that is.

    Args:
      sample: the input.
      values: of each anchor; 1 and more is drawn alike.
      side: of the panel, px.
    """
    frame, stride = sample.frame(side), sample.representation.map_stride
    canvas, values = sample.backdrop(frame), np.asarray(values)
    strongest, strength = values.argmax(-1), values.max(-1).clip(0, 1)
    for anchor in range(NUM_ANCHORS):
        theirs = np.where(strongest == anchor, strength, 0)
        tint(canvas, frame.spread(theirs, stride) * 0.85, color_of(anchor))
    return canvas


def candidates_panel(
    sample: Sample,
    anchors: Sequence[int],
    positions: Float[np.ndarray, "n 2"],
    sizes: Float[np.ndarray, " n"],
    *,
    side: int,
    colors: Sequence[Color] | None = None,
) -> Canvas:
    """A mark for each, in the shape of its side; the first ones lie on top.

    Args:
      sample: the input.
      anchors: types.
      positions: input px.
      sizes: 0 to 1.
      side: of the panel, px.
      colors: of each; None: of its type.
    """
    frame = sample.frame(side)
    canvas = sample.backdrop(frame)
    points = frame.place(positions)
    for index in reversed(range(len(anchors))):
        anchor = int(anchors[index])
        color = colors[index] if colors else color_of(anchor)
        radius = _LEAST + (_MOST - _LEAST) * float(np.sqrt(sizes[index]))
        mark(canvas, points[index], SHAPES[side_of(anchor)], color, radius=radius)
    return canvas


def walk_panel(
    sample: Sample, root: int, pose: Float[np.ndarray, "A 2"], *, side: int
) -> Canvas:
    """The steps by which one candidate grows its pose, and where they end.

    Args:
      sample: the input.
      root: the candidate's type.
      pose: what it grows, input px.
      side: of the panel, px.
    """
    frame, skeleton = sample.frame(side), sample.representation.skeleton
    canvas, points = sample.backdrop(frame), frame.place(pose)
    edge, depth = (table[root] for table in skeleton.walks())
    reached = [int(a) for a in np.argsort(-depth, kind="stable") if depth[a] > 0]
    for anchor in reached:
        start = points[skeleton.sources[edge[anchor]]]
        width = 3 if depth[anchor] == 1 else 1
        ends = start[None], points[anchor][None]
        lines(canvas, *ends, color_of(anchor), width=width, rim=True)
    for anchor in [*reached, root]:
        radius = _MOST if anchor == root else 4.0
        look = SHAPES[side_of(anchor)], color_of(anchor)
        mark(canvas, points[anchor], *look, radius=radius)
    return canvas


def skeletons_panel(
    sample: Sample,
    poses: Float[np.ndarray, "n A 2"],
    colors: Sequence[Color],
    *,
    side: int,
    width: int = 1,
    shown: Bool[np.ndarray, "n K"] | None = None,
    names: Sequence[str] = (),
) -> Canvas:
    """The limbs of each pose; the first ones lie on top.

    Args:
      sample: the input.
      poses: input px.
      colors: of each.
      side: of the panel, px.
      width: of a limb, px; from 2 on it has a rim.
      shown: which of its keypoints; None: all.
      names: of each, written at its topmost keypoint.
    """
    frame = sample.frame(side)
    canvas = sample.backdrop(frame)
    canvas[:] = canvas * (_DIM if width == 1 else 1.0)
    if shown is None:
        shown = np.ones((len(poses), NUM_KEYPOINTS), bool)
    places = frame.place(poses)
    for index in reversed(range(len(poses))):
        points = places[index]
        for a, b in LIMBS.tolist():
            if shown[index, a] and shown[index, b]:
                ends = points[a][None], points[b][None]
                lines(canvas, *ends, colors[index], width=width, rim=width > 1)
    for index, name in reversed(list(enumerate(names))):
        if shown[index].any():
            seen = places[index][:NUM_KEYPOINTS][shown[index]]
            x, y = (float(value) for value in seen[seen[:, 1].argmin()])
            room = canvas.shape[1] - text_size(name, _LETTERS)[0]
            at = (min(max(x - _LETTERS, 0), room), max(y - 1.6 * _LETTERS, 0))
            write(canvas, name, at, size=_LETTERS, color=PAPER, rim=INK)
    return canvas


def shares_panel(
    sample: Sample,
    masks: Float[np.ndarray, "D p q"],
    colors: Sequence[Color],
    *,
    side: int,
) -> Canvas:
    """Cells of the person map in the colours of those whose they are.

    Args:
      sample: the input.
      masks: probability that a cell is theirs.
      colors: of each person.
      side: of the panel, px.
    """
    frame, stride = sample.frame(side), sample.representation.person_stride
    canvas = sample.backdrop(frame)
    for mask, color in zip(masks, colors, strict=True):
        tint(canvas, frame.spread(mask, stride) * 0.8, color)
    return canvas
