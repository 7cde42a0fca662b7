"""What the stages of the input pipeline take, one after the other in one thread."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np

from poseseg_jax.data import augment
from poseseg_jax.data.augment import AugmentSettings
from poseseg_jax.data.decoding import decode_people, decode_picture
from poseseg_jax.data.form import Form
from poseseg_jax.data.labels import write_labels

T = TypeVar("T")


def stages(
    source: Any,
    pictures: int,
    *,
    form: Form,
    settings: AugmentSettings,
    repeats: int,
) -> dict[str, list[float]]:
    """Processor seconds per picture of each stage, one number for each repeat.

    Args:
      source: records.
      pictures: how many of them to take, from all over the source.
      form: of a batch.
      settings: how much the views vary.
      repeats: how often to go over them; once more before, which is not kept.
    """
    places = np.linspace(0, len(source) - 1, -(-pictures // form.rows) * form.rows)
    indices = places.astype(int).tolist()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        runs = [_once(source, indices, form, settings) for _ in range(repeats + 1)][1:]
    finally:
        cv2.setNumThreads(threads)
    return {name: [run[name] for run in runs] for name in runs[0]}


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


def _once(
    source: Any, indices: list[int], form: Form, settings: AugmentSettings
) -> dict[str, float]:
    clock, rng, batch = _Clock(), np.random.default_rng(0), form.new()
    for start in range(0, len(indices), form.rows):
        tasks = []
        for index in indices[start : start + form.rows]:
            record = clock("read the record", source.__getitem__, index)
            tasks.append(
                (record, *clock("draw a view", _draw, rng, record, form, settings))
            )
        _render(clock, tasks, batch)
    return {name: seconds / len(indices) for name, seconds in clock.spent.items()}


def _draw(rng, record, form: Form, settings: AugmentSettings):
    height, width = (int(side) for side in record["size"])
    to_input = augment.random_affine(
        rng, height=height, width=width, side=form.side, settings=settings
    )
    return to_input, augment.random_color(rng, strength=settings.color)


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
