"""An input at some scale, and what can be put on it: text, lines, marks, hatching.

A canvas is an RGB picture that the functions here draw upon. Points are (x, y) in its
pixels; `Frame` takes input pixels and map cells there.
"""

import functools
import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont

from poseseg_jax.geometry import apply_affine, invert_affine, resize_affine
from poseseg_jax.strokes import SUBPIXEL_BITS, fixed
from poseseg_jax.structs import Array

Canvas = UInt8[np.ndarray, "H W 3"]
Color = tuple[int, int, int]

INK = (20, 20, 20)
PAPER = (255, 255, 255)
_HATCHING = 9  # px from one stroke to the next
_DASH = 14  # px from one dash to the next

# What a hatching is made of, from the diagonals (x + y, x - y) of a pixel.
HATCHES = ("rising", "falling", "crossed")


@dataclass(frozen=True)
class Frame:
    """How an input of `height` x `width` pixels lies on a canvas.

    Attributes:
      height, width: of the input, px.
      scale: canvas pixels per input pixel.
    """

    height: int
    width: int
    scale: float

    @classmethod
    def fitting(cls, height: int, width: int, side: int) -> "Frame":
        """The frame in which the longer side has `side` canvas pixels."""
        return cls(height, width, side / max(height, width))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the canvas."""
        height, width = self.height * self.scale, self.width * self.scale
        return max(round(height), 1), max(round(width), 1)

    def place(self, points: Float[Array, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Takes input pixels to the canvas."""
        return np.asarray(apply_affine(resize_affine(self.scale), np.asarray(points)))

    def paint(self, image: UInt8[Array, "h w 3"]) -> Canvas:
        """The input itself, as a new canvas."""
        flags = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_CUBIC
        size = self.shape[::-1]
        return np.array(cv2.resize(np.asarray(image), size, interpolation=flags))

    def spread(
        self, values: Shaped[Array, "h w"], stride: int = 1
    ) -> Shaped[np.ndarray, "H W"]:
        """The value of the nearest cell for every canvas pixel.

        Args:
          values: a map of the input; cell j sits on input pixel j * stride.
          stride: input pixels per cell.
        """
        values = np.asarray(values)
        to_input = invert_affine(resize_affine(self.scale))
        rows, columns = (
            self._nearest(pixels, cells, to_input[0], stride)
            for pixels, cells in zip(self.shape, values.shape, strict=True)
        )
        return values[rows[:, None], columns]

    @staticmethod
    def _nearest(pixels: int, cells: int, affine: np.ndarray, stride: int):
        place = (np.arange(pixels) * affine[0] + affine[2]) / stride
        return np.clip(np.floor(place + 0.5).astype(int), 0, cells - 1)


def tint(
    canvas: Canvas, opacity: Float[np.ndarray, "H W"], color: Color | Canvas
) -> None:
    """Mixes a colour in, by 0 to 1 for each pixel."""
    share = opacity[..., None]
    canvas[:] = (canvas * (1 - share) + np.array(color) * share).round()


def hatch(
    canvas: Canvas,
    where: Bool[np.ndarray, "H W"],
    kind: str,
    color: Color,
    *,
    opacity: float = 1.0,
) -> None:
    """Strokes a region, one of HATCHES."""
    y, x = np.indices(where.shape)
    rising = (x + y) % _HATCHING < 1.5
    falling = (x - y) % _HATCHING < 1.5
    strokes = {"rising": rising, "falling": falling, "crossed": rising | falling}[kind]
    tint(canvas, (strokes & where) * opacity, color)


def lines(
    canvas: Canvas,
    starts: Float[Array, "n 2"],
    ends: Float[Array, "n 2"],
    color: Color,
    *,
    width: int = 1,
    rim: bool = False,
) -> None:
    """Straight lines, with a dark rim if they are to stand out from anything."""
    pairs = list(fixed(np.stack([starts, ends], axis=1)))
    if rim:
        cv2.polylines(
            canvas, pairs, False, INK, width + 2, cv2.LINE_AA, shift=SUBPIXEL_BITS
        )
    cv2.polylines(canvas, pairs, False, color, width, cv2.LINE_AA, shift=SUBPIXEL_BITS)


def rectangle(
    canvas: Canvas,
    box: Float[Array, "4"],
    color: Color,
    *,
    width: int = 1,
    dashed: bool = False,
) -> None:
    """The outline of (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = np.asarray(box, float)
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
    for start, end in itertools.pairwise(corners):
        dashes = (
            max(round(float(np.abs(end - start).sum()) / _DASH), 1) if dashed else 1
        )
        steps = np.arange(dashes)[:, None] / dashes
        starts = start + steps * (end - start)
        length = (end - start) / dashes * (0.55 if dashed else 1)
        lines(canvas, starts, starts + length, color, width=width, rim=True)


def mark(
    canvas: Canvas,
    point: Float[Array, "2"],
    shape: str,
    color: Color,
    *,
    radius: float,
    hollow: bool = False,
) -> None:
    """A "circle", "square" or "diamond" with a dark rim; a hollow one is a ring."""
    corners = {"circle": 24, "square": 4, "diamond": 4}[shape]
    turn = np.pi / 4 if shape == "square" else 0
    angles = turn + 2 * np.pi * np.arange(corners) / corners
    reach = {"circle": 1.0, "square": 1.25, "diamond": 1.3}[shape]
    outline = np.stack([np.cos(angles), np.sin(angles)], -1) * reach
    layers = [(radius + 1.2, INK), (radius, color)]
    if hollow:
        layers.append((radius * 0.55, INK))
    for size, fill in layers:
        corners_at = fixed(np.asarray(point) + outline * size)
        cv2.fillPoly(canvas, [corners_at], fill, cv2.LINE_AA, SUBPIXEL_BITS)


def text_size(text: str, size: int) -> tuple[int, int]:
    """(width, height) in pixels of what `write` puts down."""
    height, width = _letters(text, size).shape
    return width, height


def write(
    canvas: Canvas,
    text: str,
    at: tuple[float, float],
    *,
    size: int = 13,
    color: Color = INK,
    rim: Color | None = None,
) -> None:
    """Text with its upper left corner at (x, y), cut off where the canvas ends."""
    letters = _letters(text, size)
    x, y = (round(value) for value in at)
    x0, y0 = max(x, 0), max(y, 0)
    letters = letters[y0 - y :, x0 - x :]
    region = canvas[y0 : y0 + letters.shape[0], x0 : x0 + letters.shape[1]]
    letters = letters[: region.shape[0], : region.shape[1]]
    if not letters.size:
        return
    if rim is not None:
        tint(region, cv2.dilate(letters, np.ones((3, 3))) * 0.85, rim)
    tint(region, letters, color)


class Names:
    """Text that never covers other text: what finds no room is left out.

    Args:
      canvas: to write upon.
      size: of the letters, px.
    """

    def __init__(self, canvas: Canvas, *, size: int):
        self._canvas = canvas
        self._size = size
        self._taken: list[tuple[float, ...]] = []

    def beside(
        self, point: Float[Array, "2"], name: str, color: Color, *, gap: float
    ) -> None:
        """Writes a name to one side of a point, or above or below it."""
        width, height = text_size(name, self._size)
        x, y = (float(value) for value in point)
        self._first_free(
            name,
            color,
            [
                (x + gap, y - height / 2),
                (x - gap - width, y - height / 2),
                (x - width / 2, y - gap - height),
                (x - width / 2, y + gap),
            ],
        )

    def over(self, point: Float[Array, "2"], name: str, color: Color) -> None:
        """Writes a name with its middle at a point."""
        width, height = text_size(name, self._size)
        x, y = (float(value) for value in point)
        self._first_free(name, color, [(x - width / 2, y - height / 2)])

    def _first_free(self, name: str, color: Color, places: list) -> None:
        width, height = text_size(name, self._size)
        for left, top in places:
            region = (left, top, left + width, top + height)
            if not any(_overlap(region, other) for other in self._taken):
                self._taken.append(region)
                rim = INK if color != INK else None
                at = (left, top)
                write(self._canvas, name, at, size=self._size, color=color, rim=rim)
                return


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    apart = (
        one[2] <= other[0],
        other[2] <= one[0],
        one[3] <= other[1],
        other[3] <= one[1],
    )
    return not any(apart)


@functools.lru_cache(maxsize=1024)
def _letters(text: str, size: int) -> Float[np.ndarray, "h w"]:
    """How much of each pixel the letters cover, with a margin of a pixel."""
    font = ImageFont.load_default(size)
    _, _, right, bottom = font.getbbox(text or " ")
    page = Image.new("L", (int(right) + 3, max(int(bottom), size) + 3))
    ImageDraw.Draw(page).text((1, 1), text, font=font, fill=255)
    return np.asarray(page, np.float64) / 255
