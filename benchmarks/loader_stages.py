"""What the stages of the input pipeline take, one after the other in one thread."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np

from poseseg_jax.data import augment
from poseseg_jax.data.augment import AugmentSettings
from poseseg_jax.data.decoding import decode_image, decode_record
from poseseg_jax.data.form import Form
from poseseg_jax.data.labels import write_labels
from poseseg_jax.data.run_lengths import decode_runs

T = TypeVar("T")


def stages(
    source: Any, *, form: Form, settings: AugmentSettings, repeats: int
) -> dict[str, list[float]]:
    """Processor seconds per picture of each stage, one number for each repeat.

    Args:
      source: records.
      form: of a batch.
      settings: how much the views vary.
      repeats: how often to go over all pictures; once more before, which is not kept.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        runs = [_once(source, form, settings) for _ in range(repeats + 1)][1:]
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


def _once(source, form: Form, settings: AugmentSettings) -> dict[str, float]:
    clock, rng, batch = _Clock(), np.random.default_rng(0), form.new()
    records, views = [], []
    for index in range(len(source)):
        row = index % form.rows
        records.append(clock("read the record", source.__getitem__, index))
        view, factors = clock("draw a view", _draw, rng, records[-1], form, settings)
        views.append(view)
        _render(clock, records[-1], view, factors, batch.image[row], batch.people[row])
        if row == form.rows - 1:
            clock("labels", write_labels, batch, records, np.stack(views))
            records, views = [], []
    return {name: seconds / len(source) for name, seconds in clock.spent.items()}


def _draw(rng, record, form: Form, settings: AugmentSettings):
    height, width = (int(side) for side in record["size"])
    to_input = augment.random_affine(
        rng, height=height, width=width, side=form.side, settings=settings
    )
    return to_input, augment.random_color(rng, strength=settings.color)


def _render(clock: _Clock, record, to_input, factors, pixels, codes) -> None:
    height, width = (int(side) for side in record["size"])
    to_image = decode_record(record, shrink=1 / augment.scale_of(to_input)).to_image
    image = clock(
        "decode the picture",
        decode_image,
        record["image"],
        name="",
        reduction=round(1 / to_image[0, 0]),
    )
    image = clock("change colors", augment.change_color, image, factors)
    clock("warp the picture", augment.warp_image, image, to_image, to_input, pixels)
    people = clock(
        "decode the people map",
        decode_runs,
        record["people"],
        height=height,
        width=width,
        name="",
    )
    clock("warp the people map", augment.warp_people, people, to_input, codes)
