"""The picture that the pages explain, and what a network says of it.

It is drawn, like the pictures that `make train` learns from, but is none of them.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jaxtyping import UInt8

from poseseg_jax import geometry, targets
from poseseg_jax.config import Settings
from poseseg_jax.data.augment import render
from poseseg_jax.data.decoding import Sample as Labels
from poseseg_jax.data.drawing.scenes import draw_scene
from poseseg_jax.data.photos import of_pixels
from poseseg_jax.geometry import box_of_mask
from poseseg_jax.pages.steps import Steps, take
from poseseg_jax.people import Person
from poseseg_jax.predictor import Predictor
from poseseg_jax.representation import Representation
from poseseg_jax.sheets.maps import Sample
from poseseg_jax.structs import IGNORE, Maps

_SEED = (2, 45)  # of no split of the embedded data, whose second number is 0 or 1
_HEADS = 3
_ROOM = 12  # rows for people


@dataclass(frozen=True, eq=False)
class Explained:
    """A picture, what a network should say of it, and what one says.

    Attributes:
      photo: the picture, RGB.
      truth: the input that is made of it, with its labels and targets.
      maps: what the network gives, probabilities and offsets.
      steps: of the decoder, on these maps.
      people: who is found, with a score of MIN_SCORE or more, best first.
    """

    photo: UInt8[np.ndarray, "H W 3"]
    truth: Sample
    maps: Maps
    steps: Steps
    people: list[Person]


def explain(workdir: Path) -> Explained:
    """The picture through the network of a training run.

    Raises:
      ValueError: naming the workdir, if it cannot be used, or if its network finds
        nothing at all.
    """
    predictor = Predictor.from_workdir(workdir, square=True)
    settings: Settings = predictor.settings
    labels = draw_labelled()
    look = predictor.look(of_pixels(labels.image, "the picture"))
    maps = predictor.maps(look)
    steps = take(maps, representation=settings.representation, settings=settings.decode)
    if not len(steps.mass):
        raise ValueError(
            f"The network of {workdir} finds nothing in the picture that the pages "
            "explain: give the --workdir of a longer training"
        )
    truth = as_truth(labels, settings.eval_image_size, settings.representation)
    people = predictor.people(look, steps.instances)
    return Explained(labels.image, truth, maps, steps, people)


def as_truth(labels: Labels, side: int, representation: Representation) -> Sample:
    """A labelled picture as evaluation sees it, with its targets.

    Args:
      labels: the picture.
      side: of the input, px.
      representation: of the targets.
    """
    height, width = labels.people.shape
    to_input = geometry.letterbox_affine(height, width, side)
    picture = render(labels, to_input, side=side, max_people=_ROOM)
    batch = jax.tree.map(lambda leaf: np.asarray(leaf)[None], picture)
    make = jax.jit(partial(targets.make, representation=representation))
    truth = jax.tree.map(lambda leaf: leaf[0], jax.device_get(make(batch)))
    return Sample(picture, truth, representation)


def draw_labelled(seed: tuple[int, ...] = _SEED, heads: int = _HEADS) -> Labels:
    """The picture, drawn, with its labels."""
    scene = draw_scene(np.random.default_rng(seed), heads)
    known = [person for person in scene.people if not person.is_crowd]
    known.sort(key=lambda person: -person.mask.sum())
    people = np.zeros(scene.image.shape[:2], np.uint8)
    for person in scene.people:
        people[person.mask] = IGNORE
    for code, person in enumerate(known, start=1):
        people[person.mask] = code
    return Labels(
        image=scene.image,
        to_image=geometry.resize_affine(1.0),
        people=people,
        keypoints=np.array([person.keypoints for person in known], np.float32),
        visibility=np.array([person.visibility for person in known], np.uint8),
        box=np.array([box_of_mask(person.mask) for person in known], np.float32),
        area=np.array([person.mask.sum() for person in known], np.float32),
        has_mask=np.ones(len(known), bool),
        image_id=0,
    )
