"""A drawn picture, with all that is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from poseseg_jax.data.drawing import scenery
from poseseg_jax.data.drawing.bodies import SHIRT, TROUSERS
from poseseg_jax.data.drawing.canvas import Canvas, Part
from poseseg_jax.data.drawing.cast import Actor, draw_cast, draw_crowd, draw_size, place
from poseseg_jax.data.drawing.figures import Figure, bounds
from poseseg_jax.data.drawing.textures import draw_tint
from poseseg_jax.data.drawing.things import draw_thing
from poseseg_jax.skeleton import KEYPOINT_NAMES, NUM_KEYPOINTS

_HIDDEN_UNLABELLED = 0.12  # share of people whose hidden keypoints nobody labelled
_THINGS = 0.2  # share of pictures with something in front
_CROWDS = 0.04  # share of pictures with a crowd far behind
_TRIES = 6  # to find places where everybody is seen
_LEAST_PIXELS, _LEAST_SHARE = 25, 0.04  # to be seen; share of the squared height

_SHOULDERS = [KEYPOINT_NAMES.index(f"{side}_shoulder") for side in ("left", "right")]
_HIPS = [KEYPOINT_NAMES.index(f"{side}_hip") for side in ("left", "right")]


@dataclass(frozen=True)
class Person:
    """A drawn person, as an annotator sees it.

    Attributes:
      keypoints [17 2]: (x, y), picture px; (0, 0) where unlabelled.
      visibility [17]: 0 unlabelled, 1 hidden, 2 visible.
      mask [height width]: its visible pixels, at least one.
      is_crowd: a group that nobody told apart, without keypoints.
    """

    keypoints: Float[np.ndarray, "17 2"]
    visibility: Int[np.ndarray, "17"]
    mask: Bool[np.ndarray, "height width"]
    is_crowd: bool = False


@dataclass(frozen=True)
class Scene:
    """A picture (RGB) and its people."""

    image: UInt8[np.ndarray, "height width 3"]
    people: list[Person]


def draw_scene(rng: np.random.Generator, head_count: int) -> Scene:
    """Draws one picture.

    Args:
      rng: consumed; the picture depends on it and `head_count` alone.
      head_count: people with labelled keypoints; some more may be there without any.
    """
    height, width = draw_size(rng)
    background = scenery.draw_background(rng, height, width)
    crowd = draw_crowd(rng, height, width) if rng.random() < _CROWDS else []
    num_things = int(rng.integers(1, 3)) if rng.random() < _THINGS else 0
    things = [draw_thing(rng, height, width) for _ in range(num_things)]
    cast = draw_cast(rng, head_count, height, width)
    canvas, cast = _stage(rng, cast, crowd, things, height, width)
    for actor in [*crowd, *cast]:
        x0, _, x1, y1 = actor.figure.box
        radius = 0.25 * actor.figure.height
        scenery.draw_shadow(background, (x0 + x1) / 2, y1, radius)
    people = []
    for owner, actor in enumerate(cast, start=len(crowd)):
        _dye(rng, canvas, actor, owner)
        people.append(_label(rng, canvas, actor, owner))
    image = scenery.photograph(rng, canvas.over(background))
    crowd_mask = (canvas.owner_map >= 0) & (canvas.owner_map < len(crowd))
    if crowd_mask.any():
        nothing = np.zeros((NUM_KEYPOINTS, 2)), np.zeros(NUM_KEYPOINTS, int)
        people.append(Person(*nothing, crowd_mask, is_crowd=True))
    return Scene(image, people)


def _stage(
    rng: np.random.Generator,
    cast: list[Actor],
    crowd: list[Actor],
    things: Sequence[list[Part]],
    height: int,
    width: int,
) -> tuple[Canvas, list[Actor]]:
    """Draws everybody and moves those who are hidden, until they leave the picture.

    Returns:
      canvas: with the crowd as owners 0 ..., then the cast.
      cast: who is left of it, as drawn.
    """
    for tries_left in reversed(range(_TRIES)):
        canvas = Canvas(height, width)
        for owner, actor in enumerate([*crowd, *cast]):
            canvas.draw(actor.figure.parts, owner)
        for thing in things:
            canvas.draw(thing)
        hidden = _find_hidden(canvas, cast, len(crowd))
        if not any(hidden):
            return canvas, cast
        pairs = list(zip(cast, hidden, strict=True))
        if tries_left > 1:
            # Drawn last they are in front, as a child may be.
            cast = [a for a, gone in pairs if not gone]
            lost = [a for a, gone in pairs if gone]
            cast += [place(rng, a, cast, height, width, tries=3) for a in lost]
        else:
            cast = [a for a, gone in pairs if not gone]
    # Without somebody, the others only show more.
    return _stage(rng, cast, crowd, things, height, width)


def _find_hidden(canvas: Canvas, cast: list[Actor], first_owner: int) -> list[bool]:
    """Who shows too few pixels or, if labelled, hardly a joint."""
    owners = canvas.owner_map
    counts = np.bincount(owners[owners >= 0], minlength=first_owner + len(cast))
    hidden = []
    for owner, actor in enumerate(cast, start=first_owner):
        figure = actor.figure
        tall = min(figure.height, canvas.height)
        too_few = counts[owner] < max(_LEAST_PIXELS, _LEAST_SHARE * tall**2)
        joints = figure.in_sight(canvas, owner) & canvas.contains(figure.keypoints)
        hidden.append(bool(too_few or (actor.labelled and joints.sum() < 2)))
    return hidden


def _dye(rng: np.random.Generator, canvas: Canvas, actor: Actor, owner: int) -> None:
    figure, look = actor.figure, actor.look
    for garment, color in ((SHIRT, look.top), (TROUSERS, look.bottom)):
        parts = [part for part in figure.parts if part.garment == garment]
        if not parts:
            continue
        x0, y0, x1, y1 = (int(edge) for edge in bounds(parts))
        left, top = max(x0, 0), max(y0, 0)
        right, bottom = min(x1 + 2, canvas.width), min(y1 + 2, canvas.height)
        if right - left < 3 or bottom - top < 3:
            continue
        across, along = _trunk_axes(figure, left, top, right, bottom)
        tint = draw_tint(rng, across, along, color)
        if tint is not None:
            canvas.dye(tint, owner=owner, garment=garment, corner=(top, left))


def _trunk_axes(
    figure: Figure, left: int, top: int, right: int, bottom: int
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Each pixel's place across and along the trunk, in body heights from the chest."""
    shoulders = figure.keypoints[_SHOULDERS].mean(0)
    hips = figure.keypoints[_HIPS].mean(0)
    chest = shoulders + 0.3 * (hips - shoulders)
    down = (hips - shoulders) / max(float(np.hypot(*(hips - shoulders))), 1e-6)
    down = down.astype(np.float32)
    size = np.float32(figure.height)
    x = (np.arange(left, right, dtype=np.float32) - np.float32(chest[0])) / size
    y = (np.arange(top, bottom, dtype=np.float32) - np.float32(chest[1])) / size
    y = y[:, None]
    return x * down[1] - y * down[0], x * down[0] + y * down[1]


def _label(
    rng: np.random.Generator, canvas: Canvas, actor: Actor, owner: int
) -> Person:
    figure = actor.figure
    keypoints = np.round(figure.keypoints, 2)
    visibility = np.where(figure.in_sight(canvas, owner), 2, 1)
    visibility[figure.turned_away & (visibility == 1)] = 0
    visibility[~canvas.contains(keypoints)] = 0
    if rng.random() < _HIDDEN_UNLABELLED:
        visibility[visibility == 1] = 0
    if not actor.labelled:
        visibility[:] = 0
    keypoints = keypoints * (visibility > 0)[:, None]
    return Person(keypoints, visibility, canvas.owner_map == owner)
