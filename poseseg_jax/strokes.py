"""The lines and colours of which pictures of people are made, drawn into a canvas.

A person has one colour, from Okabe and Ito's palette (jfly.uni-koeln.de/color), which
people with any colour vision tell apart. Limbs of the left side are pale, those of the
right side full, and every line has a dark rim: bright on dark, dark on bright. A joint
is a disc where it is sure and a ring where it is not.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Int

from poseseg_jax.geometry import apply_affine, resize_affine
from poseseg_jax.skeleton import KEYPOINT_NAMES, LIMBS
from poseseg_jax.structs import Array

PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 200, 140),  # lighter than the palette's, to stand out from its dark rim
    (240, 228, 66),
    (60, 130, 220),  # likewise
    (235, 100, 30),
    (222, 130, 180),
)
RIM = (20, 20, 20)
WHITE = (255, 255, 255)
_FOUND, _SURE = 0.1, 0.5  # confidence from which a joint is drawn, and is a disc
_PALENESS = {"left": 0.6, "right": 0.0, "middle": 0.3}  # share of white
_FILL = 0.4  # opacity of a mask
_RIMMED_MASK = 900  # px from which an outline has a rim: it would hide smaller masks
SUBPIXEL_BITS = 4  # OpenCV's fixed-point coordinates; see `fixed`


def fixed(points: Float[Array, "*n 2"]) -> Int[np.ndarray, "*n 2"]:
    """Points as OpenCV takes them between pixels: whole numbers of 1/16 px."""
    clipped = np.clip(points, -1e4, 1e4) * 2**SUBPIXEL_BITS
    return clipped.round().astype(np.int32)


def _from_worst(score: Float[Array, "D"]) -> list[int]:
    """Slots that hold somebody, the best last: what is drawn last lies on top."""
    score = np.asarray(score)
    return [int(slot) for slot in np.argsort(score, kind="stable") if score[slot] > 0]


def _color(hue: int, paleness: float = 0.0) -> tuple[int, int, int]:
    pale = [round(c + (255 - c) * paleness) for c in PALETTE[hue % len(PALETTE)]]
    return pale[0], pale[1], pale[2]


def add_masks(
    canvas: np.ndarray,
    masks: Array,
    score: Array,
    zoom: int,
    colors: Sequence[int] | None,
) -> None:
    """Tints and outlines the people of a canvas that is `zoom` times as large."""
    width = max(1, round(max(canvas.shape[:2]) / 400))
    for slot in _from_worst(score):
        color = _color(colors[slot] if colors else slot)
        whole = np.asarray(masks[slot])
        rows, columns = (np.flatnonzero(whole.any(axis)) for axis in (1, 0))
        if not len(rows):
            continue
        # All work is on the part of the picture where the person is.
        top, left = int(rows[0]), int(columns[0])
        part = whole[top : rows[-1] + 1, left : columns[-1] + 1]
        mask = part.repeat(zoom, axis=0).repeat(zoom, axis=1)
        corner = (left * zoom, top * zoom)
        region = canvas[corner[1] :, corner[0] :][: mask.shape[0], : mask.shape[1]]
        paint = np.broadcast_to(np.array(color, np.uint8), region.shape)
        tinted = cv2.addWeighted(region, 1 - _FILL, np.array(paint), _FILL, 0)
        np.copyto(region, tinted, where=mask[..., None])
        outlines, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=corner
        )
        if mask.sum() >= _RIMMED_MASK:
            cv2.drawContours(canvas, outlines, -1, RIM, width + 2, cv2.LINE_AA)
        cv2.drawContours(canvas, outlines, -1, color, width, cv2.LINE_AA)


def add_poses(
    canvas: np.ndarray,
    keypoints: Array,
    confidence: Array,
    score: Array,
    zoom: int,
    colors: Sequence[int] | None,
) -> None:
    """Draws the skeletons of people on a canvas that is `zoom` times as large."""
    for slot in _from_worst(score):
        hue = colors[slot] if colors else slot
        pose = np.asarray(keypoints[slot])
        points = np.asarray(apply_affine(resize_affine(zoom), pose))
        trust = np.asarray(confidence[slot])
        is_found = trust >= _FOUND
        if not is_found.any():
            continue
        extent = np.ptp(points[is_found], axis=0).max()
        width = int(np.clip(extent / 60, 1, max(2, max(canvas.shape[:2]) / 160)))
        _add_limbs(canvas, points, is_found, hue, width)
        for joint in np.flatnonzero(is_found):
            is_sure = bool(trust[joint] >= _SURE)
            _add_joint(canvas, points[joint], hue, width, is_sure)


def _add_limbs(
    canvas: np.ndarray, points: np.ndarray, is_found: np.ndarray, hue: int, width: int
) -> None:
    limbs = [(a, b) for a, b in LIMBS.tolist() if is_found[a] and is_found[b]]
    for a, b in limbs:  # all rims first, so that no rim crosses a limb
        _add_line(canvas, points[a], points[b], RIM, width + 2)
    for a, b in limbs:
        _add_line(
            canvas, points[a], points[b], _color(hue, _PALENESS[_side(a, b)]), width
        )


def _side(a: int, b: int) -> str:
    sides = {KEYPOINT_NAMES[joint].partition("_")[0] for joint in (a, b)} - {"nose"}
    return sides.pop() if len(sides) == 1 else "middle"


def _add_line(
    canvas: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    color: tuple[int, int, int],
    width: int,
) -> None:
    ends = fixed(start).tolist(), fixed(end).tolist()
    cv2.line(canvas, *ends, color, width, cv2.LINE_AA, SUBPIXEL_BITS)


def _add_joint(
    canvas: np.ndarray, point: np.ndarray, hue: int, width: int, is_sure: bool
) -> None:
    radius = width + 1
    rings = (
        [(radius + 1, RIM), (radius, WHITE), (radius - 1, _color(hue))]
        if is_sure
        else [(radius + 1, _color(hue, 0.3)), (max(radius * 0.6, radius - 2), RIM)]
    )
    for size, color in rings:
        at, reach = fixed(point).tolist(), round(size * 2**SUBPIXEL_BITS)
        cv2.circle(canvas, at, reach, color, -1, cv2.LINE_AA, SUBPIXEL_BITS)
