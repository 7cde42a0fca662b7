"""A picture under construction: its colours and, for every pixel, which part it shows.

Everything is drawn at twice the picture's size without anti-aliasing, so that the map
of parts is exact; the colours become smooth when they are shrunk. Positions are in
picture pixels by the convention of geometry.py.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

FINE = 2  # canvas pixels per picture pixel
_SHIFT = 3  # fractional bits of OpenCV's coordinates
_ANGLES = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1)
# Hulls within each other, (size, light), from the rim to where the light falls.
_SHADES = ((1.0, 0.78), (0.78, 0.93), (0.45, 1.05))

NOBODY = -1  # owner of things
Color = tuple[float, float, float]


class Part(NamedTuple):
    """A piece of a body or of a thing: the convex hull of discs.

    Attributes:
      kind: what it is, such as "left_shin".
      discs [n 3]: x, y and radius, picture px.
      color: RGB, 0 to 255.
      depth: towards the camera; of one figure's parts, larger ones are drawn later.
      garment: parts of a figure with the same garment share a pattern; 0 has none.
      round: whether it is shaded like a cylinder.
    """

    kind: str
    discs: Float[np.ndarray, "n 3"]
    color: Color
    depth: float = 0.0
    garment: int = 0
    round: bool = True

    def moved(self, x: float, y: float) -> "Part":
        """The same part elsewhere."""
        return self._replace(discs=self.discs + np.array((x, y, 0.0)))


class Canvas:
    """Draws figures, back to front, and remembers which part each pixel shows."""

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width
        self.color = np.zeros((height * FINE, width * FINE, 3), np.uint8)
        self.code = np.zeros((height * FINE, width * FINE), np.uint16)
        self.kinds = [""]
        self._owners = [NOBODY]
        self._garments = [0]

    def draw(self, parts: Sequence[Part], owner: int = NOBODY) -> None:
        """Draws one figure over all that is there."""
        parts = sorted(parts, key=lambda part: part.depth)
        discs = np.concatenate([part.discs for part in parts])
        layers = [(_outlines(discs, size), light) for size, light in _SHADES]
        end = 0
        for part in parts:
            self.kinds.append(part.kind)
            self._owners.append(owner)
            self._garments.append(part.garment)
            start, end = end, end + len(part.discs)
            self._fill(part, [(outline[start:end], light) for outline, light in layers])

    def _fill(self, part: Part, layers: list[tuple[np.ndarray, float]]) -> None:
        radius = part.discs[:, 2].max()
        hull = cv2.convexHull(layers[0][0].reshape(-1, 2))
        cv2.fillConvexPoly(self.code, hull, len(self.kinds) - 1, shift=_SHIFT)
        if not part.round or radius < 1:
            cv2.fillConvexPoly(self.color, hull, part.color, shift=_SHIFT)
            return
        for outline, light in layers[: 2 if radius < 4 else 3]:
            color = tuple(min(light * channel, 255.0) for channel in part.color)
            hull = cv2.convexHull(outline.reshape(-1, 2))
            cv2.fillConvexPoly(self.color, hull, color, shift=_SHIFT)

    @cached_property
    def owners(self) -> Int[np.ndarray, " codes"]:
        """Of every code; to be asked when all is drawn."""
        return np.array(self._owners, np.int16)

    @cached_property
    def owner_map(self) -> Int[np.ndarray, "height width"]:
        """Per picture pixel, the owner of one of its fine pixels."""
        return self.owners[self.code[::FINE, ::FINE]]

    def dye(
        self,
        tint: Float[np.ndarray, "h w 3"],
        *,
        owner: int,
        garment: int,
        corner: tuple[int, int],
    ) -> None:
        """Multiplies the colours of one garment, where it is seen.

        Args:
          tint: the factors, in picture pixels.
          owner: whose garment.
          garment: which.
          corner: (row, column) of the tint's first pixel, picture px.
        """
        wanted = (self.owners == owner) & (np.array(self._garments) == garment)
        top, left = corner[0] * FINE, corner[1] * FINE
        height, width = tint.shape[0] * FINE, tint.shape[1] * FINE
        rows, columns = slice(top, top + height), slice(left, left + width)
        seen = wanted.astype(np.uint8)[self.code[rows, columns]]
        fine = cv2.resize(tint, (width, height), interpolation=cv2.INTER_LINEAR)
        window = self.color[rows, columns]
        dyed = cv2.multiply(window, fine, dtype=cv2.CV_8U)
        cv2.copyTo(dyed, seen, window)

    def over(
        self, background: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """The finished picture on its background."""
        size = (self.width, self.height)
        color = cv2.resize(self.color, size, interpolation=cv2.INTER_AREA)
        empty = (self.code == 0).astype(np.uint8) * 255
        rest = cv2.resize(empty, size, interpolation=cv2.INTER_AREA)
        behind = cv2.multiply(background, cv2.merge([rest] * 3), scale=1 / 255)
        return cv2.add(color, behind)

    def contains(self, points: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        """Which points lie in the picture."""
        x, y = points.T
        return (x >= 0) & (x <= self.width - 1) & (y >= 0) & (y <= self.height - 1)

    def codes_at(
        self, points: Float[np.ndarray, "n 2"], around: int = 1
    ) -> Int[np.ndarray, "n m"]:
        """The codes within `around` fine pixels of each point; 0 outside."""
        steps = np.mgrid[-around : around + 1, -around : around + 1].reshape(2, 1, -1)
        fine = np.floor((points + 0.5) * FINE).astype(int)
        column, row = fine[:, :1] + steps[1], fine[:, 1:] + steps[0]
        inside = (row >= 0) & (row < self.code.shape[0])
        inside &= (column >= 0) & (column < self.code.shape[1])
        codes = self.code[row * inside, column * inside].astype(int)
        return np.where(inside, codes, 0)


def _outlines(
    discs: Float[np.ndarray, "n 3"], size: float
) -> Int[np.ndarray, "n points 2"]:
    """The rims of discs, shrunk by `size` towards the light, for OpenCV."""
    center = discs[:, None, :2] - 0.35 * (1 - size) * discs[:, None, 2:]
    points = center + size * discs[:, None, 2:] * _CIRCLE
    fine = (points + 0.5) * FINE - 0.5
    return np.rint(fine * (1 << _SHIFT)).astype(np.int32)
