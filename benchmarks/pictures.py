"""What the benchmarks of targets and decoder measure on: crowds in rows."""

import functools

import jax
import numpy as np

from poseseg_jax import targets
from poseseg_jax.representation import Representation
from poseseg_jax.structs import Batch, Maps
from tests import hand_made


def crowd(side: int, count: int, rows: int) -> Batch:
    """A picture of people in rows, as many as fit side by side in a square.

    Args:
      side: of the picture, px.
      count: people.
      rows: N, room for people.
    """
    columns = int(np.ceil(np.sqrt(count)))
    cell = (side - 1) / columns
    boxes = []
    for person in range(count):
        row, column = divmod(person, columns)
        x, y = column * cell, row * cell
        boxes.append(
            (x + 0.25 * cell, y + 0.05 * cell, x + 0.75 * cell, y + 0.95 * cell)
        )
    return hand_made.picture(boxes, side=side, rows=rows)


def maps(side: int, count: int, rows: int, representation: Representation) -> Maps:
    """What a perfect network says of a crowd."""
    make = jax.jit(functools.partial(targets.make, representation=representation))
    batched = jax.tree.map(lambda leaf: leaf[None], crowd(side, count, rows))
    return jax.tree.map(lambda leaf: leaf[0], make(batched).maps)
