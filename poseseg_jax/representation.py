"""What a set of maps means.

The few numbers that targets, model, losses and decoder must agree on.
"""

from dataclasses import dataclass

from poseseg_jax.skeleton import Skeleton

MASKS = ("soft", "hard")


@dataclass(frozen=True)
class Representation:
    """How people are written into maps.

    Attributes:
      skeleton: the directed edges of the mid-range offsets.
      radius: of the disc around an anchor in which its heatmap is 1, input pixels
        (PersonLab's R).
      map_stride: input pixels per cell of every map but `person`.
      person_stride: input pixels per cell of the person map.
      body_sigma: of the body map's Gaussians, as a fraction of the square root of the
        person's area.
      masks: what a cell of the person map is: "soft", the fraction that people cover;
        "hard", 1 where that is half or more, else 0.
    """

    skeleton: Skeleton
    radius: float
    map_stride: int
    person_stride: int
    body_sigma: float
    masks: str = "soft"
