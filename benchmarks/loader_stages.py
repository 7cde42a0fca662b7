"""What the stages of the input pipeline take, one after the other in one thread."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np

from poseseg_jax.data import augment
from poseseg_jax.data.augment import AugmentSettings
from poseseg_jax.data.decoding import decode_people, decode_picture
from poseseg_jax.data.form import Form
from poseseg_jax.data.labels import write_labels

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """A picture, by its place in the source, and its view: the affine to the input."""

    index: int
    view: np.ndarray


def stages(
    source: Any, jobs: list[Job], form: Form, settings: AugmentSettings
) -> dict[str, float]:
    """Processor seconds per picture of each stage.

    Args:
      source: records.
      jobs: whole batches of pictures.
      form: of a batch.
      settings: how much views vary, for the stage that draws one.
    """
    clock, rng, batch = _Clock(), np.random.default_rng(0), form.new()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    for start in range(0, len(jobs), form.rows):
        tasks = []
        for job in jobs[start : start + form.rows]:
            record = clock("read the record", source.__getitem__, job.index)
            factors = clock("draw a view", _draw, rng, record, form, settings)
            tasks.append((record, job.view, factors))
        _render(clock, tasks, batch)
    cv2.setNumThreads(threads)
    return {name: seconds / len(jobs) for name, seconds in clock.spent.items()}


class _Clock:
    """Adds up the time of this thread by what it was spent for."""

    def __init__(self):
        self.spent: dict[str, float] = {}

    def __call__(self, what: str, function: Callable[..., T], /, *args, **kwargs) -> T:
        start = time.thread_time()
        result = function(*args, **kwargs)
        spent = time.thread_time() - start
        self.spent[what] = self.spent.get(what, 0.0) + spent
        return result


def _draw(rng, record, form: Form, settings: AugmentSettings) -> np.ndarray:
    """The colors of one; the view is given."""
    height, width = record["size"].tolist()
    augment.random_affine(
        rng, height=height, width=width, side=form.side, settings=settings
    )
    return augment.random_color(rng, strength=settings.color)


def _render(clock: _Clock, tasks: list, batch: Any) -> None:
    """As the pipeline does it."""
    records, views, _ = zip(*tasks, strict=True)
    for record, view, codes in zip(records, views, batch.people, strict=True):
        people = clock("decode the people map", decode_people, record)
        clock("warp the people map", augment.warp_people, people, view, codes)
    clock("labels", write_labels, batch, records, np.stack(views))
    for (record, view, factors), pixels in zip(tasks, batch.image, strict=True):
        shrink = 1 / augment.scale_of(view)
        image, to_image = clock(
            "decode the picture", decode_picture, record, shrink=shrink
        )
        image = clock("change colors", augment.change_color, image, factors)
        clock("warp the picture", augment.warp_image, image, to_image, view, pixels)
