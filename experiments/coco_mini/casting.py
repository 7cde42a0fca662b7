"""Who is pasted, how large, and where: the random part of copy-paste.

A crowd is people of about one size who stand on about one ground; who stands lower is
nearer and in front. Whom the edge of a picture cuts, an edge has to cut again: nobody
ends in a straight line in the middle of a scene.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from experiments.coco_mini import cutouts, scenes
from experiments.coco_mini.cutouts import Cutout, Donor
from poseseg_jax.coco.annotations import Picture

Pixels = UInt8[np.ndarray, "h w 3"]
# Opens a picture.
Read = Callable[[Picture], Pixels]

# Root of somebody's area over that of the picture's, drawn log-uniformly for a crowd;
# of more people each is smaller.
_SMALLEST, _LARGEST = 0.2, 0.7
_BY_NUMBER = -0.4  # exponent of the number of people
_VARIES = 0.25  # of the logarithm of single sizes, standard deviation
# Of what was photographed. More is blurred; much less has been filtered away.
_MIN_SCALE, _MAX_SCALE = 0.1, 1.25
_GROUND = (0.45, 1.0)  # where the crowd stands, share of the picture's height
_UNEVEN = 0.1  # of that, standard deviation
_OUTSIDE = 0.3  # share of somebody that may lie beyond an edge
_HIDES = 0.6  # share of somebody's box that one other may take
_TRIES = 10


@dataclass(frozen=True, eq=False)
class Placed:
    """Somebody and where they go.

    Attributes:
      donor: who it is.
      cutout: in the size that they have there.
      corner: (x, y) of its first pixel.
    """

    donor: Donor
    cutout: Cutout
    corner: tuple[int, int]

    @property
    def box(self) -> Float[np.ndarray, "4"]:
        """(x0, y0, x1, y1) of the cutout in the scene, px."""
        height, width = self.cutout.mask.shape
        x, y = self.corner
        return np.array([x, y, x + width, y + height]) - 0.5


def cast(
    rng: np.random.Generator,
    background: Picture,
    donors: Sequence[Donor],
    read: Read,
    *,
    number: int,
) -> list[Placed]:
    """Draws people for a scene, from the back to the front.

    Args:
      rng: consumed.
      background: where they go.
      donors: of whom to draw; those of the background itself are left out.
      read: opens their pictures.
      number: how many there shall be in the end, with those who are there already. At
        least one is drawn. Who finds no place after ten tries stays away.
    """
    others = [
        donor for donor in donors if donor.picture.image_id != background.image_id
    ]
    wanted = max(number - len(background.people), 1)
    total = wanted + len(background.people)
    low, high = math.log(_SMALLEST), math.log(_LARGEST)
    side = math.sqrt(background.width * background.height)
    usual = side * math.exp(rng.uniform(low, high)) * total**_BY_NUMBER
    ground = rng.uniform(*_GROUND) * background.height
    placed: list[Placed] = []
    for _ in range(wanted):
        somebody = _draw(rng, others, read, usual)
        corner = _place(rng, somebody.cutout, background, placed, ground)
        if corner is not None:
            placed.append(Placed(somebody.donor, somebody.cutout, corner))
    placed.sort(key=lambda one: one.box[3])
    return placed


def perform(
    image: Pixels, people: Sequence[scenes.Somebody], placed: Sequence[Placed]
) -> tuple[Pixels, list[scenes.Somebody]]:
    """Pastes all of them, in their order."""
    everybody = list(people)
    for one in placed:
        image, everybody = scenes.paste(image, everybody, one.cutout, one.corner)
    return image, everybody


def _draw(
    rng: np.random.Generator, donors: Sequence[Donor], read: Read, usual: float
) -> Placed:
    """Somebody of about the usual size, px; where is not known yet."""
    wanted = usual * math.exp(_VARIES * rng.standard_normal())
    for _ in range(_TRIES):
        donor = donors[int(rng.integers(len(donors)))]
        scale = wanted / math.sqrt(donor.person.area)
        if _MIN_SCALE <= scale <= _MAX_SCALE:
            break
    scale = min(max(scale, _MIN_SCALE), _MAX_SCALE)
    cutout = cutouts.cut(donor, read(donor.picture))
    if rng.random() < 0.5:
        cutout = cutouts.mirrored(cutout)
    return Placed(donor, cutouts.resized(cutout, scale), (0, 0))


def _place(
    rng: np.random.Generator,
    cutout: Cutout,
    background: Picture,
    placed: Sequence[Placed],
    ground: float,
) -> tuple[int, int] | None:
    """Where nobody is hidden too much, or None."""
    height, width = cutout.mask.shape
    for _ in range(_TRIES):
        x = rng.uniform(-_OUTSIDE * width, background.width - (1 - _OUTSIDE) * width)
        feet = ground + _UNEVEN * background.height * rng.standard_normal()
        most = background.height + _OUTSIDE * height
        y = min(max(feet, (1 - _OUTSIDE) * height), most) - height
        if "left" in cutout.cut_at:
            x = 0
        if "right" in cutout.cut_at:
            x = background.width - width
        if "top" in cutout.cut_at:
            y = 0
        if "bottom" in cutout.cut_at:
            y = background.height - height
        corner = (round(x), round(y))
        box = np.array([*corner, corner[0] + width, corner[1] + height]) - 0.5
        if not _hides(box, background, placed):
            return corner
    return None


def _hides(
    box: Float[np.ndarray, "4"], background: Picture, placed: Sequence[Placed]
) -> bool:
    """Whether too much of somebody would be hidden, somebody new included.

    Who is pasted is in front of all who were there. Among those who are pasted it is
    not settled yet who is: it may be the smaller one who is hidden.
    """
    behind = [person.box for person in background.people]
    beside = [one.box for one in placed]
    bounds = [_area(other) for other in behind]
    bounds += [min(_area(box), _area(other)) for other in beside]
    return any(
        cutouts.overlap(box, other) > _HIDES * bound
        for other, bound in zip([*behind, *beside], bounds, strict=True)
    )


def _area(box: Float[np.ndarray, "4"]) -> float:
    return math.prod((box[2:] - box[:2]).tolist())
