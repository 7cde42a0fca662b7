"""What the stages of the input pipeline take, one after the other in one thread."""

import dataclasses
import time
from typing import Any

import cv2
import numpy as np

from poseseg_jax.data import augment, decoding
from poseseg_jax.data.augment import AugmentSettings


def stages(
    source: Any, *, side: int, augment: AugmentSettings, repeats: int
) -> dict[str, list[float]]:
    """Seconds per picture of each stage, one number for each repeat.

    Args:
      source: records.
      side: of the input, px.
      augment: how much the views vary.
      repeats: how often to go over all pictures; once more before, which is not kept.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        runs = [_once(source, side, augment) for _ in range(repeats + 1)][1:]
    finally:
        cv2.setNumThreads(threads)
    return {name: [run[name] for run in runs] for name in runs[0]}


def _once(source, side: int, settings: AugmentSettings) -> dict[str, float]:
    spent: dict[str, float] = {}

    def timed(name: str, function, *args, **kwargs):
        start = time.perf_counter()
        result = function(*args, **kwargs)
        spent[name] = spent.get(name, 0) + time.perf_counter() - start
        return result

    rng = np.random.default_rng(0)
    for index in range(len(source)):
        record = timed("read the record", source.__getitem__, index)
        height, width = (int(x) for x in record["size"])
        to_input = timed(
            "draw a view",
            augment.random_affine,
            rng,
            height=height,
            width=width,
            side=side,
            settings=settings,
        )
        sample = timed(
            "decode both",
            decoding.decode_record,
            record,
            shrink=1 / augment.scale_of(to_input),
        )
        image = timed(
            "jitter colour",
            augment.jitter_color,
            sample.image,
            rng,
            strength=settings.color,
        )
        sample = dataclasses.replace(sample, image=image)
        timed("render", augment.render, sample, to_input, side=side, max_people=30)
    return {name: seconds / len(source) for name, seconds in spent.items()}
