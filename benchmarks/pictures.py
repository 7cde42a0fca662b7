"""What the benchmarks of targets and decoder measure on: crowds in rows, and memory."""

import functools
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np

from poseseg_jax import targets
from poseseg_jax.representation import Representation
from poseseg_jax.structs import Batch, Maps
from tests import hand_made

T = TypeVar("T")


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


def peak_memory(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` gives, and by how much it raised this process' memory at most, MiB.

    Linux only.
    """
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
    before = _kilobytes("VmRSS")
    result = work()
    return result, (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(found.split()[1])
