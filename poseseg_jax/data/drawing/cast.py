"""Who is in a picture, how large, and where."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from poseseg_jax.data.drawing.clothes import Look, draw_look
from poseseg_jax.data.drawing.figures import Figure, make_figure
from poseseg_jax.data.drawing.poses import draw_body

# Share, width and height of pictures, px; a few pixels of each side are cut off.
_SIZES = (
    (0.22, 288, 248), (0.22, 256, 256), (0.22, 248, 288), (0.17, 320, 240),
    (0.17, 240, 320),
)  # fmt: skip

# People upright, as a fraction of the picture's height: up to so many of them, the
# ordinary range, and the range of the share who are nearer and cut by the frame.
_HEIGHTS = (
    (3, (0.70, 0.97), 0.12, (0.97, 1.4)),
    (6, (0.58, 0.82), 0.12, (0.82, 1.2)),
    (99, (0.46, 0.66), 0.14, (0.66, 0.9)),
)
_FAR, _FAR_SHARE = (0.15, 0.30), 0.03
_UNLABELLED, _UNLABELLED_SHARE = (0.15, 0.45), 0.09  # one more person in a picture


@dataclass(frozen=True)
class Actor:
    """Somebody to be drawn.

    Attributes:
      figure: placed in the picture.
      look: its clothes.
      labelled: whether it gets keypoints.
    """

    figure: Figure
    look: Look
    labelled: bool


def draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """(height, width) of a picture."""
    shares = np.array([share for share, *_ in _SIZES])
    _, width, height = _SIZES[rng.choice(len(_SIZES), p=shares / shares.sum())]
    return height - int(rng.integers(12)), width - int(rng.integers(12))


def draw_cast(
    rng: np.random.Generator, head_count: int, height: int, width: int
) -> list[Actor]:
    """`head_count` labelled people and sometimes one more, small and far ones first."""
    actors: list[Actor] = []
    for number in range(head_count + int(rng.random() < _UNLABELLED_SHARE)):
        labelled = number < head_count
        tall = _draw_height(rng, head_count) if labelled else rng.uniform(*_UNLABELLED)
        figure, look = _draw_figure(rng, tall * height)
        tries = 2 if head_count < 4 else 5  # crowded pictures: less chance
        actor = Actor(figure, look, labelled)
        actors.append(place(rng, actor, actors, height, width, tries=tries))
    return sorted(actors, key=lambda actor: actor.figure.height)


def draw_crowd(rng: np.random.Generator, height: int, width: int) -> list[Actor]:
    """A dense group of small people far away."""
    tall, middle = rng.uniform(0.1, 0.2) * height, rng.uniform(0.1, 0.9) * width
    ground, spread = rng.uniform(0.4, 0.7) * height, rng.uniform(0.1, 0.25) * width
    crowd = []
    for _ in range(int(rng.integers(10, 22))):
        figure, look = _draw_figure(rng, tall * rng.uniform(0.85, 1.15))
        x0, _, x1, y1 = figure.box
        x = middle + spread * rng.uniform(-1, 1) - (x0 + x1) / 2
        y = ground + 0.15 * tall * rng.normal() - y1
        crowd.append(Actor(figure.moved(x, y), look, labelled=False))
    return crowd


def place(
    rng: np.random.Generator,
    actor: Actor,
    others: Sequence[Actor],
    height: int,
    width: int,
    *,
    tries: int,
) -> Actor:
    """Puts somebody on the ground: who is nearer, and so larger, stands lower.

    Args:
      rng: consumed.
      actor: anywhere.
      others: those already placed.
      height, width: of the picture, px.
      tries: places drawn, of which the one farthest from the others is taken; with 1,
        people hide each other as chance has it.
    """
    figure = actor.figure
    x0, y0, x1, y1 = figure.box
    tall = y1 - y0
    if tall > 0.97 * height:  # too near for all of it: the head stays
        top = rng.uniform(-0.04, 0.2) * height
    else:
        ground = min(0.62 + 0.4 * figure.height / height, 1.0)
        ground += rng.uniform(-0.12, 0.06)
        top = max(ground * height - tall, rng.uniform(-0.05, 0.08) * height)
    centers = rng.uniform(0.08, 0.92, tries) * width
    taken = [(other.figure.box[0] + other.figure.box[2]) / 2 for other in others]
    gaps = [min((abs(c - t) for t in taken), default=0.0) for c in centers]
    center = float(centers[np.argmax(gaps)])
    return replace(actor, figure=figure.moved(center - (x0 + x1) / 2, top - y0))


def _draw_height(rng: np.random.Generator, head_count: int) -> float:
    if rng.random() < _FAR_SHARE:
        return rng.uniform(*_FAR)
    for most, ordinary, share, near in _HEIGHTS:
        if head_count <= most:
            return rng.uniform(*(near if rng.random() < share else ordinary))
    raise AssertionError(head_count)


def _draw_figure(rng: np.random.Generator, height: float) -> tuple[Figure, Look]:
    look = draw_look(rng)
    return make_figure(draw_body(rng), look, height, distance=rng.uniform(3, 7)), look
