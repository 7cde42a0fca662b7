"""From points in space to discs in the picture, of which parts are made."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from poseseg_jax.data.drawing.canvas import Color, Part


@dataclass(frozen=True)
class Projection:
    """Points of a person as a camera sees them.

    Attributes:
      points: by name (x, y, z, scale): picture px from the pelvis, y down; z towards
        the camera in units of the person's height; the px of that unit at the point.
    """

    points: Mapping[str, Float[np.ndarray, "4"]]

    def depth(self, name: str) -> float:
        """Towards the camera, in units of the person's height."""
        return float(self.points[name][2])

    def part(
        self,
        kind: str,
        discs: list[tuple],
        color: Color,
        *,
        raised: float = 0.0,
        garment: int = 0,
        round: bool = True,
    ) -> Part:
        """A part around points, as deep as they are on average.

        Args:
          kind, color, garment, round: as in Part.
          discs: (point, radius) or (point, other point, fraction of the way, radius),
            radii in units of the person's height.
          raised: added to the depth.
        """
        rows, depth = [], 0.0
        for *where, radius in discs:
            x, y, z, scale = self._at(*where)
            rows.append((x, y, radius * scale))
            depth += z / len(discs)
        return Part(kind, np.array(rows), color, depth + raised, garment, round)

    def _at(self, name: str, other: str = "", fraction: float = 0.0) -> np.ndarray:
        start = self.points[name]
        return start + fraction * (self.points[other] - start) if other else start


def project(
    points: Mapping[str, Float[np.ndarray, "3"]], height: float, distance: float
) -> Projection:
    """Perspective with the camera `distance` person heights from the pelvis.

    Args:
      points: camera frame, x right, y up, z towards the camera, units of the height.
      height: the upright person's, picture px.
      distance: larger than any point is near.
    """
    space = np.stack(list(points.values()))
    scale = height * distance / (distance - space[:, 2])
    x, y = space[:, 0] * scale, -space[:, 1] * scale
    seen = np.stack([x, y, space[:, 2], scale], -1)
    return Projection(dict(zip(points, seen, strict=True)))
