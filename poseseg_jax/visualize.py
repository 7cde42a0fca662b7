"""People drawn over their picture: poses, masks, both, and truth beside prediction.

Everything is given in pixels of the picture on which it is drawn. Small pictures are
enlarged by a whole factor first, so that a pose of 50 pixels can be read.

A person has one colour, from Okabe and Ito's palette (jfly.uni-koeln.de/color), which
people with any colour vision tell apart. Limbs of the left side are pale, those of the
right side full, and every line has a dark rim: bright on dark, dark on bright. A joint
is a disc where it is sure and a ring where it is not.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

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
_RIM = (20, 20, 20)
_WHITE = (255, 255, 255)
_PALENESS = {"left": 0.6, "right": 0.0, "middle": 0.3}  # share of white
_FILL = 0.4  # opacity of a mask
_RIMMED_MASK = 900  # px from which an outline has a rim: it would hide smaller masks
_ENLARGED_SIDE = 480  # px to which the longer side is brought at least
_SUBPIXEL_BITS = 4  # OpenCV's fixed-point coordinates

Picture = UInt8[np.ndarray, "H W 3"]


def confidence_of_labels(
    visibility: UInt8[Array, "*n K"],
) -> Float[np.ndarray, "*n K"]:
    """The `confidence` that draws a hidden label as a ring, a visible one as a disc."""
    return np.array([0.0, 0.25, 1.0])[np.asarray(visibility)]


def draw_pose(
    image: Picture,
    keypoints: Float[Array, "D K 2"],
    confidence: Float[Array, "D K"],
    score: Float[Array, "D"],
    *,
    found: float = 0.1,
    sure: float = 0.5,
    zoom: int | None = None,
    colors: Sequence[int] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draws skeletons.

    Args:
      image: RGB.
      keypoints: (x, y) in pixels of `image`.
      confidence: 0 to 1 per keypoint; see `confidence_of_labels` for the truth.
      score: of the person; 0 is an empty slot. Better people lie on top.
      found: confidence from which a joint is drawn.
      sure: confidence from which it is a disc and not a ring.
      zoom: factor by which the picture is enlarged; None: so that its longer side has
        480 px at least.
      colors: of each person, from PALETTE; None: one after the other. See
        `choose_colors`.

    Returns:
      RGB, `zoom` times as large as `image`.
    """
    zoom = zoom or _zoom_for(image)
    canvas = _enlarge(image, zoom)
    _add_poses(canvas, keypoints, confidence, score, (found, sure), zoom, colors)
    return canvas


def draw_masks(
    image: Picture,
    masks: Bool[Array, "D H W"],
    score: Float[Array, "D"],
    *,
    zoom: int | None = None,
    colors: Sequence[int] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draws masks, transparent and with an outline; see `draw_pose`.

    Args:
      image: RGB.
      masks: pixels of each person.
      score: of the person; 0 is an empty slot.
      zoom, colors: as in `draw_pose`.
    """
    zoom = zoom or _zoom_for(image)
    canvas = _enlarge(image, zoom)
    _add_masks(canvas, masks, score, zoom, colors)
    return canvas


def draw_joint(
    image: Picture,
    keypoints: Float[Array, "D K 2"],
    confidence: Float[Array, "D K"],
    score: Float[Array, "D"],
    masks: Bool[Array, "D H W"],
    *,
    found: float = 0.1,
    sure: float = 0.5,
    zoom: int | None = None,
    colors: Sequence[int] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draws masks and, above them, skeletons in the same colours; see `draw_pose`."""
    zoom = zoom or _zoom_for(image)
    canvas = _enlarge(image, zoom)
    _add_masks(canvas, masks, score, zoom, colors)
    _add_poses(canvas, keypoints, confidence, score, (found, sure), zoom, colors)
    return canvas


def choose_colors(
    centers: Float[Array, "D 2"], *, taken: Mapping[int, int] | None = None
) -> list[int]:
    """Colours such that those who have the same are far from each other.

    As long as there are colours that nobody has, each takes the first of them.

    Args:
      centers: of the people, (x, y), best person first.
      taken: colours that some of them, by slot, have already.

    Returns:
      For each person a place in PALETTE.
    """
    centers = np.asarray(centers, np.float64)
    colors = dict(taken or {})
    for slot in range(len(centers)):
        if slot in colors:
            continue
        room = np.full(len(PALETTE), np.inf)
        for other, color in colors.items():
            apart = float(np.linalg.norm(centers[slot] - centers[other]))
            room[color] = min(room[color], apart)
        colors[slot] = int(np.argmax(room))
    return [colors[slot] for slot in range(len(centers))]


def side_by_side(
    truth: Picture,
    prediction: UInt8[np.ndarray, "h w 3"],
    *,
    captions: tuple[str, str] = ("truth", "prediction"),
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Two pictures in a row, each under its caption; the lower one is padded below."""
    height = max(truth.shape[0], prediction.shape[0])
    panels = [
        _captioned(image, caption, height)
        for image, caption in zip((truth, prediction), captions, strict=True)
    ]
    gap = np.full((panels[0].shape[0], 4, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1]], axis=1)


def sheet(
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    *,
    columns: int = 2,
    width: int = 900,
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pictures of any size on one sheet, row by row.

    Args:
      pictures: RGB, one at least.
      columns: pictures in a row.
      width: px to which each picture is resized.
    """
    gap, rows = 12, []
    resized = [_resize_to(picture, width) for picture in pictures]
    for first in range(0, len(resized), columns):
        row = resized[first : first + columns]
        height = max(picture.shape[0] for picture in row) + gap
        across = columns * (width + gap) - gap if len(resized) > 1 else width
        paper = np.full((height, across, 3), 255, np.uint8)
        for column, picture in enumerate(row):
            left = column * (width + gap)
            paper[: picture.shape[0], left : left + width] = picture
        rows.append(paper)
    return np.concatenate(rows)[:-gap]


def at_most(picture: UInt8[np.ndarray, "_ _ 3"], width: int) -> np.ndarray:
    """The picture, reduced to `width` px if it is wider."""
    return _resize_to(picture, width) if picture.shape[1] > width else picture


def write_png(path: str | Path, image: Picture) -> None:
    """Writes an RGB picture, and the folders above it.

    Raises:
      OSError: if the file cannot be written.
    """
    done, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done, f"OpenCV did not encode {image.shape} for {path}."
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(encoded.tobytes())


def write_jpeg(path: str | Path, image: Picture, *, quality: int = 85) -> None:
    """Writes an RGB picture, and the folders above it, with all of its colour.

    Args:
      path: of the file.
      image: to write.
      quality: 0 to 100.

    Raises:
      OSError: if the file cannot be written.
    """
    whole = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444  # or thin lines would lose theirs
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, whole]
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)
    assert done, f"OpenCV did not encode {image.shape} for {path}."
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(encoded.tobytes())


def _resize_to(image: np.ndarray, width: int) -> np.ndarray:
    size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
    shrinks = width < image.shape[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=way))


def _zoom_for(image: Picture) -> int:
    return -(-_ENLARGED_SIDE // max(image.shape[:2]))


def _enlarge(image: Picture, zoom: int) -> np.ndarray:
    size = (image.shape[1] * zoom, image.shape[0] * zoom)
    enlarged = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    return np.array(enlarged)  # a copy: OpenCV draws in place


def _from_worst(score: Float[Array, "D"]) -> list[int]:
    """Slots that hold somebody, the best last: what is drawn last lies on top."""
    score = np.asarray(score)
    return [int(slot) for slot in np.argsort(score, kind="stable") if score[slot] > 0]


def _color(hue: int, paleness: float = 0.0) -> tuple[int, int, int]:
    pale = [round(c + (255 - c) * paleness) for c in PALETTE[hue % len(PALETTE)]]
    return pale[0], pale[1], pale[2]


def _add_masks(
    canvas: np.ndarray,
    masks: Array,
    score: Array,
    zoom: int,
    colors: Sequence[int] | None,
) -> None:
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
            cv2.drawContours(canvas, outlines, -1, _RIM, width + 2, cv2.LINE_AA)
        cv2.drawContours(canvas, outlines, -1, color, width, cv2.LINE_AA)


def _add_poses(
    canvas: np.ndarray,
    keypoints: Array,
    confidence: Array,
    score: Array,
    thresholds: tuple[float, float],
    zoom: int,
    colors: Sequence[int] | None,
) -> None:
    found, sure = thresholds
    for slot in _from_worst(score):
        hue = colors[slot] if colors else slot
        pose = np.asarray(keypoints[slot])
        points = np.asarray(apply_affine(resize_affine(zoom), pose))
        trust = np.asarray(confidence[slot])
        is_found = trust >= found
        if not is_found.any():
            continue
        extent = np.ptp(points[is_found], axis=0).max()
        width = int(np.clip(extent / 60, 1, max(2, max(canvas.shape[:2]) / 160)))
        _add_limbs(canvas, points, is_found, hue, width)
        for joint in np.flatnonzero(is_found):
            is_sure = bool(trust[joint] >= sure)
            _add_joint(canvas, points[joint], hue, width, is_sure)


def _add_limbs(
    canvas: np.ndarray, points: np.ndarray, is_found: np.ndarray, hue: int, width: int
) -> None:
    limbs = [(a, b) for a, b in LIMBS.tolist() if is_found[a] and is_found[b]]
    for a, b in limbs:  # all rims first, so that no rim crosses a limb
        _add_line(canvas, points[a], points[b], _RIM, width + 2)
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
    cv2.line(
        canvas, _fixed(start), _fixed(end), color, width, cv2.LINE_AA, _SUBPIXEL_BITS
    )


def _add_joint(
    canvas: np.ndarray, point: np.ndarray, hue: int, width: int, is_sure: bool
) -> None:
    radius = width + 1
    rings = (
        [(radius + 1, _RIM), (radius, _WHITE), (radius - 1, _color(hue))]
        if is_sure
        else [(radius + 1, _color(hue, 0.3)), (max(radius * 0.6, radius - 2), _RIM)]
    )
    for size, color in rings:
        at, reach = _fixed(point), round(size * 2**_SUBPIXEL_BITS)
        cv2.circle(canvas, at, reach, color, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = np.clip(point, -1e4, 1e4) * 2**_SUBPIXEL_BITS
    return round(float(x)), round(float(y))


def _captioned(image: np.ndarray, caption: str, height: int) -> np.ndarray:
    bar = max(18, round(height / 24))
    framed = cv2.copyMakeBorder(
        image, bar, height - image.shape[0], 0, 0, cv2.BORDER_CONSTANT, value=_RIM
    )
    font, left = cv2.FONT_HERSHEY_SIMPLEX, bar // 3
    (width, _), _ = cv2.getTextSize(caption, font, bar / 34, 1)
    # A long caption is written smaller.
    scale = bar / 34 * min(1.0, (image.shape[1] - 2 * left) / max(width, 1))
    place = (left, round(bar * 0.72))
    cv2.putText(framed, caption, place, font, scale, _WHITE, 1, cv2.LINE_AA)
    return framed
