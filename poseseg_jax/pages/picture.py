"""The picture that the pages explain, and what a network says of it.

It is drawn, like the pictures that `make train` learns from, but is none of them.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np

from poseseg_jax import geometry, inference, targets
from poseseg_jax.config import Settings
from poseseg_jax.data.augment import render
from poseseg_jax.data.decoding import Sample
from poseseg_jax.data.drawing.scenes import draw_scene
from poseseg_jax.structs import IGNORE, Batch, Maps, Targets

_SEED = (2, 0)  # of no split of the embedded data, whose second number is 0 or 1
_HEADS = 4
_ROOM = 12  # rows for people


@dataclass(frozen=True, eq=False)
class Explained:
    """A picture, what a network should say of it, and what one says.

    Attributes:
      settings: of the network.
      picture: the input with its labels, without batch axis, as NumPy arrays.
      targets: the maps that a perfect network would give.
      maps: what the network gives, probabilities and offsets.
    """

    settings: Settings
    picture: Batch
    targets: Targets
    maps: Maps


def explain(workdir: Path) -> Explained:
    """The picture through the network of a training run.

    Raises:
      ValueError: naming the workdir, if it cannot be used.
    """
    trained = inference.restore(workdir)
    settings = trained.settings
    picture = draw_picture(settings.eval_image_size)
    see = jax.jit(inference.make_see(settings))
    make = jax.jit(partial(targets.make, representation=settings.representation))
    batch = jax.tree.map(lambda leaf: np.asarray(leaf)[None], picture)
    both = jax.device_get((make(batch), see(trained.variables, batch.image)))
    truth, said = jax.tree.map(lambda leaf: leaf[0], both)
    return Explained(settings, picture, truth, said)


def draw_picture(
    side: int, *, seed: tuple[int, ...] = _SEED, heads: int = _HEADS
) -> Batch:
    """The picture as evaluation sees it, with its labels."""
    sample = _sample(seed, heads)
    to_input = geometry.letterbox_affine(*sample.people.shape, side)
    return render(sample, to_input, side=side, max_people=_ROOM)


def _sample(seed: tuple[int, ...], heads: int) -> Sample:
    scene = draw_scene(np.random.default_rng(seed), heads)
    known = [person for person in scene.people if not person.is_crowd]
    known.sort(key=lambda person: -person.mask.sum())
    people = np.zeros(scene.image.shape[:2], np.uint8)
    for person in scene.people:
        people[person.mask] = IGNORE
    for code, person in enumerate(known, start=1):
        people[person.mask] = code
    return Sample(
        image=scene.image,
        to_image=geometry.resize_affine(1.0),
        people=people,
        keypoints=np.array([person.keypoints for person in known], np.float32),
        visibility=np.array([person.visibility for person in known], np.uint8),
        box=np.array([_box(person.mask) for person in known], np.float32),
        area=np.array([person.mask.sum() for person in known], np.float32),
        has_mask=np.ones(len(known), bool),
        image_id=0,
    )


def _box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """The outer edges of the mask's pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5
