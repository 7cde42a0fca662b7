"""People drawn over their picture: poses, masks, both, and truth beside prediction.

Everything is given in pixels of the picture on which it is drawn. Small pictures are
enlarged by a whole factor first, so that a pose of 50 pixels can be read. Colours
and lines are those of strokes.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseseg_jax import strokes
from poseseg_jax.strokes import PALETTE, RIM, WHITE
from poseseg_jax.structs import Array

_ENLARGED_SIDE = 480  # px to which the longer side is brought at least
_SHEET_WIDTH = 900  # px of each picture of a sheet
_JPEG_QUALITY = 85

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
    zoom: int | None = None,
    colors: Sequence[int] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draws skeletons.

    Args:
      image: RGB.
      keypoints: (x, y) in pixels of `image`.
      confidence: 0 to 1 per keypoint; see `confidence_of_labels` for the truth. From
        0.1 a joint is drawn, as a ring, and from 0.5 as a disc.
      score: of the person; 0 is an empty slot. Better people lie on top.
      zoom: factor by which the picture is enlarged; None: so that its longer side has
        480 px at least.
      colors: of each person, from PALETTE; None: one after the other. See
        `choose_colors`.

    Returns:
      RGB, `zoom` times as large as `image`.
    """
    zoom = zoom or _zoom_for(image)
    canvas = _enlarge(image, zoom)
    strokes.add_poses(canvas, keypoints, confidence, score, zoom, colors)
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
    strokes.add_masks(canvas, masks, score, zoom, colors)
    return canvas


def draw_joint(
    image: Picture,
    keypoints: Float[Array, "D K 2"],
    confidence: Float[Array, "D K"],
    score: Float[Array, "D"],
    masks: Bool[Array, "D H W"],
    *,
    zoom: int | None = None,
    colors: Sequence[int] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draws masks and, above them, skeletons in the same colours; see `draw_pose`."""
    zoom = zoom or _zoom_for(image)
    canvas = _enlarge(image, zoom)
    strokes.add_masks(canvas, masks, score, zoom, colors)
    strokes.add_poses(canvas, keypoints, confidence, score, zoom, colors)
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
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pictures of any size on one sheet, two in a row, all of one width.

    Args:
      pictures: RGB, one at least.
    """
    gap, width, rows = 12, _SHEET_WIDTH, []
    resized = [_resize_to(picture, width) for picture in pictures]
    for first in range(0, len(resized), 2):
        row = resized[first : first + 2]
        height = max(picture.shape[0] for picture in row) + gap
        across = 2 * width + gap if len(resized) > 1 else width
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


def write_jpeg(path: str | Path, image: Picture) -> None:
    """Writes an RGB picture, and the folders above it, with all of its colour.

    Raises:
      OSError: if the file cannot be written.
    """
    whole = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444  # or thin lines would lose theirs
    flags = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    flags += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, whole]
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


def _captioned(image: np.ndarray, caption: str, height: int) -> np.ndarray:
    bar = max(18, round(height / 24))
    framed = cv2.copyMakeBorder(
        image, bar, height - image.shape[0], 0, 0, cv2.BORDER_CONSTANT, value=RIM
    )
    font, left = cv2.FONT_HERSHEY_SIMPLEX, bar // 3
    (width, _), _ = cv2.getTextSize(caption, font, bar / 34, 1)
    # A long caption is written smaller.
    scale = bar / 34 * min(1.0, (image.shape[1] - 2 * left) / max(width, 1))
    place = (left, round(bar * 0.72))
    cv2.putText(framed, caption, place, font, scale, WHITE, 1, cv2.LINE_AA)
    return framed
